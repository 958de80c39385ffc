"""Keys change over the air, with the real device modules: rotation, revocation, and what a stolen key can still do."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from slotbench.formats import document
from slotbench.formats.head import Head
from slotbench.formats.keys import Keys
from slotbench.formats.rtc import BootReason
from slotbench.release import store
from slotbench.release.keys import SigningKey
from slotbench.vboard.board import VirtualBoard
from slotbench.vboard.firmware import Behaviour
from slotbench.vboard.vm import DeviceVM
from support.device.board import signing_key
from support.testbed import (
    BUSY_MAIN,
    HOURS_MS,
    MINUTES_MS,
    NOW,
    PRODUCT,
    TestBed,
    make_testbed,
    runs_confirmed,
    update_to,
)

COPIES = ("/twoslot.keys", "/twoslot.keys2")
HEAD = store.head_name(PRODUCT, "stable")
HIGH_SEQ = 2**31 - 9
"""Above every seq that a publisher of today uses."""


@pytest.fixture
def testbed(tmp_path: Path, vm: Callable[..., DeviceVM]) -> TestBed:
    return make_testbed(tmp_path, vm=vm, main=BUSY_MAIN)


@functools.cache
def new_key(number: int) -> SigningKey:
    """A new key, generated once."""
    return signing_key("stranger") if number == 0 else SigningKey.generate()


def codes(board: VirtualBoard) -> list[int]:
    return [code for _, code, _ in board.evaluate("twoslot._log")]


def pinned(board: VirtualBoard) -> list[int]:
    """The epochs of both copies on the board."""
    return [Keys.from_payload(board.files[name].split(b"\n")[0]).epoch for name in COPIES]


def epoch_in_journal(board: VirtualBoard) -> int:
    assert board.cell is not None
    return board.cell.key_epoch


def put_head(testbed: TestBed, key: SigningKey, **changes: object) -> None:
    """Publish the present head with these changes, signed by this key."""
    site = testbed.publisher.site
    text = site.read(HEAD)
    assert text is not None
    head = replace(Head.from_payload(document.split_document(text).payload), **changes)
    site.write(HEAD, key.sign(head.to_payload()).pack())


def test_a_new_online_key_reaches_the_boards(testbed: TestBed) -> None:
    testbed.publish(2)
    board = testbed.board()
    update_to(board, 2)
    testbed.publisher.rotate(NOW + 2, online=new_key(0))
    testbed.publish(3)
    update_to(board, 3)
    assert pinned(board) == [2, 2] and epoch_in_journal(board) == 2
    assert not {21, 42, 45} & set(codes(board))
    asked = [request.path for request in board.network.requests if request.path.startswith("/keys/")]
    assert asked == [f"/keys/{PRODUCT}.2.keys"], "the new keys are fetched once, when they are needed"


def test_a_new_offline_key_reaches_a_board_that_missed_an_epoch(testbed: TestBed) -> None:
    """Two rotations while it was off: the known key signs the next epoch, and that one signs the last."""
    old = testbed.publisher.offline
    testbed.publisher.rotate(NOW + 1, add=new_key(0))
    testbed.publisher.rotate(NOW + 2, drop=old.key_id)
    assert old.modulus not in testbed.publisher.keys.offline
    testbed.publish(2)
    board = testbed.board()
    update_to(board, 2)
    assert pinned(board) == [3, 3] and epoch_in_journal(board) == 3
    testbed.publisher.offline_keys = (old,)
    site = testbed.publisher.site
    path = testbed.publisher.folder / f"{PRODUCT}-2.release"
    forged = old.sign(path.read_bytes().split(b"\n")[0].replace(b'"counter":2', b'"counter":9'))
    site.write(store.release_name(forged.digest), forged.pack())
    put_head(testbed, testbed.publisher.online, seq=HIGH_SEQ, counter=9, release=forged.digest)
    assert "21 key-not-pinned" in board.run_line("twoslot.update()"), "a release signed by the removed key"


def test_a_key_that_was_revoked_stays_so_after_a_rollback(testbed: TestBed) -> None:
    """The fallback uses the new keys, because they lie outside both slots."""
    stolen = testbed.publisher.online
    testbed.publish(2)
    board = testbed.board()
    update_to(board, 2)
    testbed.publisher.rotate(NOW + 2, online=new_key(0))
    testbed.publisher.refresh(NOW + 2)
    assert "up-to-date" in board.run_line("twoslot.check()")
    assert pinned(board) == [2, 2] and epoch_in_journal(board) == 2
    board.run_line("twoslot.rollback()")
    board.run(MINUTES_MS)
    assert runs_confirmed(board, 1)
    refuses_what_is_signed_with(stolen, board, testbed)


def test_a_key_that_was_revoked_stays_so_after_a_fallback(testbed: TestBed) -> None:
    stolen = testbed.publisher.online
    testbed.publisher.rotate(NOW + 1, online=new_key(0))
    testbed.publish(2, Behaviour.CRASH)
    board = testbed.board()
    board.power_on()
    board.run(HOURS_MS)
    assert board.boots[-1].why is BootReason.FALLBACK and runs_confirmed(board, 1)
    assert pinned(board) == [2, 2] and epoch_in_journal(board) == 2
    refuses_what_is_signed_with(stolen, board, testbed)


def refuses_what_is_signed_with(stolen: SigningKey, board: VirtualBoard, testbed: TestBed) -> None:
    """Heads of both epochs are refused and not recorded."""
    for epoch in (1, 2):
        put_head(testbed, stolen, epoch=epoch, seq=HIGH_SEQ)
        assert "21 key-not-pinned" in board.run_line("twoslot.check()")
    assert board.cell is not None and board.cell.head_seq < HIGH_SEQ
    assert pinned(board) == [2, 2] and runs_confirmed(board, 1)


def test_restored_old_keys_are_not_trusted(testbed: TestBed) -> None:
    """The journal knows the epoch: an old keys file serves only to follow to the newest one."""
    stolen = testbed.publisher.online
    testbed.publish(2)
    board = testbed.board()
    old = {name: board.files[name] for name in COPIES if name in board.files}
    testbed.publisher.rotate(NOW + 2, online=new_key(0))
    testbed.publish(3)
    update_to(board, 3)
    board.power_off()
    board.on_boot = None  # this breaks promise 11
    for name in COPIES:
        board.files.pop(name)
    board.files.update(old)
    put_head(testbed, stolen, epoch=1, seq=HIGH_SEQ)
    board.power_on()
    board.run(3 * MINUTES_MS)
    assert pinned(board) == [2, 2], "the newest keys were followed again"
    assert 21 in codes(board)
    testbed.publish(4)
    update_to(board, 4)


def test_a_stolen_online_key_cannot_freeze_a_fleet_for_good(testbed: TestBed) -> None:
    """The highest seq and a far date: the next epoch starts its own count."""
    testbed.publish(2)
    board = testbed.board()
    update_to(board, 2)
    latest = 2**31 - 1
    put_head(testbed, testbed.publisher.online, seq=latest, issued=latest - 1, expires=latest)
    assert "up-to-date" in board.run_line("twoslot.check()")
    cell = board.cell
    assert cell is not None and (cell.head_seq, cell.head_time) == (latest, latest - 1)
    put_head(testbed, testbed.publisher.online, seq=5, issued=NOW + 3)
    assert "35 head-outdated (5)" in board.run_line("twoslot.check()"), "the board is frozen now"
    testbed.publisher.rotate(NOW + 2, online=new_key(0))
    testbed.publisher.refresh(NOW + 2)
    testbed.publish(3)
    update_to(board, 3)
    cell = board.cell
    assert cell is not None and cell.key_epoch == 2 and cell.head_seq < HIGH_SEQ and cell.head_time < NOW + 10


def test_a_trial_proves_itself_with_new_keys_and_pins_them_when_it_has(testbed: TestBed) -> None:
    """The keys rotate while the board restarts into its trial."""
    testbed.publish(2)
    board = testbed.board()
    board.power_on()
    board.run(HOURS_MS, until=lambda: len(board.boots) == 2)
    testbed.publisher.rotate(NOW + 5, online=new_key(0))
    testbed.publisher.refresh(NOW + 6)
    assert pinned_before_confirm(board) == set()
    assert runs_confirmed(board, 2) and pinned(board) == [2, 2] and epoch_in_journal(board) == 2


def pinned_before_confirm(board: VirtualBoard) -> set[str]:
    """Run to the confirmation; return the files that changed before the journal named the new epoch."""
    files = dict(board.files)
    changed: set[str] = set()

    def look(waiting: VirtualBoard) -> None:
        cell = waiting.cell
        if cell is not None and not cell.confirmed and not runs_confirmed(waiting, 2):
            changed.update(name for name in COPIES if waiting.files.get(name) != files.get(name))

    board.on_wait = look
    board.run(HOURS_MS, until=lambda: runs_confirmed(board, 2) and epoch_in_journal(board) == 2)
    board.on_wait = None
    return changed


def test_a_trial_that_waits_for_its_application_pins_nothing(testbed: TestBed) -> None:
    testbed.edit = lambda files: files.update({
        "/twoslot.json": files["/twoslot.json"].replace(b"{", b'{"confirm": "manual", ', 1)})
    testbed.publish(2)
    board = testbed.board()
    board.power_on()
    board.run(HOURS_MS, until=lambda: len(board.boots) == 2)
    files = dict(board.files)
    testbed.publisher.rotate(NOW + 5, online=new_key(0))
    testbed.publisher.refresh(NOW + 6)
    board.run(5 * MINUTES_MS)
    assert board.files == files and not runs_confirmed(board, 2)
    board.run_line("twoslot.confirm()")
    board.run(HOURS_MS)
    assert runs_confirmed(board, 2) and pinned(board) == [2, 2]
