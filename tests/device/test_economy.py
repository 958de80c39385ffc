"""Nothing is fetched, erased or written twice where nothing fails, and what reads blank is not erased."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from slotbench.formats import blocks
from slotbench.vboard.flash.cuts import Cut, CutMode
from slotbench.vboard.flash.nor import SECTOR
from slotbench.vboard.network.wsgi import WsgiNetwork
from slotbench.vboard.signals import PowerCut
from support.device.board import BOARD, DeviceBoard, firmware
from support.device.site import BLOCKS, DONE, IMAGE, Site, Updater
from support.relinked import relinked

RUNNING, SPARE = BOARD.slots
TABLE = blocks.block_table(IMAGE)
OLD, NEW = relinked(), relinked(20, changed=40)


def updater_of(make_board: Callable[..., DeviceBoard], site: Site, *pokes: tuple[int, bytes]) -> Updater:
    """A board with these bytes in its flash, at rest."""
    board = make_board(WsgiNetwork(site.app()))
    for address, data in pokes:
        board.flash.poke(address, data)
    vm = board.start()
    board.flash.reset_counters()
    return Updater(board, vm)


def old_content(*missing: int) -> bytes:
    """An older image, or the new one without these blocks."""
    data = bytearray(IMAGE if missing else firmware(7))
    for number in missing:
        data[number * SECTOR:(number + 1) * SECTOR] = bytes(len(data[number * SECTOR:(number + 1) * SECTOR]))
    return bytes(data)


@pytest.mark.parametrize("left", [
    (), ((SPARE.image.start, old_content()),),
    ((SPARE.image.start, old_content(3, 4, 9)), (SPARE.table.start, TABLE)),
    ((SPARE.image.start, old_content(*range(0, BLOCKS, 2))), (SPARE.table.start, TABLE)),
    ((SPARE.image.start, old_content(BLOCKS - 1)),),
], ids=["blank", "another image", "three missing", "every other missing", "the last missing"])
def test_what_is_fetched_is_what_is_needed(
    make_board: Callable[..., DeviceBoard], site: Site, left: tuple[tuple[int, bytes], ...],
) -> None:
    updater = updater_of(make_board, site, *left)
    needed = sum(
        len(IMAGE[number * SECTOR:(number + 1) * SECTOR]) for number in range(BLOCKS)
        if updater.slot()[number * SECTOR:(number + 1) * SECTOR] != IMAGE[number * SECTOR:(number + 1) * SECTOR])
    had_table = updater.board.flash.peek(SPARE.table.start, len(TABLE)) == TABLE
    for path in ("heads/lamp/stable.head", "releases/*.release"):
        needed += next(site.root.glob(path)).stat().st_size
    needed += 0 if had_table else len(TABLE)

    assert updater.run() == DONE and updater.slot() == IMAGE
    fetched = sum(request.body_bytes for request in updater.network.requests)
    print(f"{fetched} of {needed} bytes: {fetched / needed:.4f}")
    assert needed <= fetched <= 1.02 * needed
    sectors = updater.board.erased()
    assert len(sectors) == len(set(sectors)), "a sector was erased twice"
    written = updater.written_blocks()
    assert len(written) == len(set(written)), "a block was written twice"


def test_a_patch_is_fetched_once_and_nothing_beside_it(make_board: Callable[..., DeviceBoard], tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.publish(OLD, counter=5)
    site.publish(NEW, patches=2)
    board = make_board(WsgiNetwork(site.app()))
    board.put_slot(0, OLD, counter=5, version="1.0.0", floor=2, confirmed=True)
    vm = board.start()
    board.flash.reset_counters()
    updater = Updater(board, vm)
    assert updater.run() == DONE and updater.slot(len(NEW)) == NEW

    asked = [request.path for request in board.network.requests]
    assert len(asked) == len(set(asked)) == 4, "head, release, table, patch"
    needed = sum((site.root / path[1:]).stat().st_size for path in asked)
    fetched = sum(request.body_bytes for request in board.network.requests)
    assert needed <= fetched <= 1.02 * needed
    assert not updater.erased_blocks()


# What reads blank.


def test_a_slot_that_was_never_written_is_not_erased(make_board: Callable[..., DeviceBoard], site: Site) -> None:
    updater = updater_of(make_board, site)
    assert updater.run() == DONE and updater.slot() == IMAGE
    assert updater.erased_blocks() == [] and updater.written_blocks() == list(range(BLOCKS))


@pytest.mark.parametrize("where", [SPARE.table.start + len(TABLE) - 1, SPARE.image.start + SECTOR - 1])
def test_a_slot_that_was_written_once_is_erased_where_it_reads_blank_too(
    make_board: Callable[..., DeviceBoard], site: Site, where: int,
) -> None:
    """A byte of the table or of the first block: an erase in this slot may have been cut."""
    updater = updater_of(make_board, site, (where, b"\x7f"))
    assert updater.run() == DONE and updater.slot() == IMAGE
    assert updater.erased_blocks() == list(range(BLOCKS))


def test_one_byte_in_a_sector_is_found(make_board: Callable[..., DeviceBoard], site: Site) -> None:
    pokes = [(SPARE.image.start + 2 * SECTOR, b"\xfe"), (SPARE.image.start + 5 * SECTOR + 2047, b"\x7f"),
             (SPARE.image.start + (BLOCKS - 1) * SECTOR + SECTOR - 1, b"\x00")]
    updater = updater_of(make_board, site, *pokes)
    assert updater.run() == DONE and updater.slot() == IMAGE
    assert updater.erased_blocks() == [2, 5, BLOCKS - 1]


@pytest.mark.parametrize("mode", [CutMode.TORN, CutMode.AFTER, CutMode.WEAK])
def test_after_a_cut_nothing_is_taken_for_blank(
    make_board: Callable[..., DeviceBoard], site: Site, mode: CutMode,
) -> None:
    """The first session writes without an erase; those behind its cut erase each block that is missing."""
    board = make_board(WsgiNetwork(site.app()))
    vm = board.start()
    updater = Updater(board, vm)
    board.flash.arm(Cut(board.flash.operations + 40, mode, 1))
    with pytest.raises(PowerCut):
        updater.run()
    board.flash.power_on()
    again = Updater(board, board.start())
    board.flash.reset_counters()
    assert again.run() == DONE and again.slot() == IMAGE
    assert again.erased_blocks() == again.written_blocks() != []
