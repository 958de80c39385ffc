"""The same story on both VMs leaves the same flash, byte for byte but for the filesystem, after the same requests."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from slotbench.formats.document import Document
from slotbench.formats.head import Head
from slotbench.release import store
from slotbench.release.keys import SigningKey
from slotbench.vboard.board import BoardState, VirtualBoard
from slotbench.vboard.firmware import Behaviour
from slotbench.vboard.flash.cuts import Cut, CutMode
from slotbench.vboard.vms import VMS
from support.testbed import (
    APPLICATION,
    BUSY_MAIN,
    HOURS_MS,
    NOW,
    PRODUCT,
    TestBed,
    make_testbed,
    runs_confirmed,
    update_to,
)
from support.vboard.flash import outside_files

pytestmark = pytest.mark.usefixtures("micropython")

STRANGER = Path(__file__).parents[1] / "vectors" / "keys" / "test-only-stranger.pem"


def an_update(testbed: TestBed, board: VirtualBoard) -> None:
    testbed.publish(2)
    update_to(board, 2)


def resumed_after_a_torn_write(testbed: TestBed, board: VirtualBoard) -> None:
    testbed.publish(2)
    board.flash.arm(Cut(24, CutMode.TORN, 3))
    board.power_on()
    board.run(2 * HOURS_MS)
    assert board.state is BoardState.OFF, "the cut came"
    board.power_on()
    board.run(2 * HOURS_MS, until=lambda: runs_confirmed(board, 2))
    assert runs_confirmed(board, 2)


def back_from_a_bad_release(testbed: TestBed, board: VirtualBoard) -> None:
    testbed.publish(2, Behaviour.CRASH)
    board.power_on()
    board.run(HOURS_MS)
    cell = board.cell
    assert runs_confirmed(board, 1) and cell is not None and cell.bad_counter == 2


def back_from_one_that_cannot_import(testbed: TestBed, board: VirtualBoard) -> None:
    testbed.publish(2, Behaviour.NOIMPORT)
    board.power_on()
    board.run(2 * HOURS_MS)
    assert runs_confirmed(board, 1) and len(board.boots) == 5


def a_forged_release(testbed: TestBed, board: VirtualBoard) -> None:
    path, release = testbed.publisher.build(
        testbed.firmware("2.0.0"), [testbed.profile], version="2.0.0", counter=2, now=NOW)
    path.unlink()
    payload = release.to_payload()
    stranger = SigningKey.load(STRANGER)
    forged = Document(payload, testbed.publisher.offline.key_id, stranger.sign(payload).signature)
    head = Head(
        product=PRODUCT, channel="stable", epoch=1, seq=1, counter=2, issued=NOW, expires=NOW + 10**7,
        release=hashlib.sha256(payload).hexdigest())
    site = testbed.publisher.site
    site.write(store.release_name(head.release), forged.pack())
    site.write(store.head_name(PRODUCT, "stable"), testbed.publisher.online.sign(head.to_payload()).pack())
    board.power_on()
    board.run(HOURS_MS // 4)
    assert [code for _, code, _ in board.evaluate("twoslot._log")][0] == 22
    assert runs_confirmed(board, 1)


def by_hand_and_back(testbed: TestBed, board: VirtualBoard) -> None:
    testbed.publish(2)
    board.power_on()
    board.clock.advance_ms(10_000)
    board.run_line("twoslot.check()")
    board.run_line("twoslot.update()")
    board.run(HOURS_MS, until=lambda: runs_confirmed(board, 2))
    board.run_line("twoslot.rollback()")
    board.run(HOURS_MS)
    assert runs_confirmed(board, 1)


BESIDE = APPLICATION.replace("10240", "9216")
"""10,240 bytes fit beside an update on official 1.26.0 on the emulated chip, 11,264 do not: 1 KB less than that."""


@pytest.mark.parametrize(
    "story",
    [
        an_update, resumed_after_a_torn_write, back_from_a_bad_release, back_from_one_that_cannot_import,
        a_forged_release, by_hand_and_back,
    ],
    ids=lambda story: story.__name__,
)
def test_both_vms_leave_the_same_flash_beside_an_application(story: Callable[[TestBed, VirtualBoard], None], tmp_path: Path) -> None:
    left = {}
    for name, vm in VMS.items():
        folder = tmp_path / name
        folder.mkdir()
        testbed = make_testbed(folder, vm=vm, main=BESIDE + BUSY_MAIN)
        board = testbed.board()
        story(testbed, board)
        board.power_off()
        left[name] = (
            hashlib.sha256(outside_files(board)).hexdigest(), board.flash.operations, board.clock.us,
            [(request.path, request.status, request.received) for request in board.network.requests])
    assert left["cpython"] == left["micropython"]
