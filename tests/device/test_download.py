"""twoslot.image.download: what a server sends as the block table, whatever its length."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from slotbench.formats import blocks, document
from slotbench.vboard.flash.nor import SECTOR
from slotbench.vboard.network.wsgi import WsgiNetwork
from support.device.board import BOARD, DeviceBoard, refusal
from support.device.release import offer, payload, release_fields
from support.device.site import BLOCKS, DONE, IMAGE, Updater, files_app, offer_files

TABLE = blocks.block_table(IMAGE)
PLACE = BOARD.slots[1].table.start


@pytest.fixture
def updater_of(make_board: Callable[..., DeviceBoard]) -> Callable[[bytes], Updater]:
    """A board whose server has the right documents and image, and this table."""

    def made(table: bytes) -> Updater:
        digest = document.payload_digest(payload(release_fields()))
        files = offer_files(offer(), release_fields(), digest, IMAGE, table)
        board = make_board(WsgiNetwork(files_app(files)))
        return Updater(board, board.start())

    return made


@pytest.mark.parametrize("size", [0, 1, 16, len(TABLE) - 16, len(TABLE) - 1])
def test_a_table_that_is_too_short_is_refused(updater_of: Callable[[bytes], Updater], size: int) -> None:
    updater = updater_of(TABLE[:size])

    with refusal(updater.vm, "LinkError", 13, 0):
        updater.run()
    assert updater.board.flash.peek(PLACE, SECTOR) == b"\xff" * SECTOR
    assert updater.losses > 1, "one bad answer may be the wire's fault"


@pytest.mark.parametrize("more", [1, 16, SECTOR, 5 * SECTOR])
def test_what_comes_behind_a_table_is_not_read(updater_of: Callable[[bytes], Updater], more: int) -> None:
    """Nothing but the release's table is written, and the rest is not taken for the answer that follows."""
    updater = updater_of(TABLE + b"x" * more)

    assert updater.run() == DONE
    assert updater.board.flash.peek(PLACE, SECTOR) == blocks.table_sector(TABLE)
    assert updater.slot() == IMAGE and updater.agent.written == BLOCKS and updater.losses == 0
