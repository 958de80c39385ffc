"""twoslot.image.scan: blocks that the running slot has at the same place are copied, not fetched."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from slotbench.formats import blocks
from slotbench.vboard.flash.nor import SECTOR
from slotbench.vboard.network.faults import FaultyNetwork
from slotbench.vboard.network.wsgi import WsgiNetwork
from support.device.board import BOARD, DeviceBoard, refusal
from support.device.site import BLOCKS, DONE, IMAGE, Site, Updater

RUNNING, SPARE = BOARD.slots
LAST = BLOCKS - 1
SAME = (0, 1, 2, 7, LAST)
"""Blocks that the board's running image shares with the release; the last one is not whole."""


@pytest.fixture
def updater(make_board: Callable[..., DeviceBoard], site: Site) -> Updater:
    board = make_board(FaultyNetwork(WsgiNetwork(site.app())))
    for number in SAME:
        board.flash.poke(RUNNING.image.start + number * SECTOR, part(number))
    image = board.flash.peek(RUNNING.image.start, len(IMAGE))
    board.flash.poke(RUNNING.table.start, blocks.table_sector(blocks.block_table(image)))
    vm = board.start()
    board.flash.reset_counters()
    return Updater(board, vm)


def part(number: int) -> bytes:
    """A block of the release."""
    return IMAGE[number * SECTOR : (number + 1) * SECTOR]


def fetched(updater: Updater) -> list[str | None]:
    return [request.range for request in updater.images()]


def check_running_untouched(updater: Updater) -> None:
    assert not [op for op in updater.board.operations() if op.addr in RUNNING.image or op.addr in RUNNING.table]


def test_equal_blocks_are_copied_and_the_others_fetched(updater: Updater) -> None:
    assert updater.run() == DONE

    assert updater.slot() == IMAGE
    assert fetched(updater) == ["bytes=12288-28671", f"bytes=32768-{LAST * SECTOR - 1}"]
    assert updater.written_blocks() == [*SAME, *(number for number in range(BLOCKS) if number not in SAME)]
    assert updater.agent.written == BLOCKS
    check_running_untouched(updater)


def test_a_block_that_is_not_what_the_running_table_says_is_fetched(updater: Updater) -> None:
    updater.board.flash.poke(RUNNING.image.start + 7 * SECTOR + 9, bytes(1))

    assert updater.run() == DONE

    assert updater.slot() == IMAGE
    assert fetched(updater) == [f"bytes=12288-{LAST * SECTOR - 1}"]
    assert updater.written_blocks().count(7) == 1, "a wrong block was written"


def test_a_copy_that_did_not_take_is_no_block_in_place(updater: Updater) -> None:
    """It is fetched like any other, and its sector is given up by the writer."""
    sector = SPARE.image.start // SECTOR + 7
    updater.board.flash.poke(sector * SECTOR, bytes(SECTOR))
    updater.board.flash.set_stuck(sector)
    with refusal(updater.vm, "FlashError", 60, sector * SECTOR):
        updater.run()
    assert fetched(updater)


@pytest.mark.parametrize("table", [b"\xff" * SECTOR, bytes(SECTOR), blocks.table_sector(blocks.block_table(IMAGE))],
                         ids=["blank", "zeros", "of-the-release"])
def test_a_running_table_that_lies_costs_nothing_but_the_copies(updater: Updater, table: bytes) -> None:
    updater.board.flash.poke(RUNNING.table.start, table)

    assert updater.run() == DONE

    assert updater.slot() == IMAGE
    assert sorted(updater.written_blocks()) == list(range(BLOCKS))


def test_blocks_that_the_spare_slot_has_are_not_copied(updater: Updater) -> None:
    updater.board.flash.poke(SPARE.image.start, part(0) + part(1))

    assert updater.run() == DONE

    assert updater.slot() == IMAGE and updater.written_blocks()[0] == 2


def test_nothing_is_fetched_when_the_two_slots_hold_all_of_it(updater: Updater) -> None:
    for number in set(range(BLOCKS)) - set(SAME):
        updater.board.flash.poke(SPARE.image.start + number * SECTOR, part(number))

    assert updater.run() == DONE

    assert updater.slot() == IMAGE and fetched(updater) == []
    assert updater.written_blocks() == list(SAME)


def test_a_damaged_table_of_the_spare_slot_costs_no_block(updater: Updater) -> None:
    """A cut while the table was written, and cells that decay later: the image beside it is whole."""
    damaged = bytes(255 - byte for byte in blocks.block_table(IMAGE))
    updater.board.flash.poke(SPARE.image.start, IMAGE)
    updater.board.flash.poke(SPARE.table.start, blocks.table_sector(damaged))

    assert updater.run() == DONE

    assert updater.slot() == IMAGE and fetched(updater) == [] and updater.written_blocks() == []
