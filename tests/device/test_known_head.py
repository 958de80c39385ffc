"""twoslot.http.known_head: after a loss of power a head that the board decided about need not be sent again.

A 304 may hide nothing: whatever decided is in the seal of the file, and each part of it is needed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from slotbench.formats.rtc import ResetReason
from slotbench.release.publish import Rollout
from slotbench.vboard.flash.cuts import Cut, CutMode
from slotbench.vboard.network.faults import FaultyNetwork
from slotbench.vboard.network.wsgi import WsgiNetwork
from slotbench.vboard.signals import PowerCut
from slotbench.vboard.vm import CPythonVM
from support.device.board import NOW, RUNNING, DeviceBoard
from support.device.checks import HEAD, after_a_cut, check
from support.device.site import Site

FILE = "/twoslot.etag"
MODULE = "/twoslot/http/known_head.py"
INTERVAL_S = 7200
Make = Callable[..., DeviceBoard]


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Release 6 is offered to nobody yet; boards are told to check every two hours."""
    made = Site(tmp_path_factory.mktemp("held"))
    made.publish(rollout=Rollout(percent=0, interval_s=INTERVAL_S))
    return made


def board_of(make_board: Make, site: Site, **settings: Any) -> DeviceBoard:
    return make_board(FaultyNetwork(WsgiNetwork(site.app())), **settings)


def codes(vm: CPythonVM) -> list[int]:
    return [code for _, code, _ in vm.modules["twoslot"]._log]


# What it saves.


@pytest.mark.parametrize(("code", "rollout", "counter"), [
    (28, Rollout(), RUNNING), (39, Rollout(percent=0), 6), (40, Rollout(paused=True), 6)])
def test_after_a_loss_of_power_the_head_is_not_sent_again(
    make_board: Make, tmp_path: Path, code: int, rollout: Rollout, counter: int,
) -> None:
    site = Site(tmp_path / "site")
    site.publish(counter=counter, rollout=rollout)
    board = board_of(make_board, site)
    vm = board.start()
    assert check(board, vm) == [200] and codes(vm) == [code]
    whole = board.network.requests[-1].received
    assert after_a_cut(board) == [304] and board.network.requests[-1].received < whole / 4


@pytest.mark.parametrize("reason", [ResetReason.DEEP_SLEEP, ResetReason.RESTART, ResetReason.EXCEPTION])
def test_after_each_other_start_too(make_board: Make, held: Site, reason: ResetReason) -> None:
    """A board that sleeps deeply starts anew for each check."""
    board = board_of(make_board, held)
    assert check(board, board.start()) == [200]
    assert check(board, board.start(reason=reason)) == [304]


def test_the_file_is_one_sealed_record(make_board: Make, held: Site) -> None:
    """FORMATS.md, known head. It stays within what littlefs keeps in the folder."""
    board = board_of(make_board, held)
    check(board, board.start())
    head = (held.root / HEAD).read_bytes()
    raw = board.files[FILE]
    assert raw[:4] == b"2SE1" and int.from_bytes(raw[4:8], "little") == NOW + 60 + 30 * 86400
    assert int.from_bytes(raw[8:12], "little") == INTERVAL_S
    assert raw[20:].decode() == f'"{hashlib.sha256(head).hexdigest()}"' and len(raw) <= 128


def test_it_is_written_once_for_each_head(make_board: Make, tmp_path: Path) -> None:
    """Neither a check nor a loss of power wears the flash."""
    site = Site(tmp_path / "site")
    site.publish(rollout=Rollout(percent=0))
    board = board_of(make_board, site)
    for number in range(3):
        vm = board.start()
        vm.import_("twoslot").get_schedule()
        board.flash.reset_counters()
        assert check(board, vm) == [200]
        assert check(board, vm) == [304] == after_a_cut(board)
        assert [op.kind for op in board.operations() if op.kind == "commit"] == ["commit"], number
        site.publish(counter=7 + number, version=f"3.{number}", rollout=Rollout(percent=0))


def test_a_server_that_always_says_another_etag_does_not_wear_the_flash(make_board: Make, held: Site) -> None:
    """In the same start the newest one counts, as it did without a file."""
    board = board_of(make_board, held)
    vm = board.start()
    check(board, vm)
    kept = board.files[FILE]
    for number in range(3):
        board.network.inject(on=HEAD, times=1, etag=f'"{number}"', status=200, instead=(held.root / HEAD).read_bytes())
        check(board, vm)
        assert board.files[FILE] == kept
    assert vm.import_("twoslot")._schedule.etag is not True
    assert after_a_cut(board) == [304]


def test_the_interval_of_the_head_holds_after_a_loss_of_power(make_board: Make, held: Site) -> None:
    board = board_of(make_board, held)
    check(board, board.start())
    vm = board.start(reason=ResetReason.POWER)
    assert vm.import_("twoslot").get_schedule().interval_ms == 21_600_000
    assert check(board, vm) == [304]
    assert vm.import_("twoslot")._schedule.interval_ms == INTERVAL_S * 1000


# What it must not hide.


def _settings(**changes: object) -> Callable[[DeviceBoard], None]:
    return lambda board: board.save_settings(**changes)


def _cell(**changes: Any) -> Callable[[DeviceBoard], None]:
    def change(board: DeviceBoard) -> None:
        newest = board.newest()
        board.clear_journal()
        board.put_cell(0, replace(newest, **changes))

    return change


def _another_chip(board: DeviceBoard) -> None:
    board.soc.unique_id = b"\x4a\x7e\x1c\x01"


def _another_counter(board: DeviceBoard) -> None:
    board.put_slot(0, b"x" * 4096, counter=4, confirmed=True)


def _another_twoslot(board: DeviceBoard) -> None:
    path = "/twoslot/__init__.py"
    board.files[path] = board.files[path].replace(b'__version__ = "0', b'__version__ = "9')


DECIDED: dict[str, tuple[Callable[[DeviceBoard], None], bytes]] = {
    "cohort": (_settings(cohort="garden"), b"            h.update(piece)\n"),
    "chip": (_another_chip, b"machine.unique_id(), "),
    "twoslot": (_another_twoslot, b"twoslot.__version__, "),
    "counter": (_another_counter, b'facts["counter"], '),
    "floor": (_cell(floor=3), b'facts["floor"], '),
    "bad": (_cell(bad_counter=3), b'facts["bad"], '),
    "unproven": (_cell(unproven_counter=6), b'facts["unproven"], '),
    "rounds": (_cell(rounds=1), b'facts["rounds"],'),
    "seq": (_cell(head_seq=1), b'newest["seq"], '),
    "channel": (_cell(channel_tag=7), b'newest["tag"], '),
    "keys": (_cell(keys_digest=bytes(16)), b'newest["keys"],'),
}
"""What changes between the two checks, and the part of the seal that tells it."""


@pytest.mark.parametrize("name", DECIDED)
@pytest.mark.parametrize("whole", [True, False], ids=["sealed", "left-out"])
def test_each_part_of_the_decision_is_in_the_seal(
    make_board: Make, held: Site, name: str, whole: bool,
) -> None:
    """Without that part a 304 would hide what the board has to do now."""
    change, part = DECIDED[name]
    board = board_of(make_board, held)
    if not whole:
        assert board.files[MODULE].count(part) == 1, "the module has changed"
        board.files[MODULE] = board.files[MODULE].replace(part, b"            pass\n" if part[:1] == b" " else b"")
    check(board, board.start())
    change(board)
    assert after_a_cut(board) == ([200] if whole else [304])
    assert after_a_cut(board) == [304], "it is known again"


def test_the_settings_of_a_running_board_count_too(make_board: Make, held: Site) -> None:
    """Without a restart: a cohort is offered the release at the next check."""
    board = board_of(make_board, held)
    vm = board.start()
    assert check(board, vm) == [200] and check(board, vm) == [304]
    board.save_settings(cohort="garden")
    assert check(board, vm) == [200]


def test_a_firmware_that_a_cable_brought_is_another_one(make_board: Make, held: Site) -> None:
    """A board without the loader has no counter of it: MicroPython says which it is."""
    board = board_of(make_board, held)
    check(board, board.start())
    vm = board.start(reason=ResetReason.POWER)
    vm.exec("import sys\nsys.version = '3.4.0; MicroPython v1.29.0'")
    assert check(board, vm) == [200]


@pytest.mark.parametrize("code", [30, 36])
def test_what_is_news_is_said_again_after_a_start(make_board: Make, tmp_path: Path, code: int) -> None:
    """A release that this board cannot take is refused at each start, and so it is in its log and its report."""
    site = Site(tmp_path / "site")
    site.publish()
    board = board_of(make_board, site)
    if code == 30:
        _cell(bad_counter=6)(board)
    else:
        path = "/twoslot/trust/policy.py"
        board.files[path] = board.files[path].replace(b'<= facts["size"]:', b"<= 9:")
    vm = board.start()
    assert check(board, vm) == [200] and check(board, vm) == [304] and FILE not in board.files
    vm = board.start(reason=ResetReason.POWER)
    assert check(board, vm) == [200] and codes(vm) == [code]


def test_a_head_that_expired_meanwhile_is_to_be_shown(make_board: Make, held: Site) -> None:
    """And who answers 304 to that is no server: a freeze is noticed as it was."""
    board = board_of(make_board, held)
    check(board, board.start())
    for status, code in ((200, 34), (304, 8)):
        vm = board.start(reason=ResetReason.POWER)
        vm.exec("import machine\nmachine.RTC().datetime((2027, 5, 4, 0, 3, 2, 1, 0))")
        if status == 304:
            board.network.inject(on=HEAD, times=1, status=status)
        assert check(board, vm) == [status] and codes(vm) == [code]
        assert board.network.requests[-1].etag is None


def test_304_for_ever_is_as_good_as_silence(make_board: Make, tmp_path: Path) -> None:
    """Whoever holds the way to the server keeps a new head back, and no longer than that."""
    site = Site(tmp_path / "site")
    site.publish(rollout=Rollout(percent=0))
    board = board_of(make_board, site)
    check(board, board.start())
    site.publish(counter=7, version="3.0", rollout=Rollout(percent=0))
    board.network.inject(on=HEAD, times=3, status=304)
    seen = board.newest().head_seq
    for _ in range(3):
        assert after_a_cut(board) == [304] and board.newest().head_seq == seen
    assert after_a_cut(board) == [200] and board.newest().head_seq > seen


def test_a_304_that_nobody_asked_for_is_refused_after_a_cut(make_board: Make, held: Site) -> None:
    board = board_of(make_board, held)
    board.network.inject(on=HEAD, times=1, status=304)
    vm = board.start(reason=ResetReason.POWER)
    check(board, vm)
    assert codes(vm) == [8] and FILE not in board.files


# Where it is torn, or cannot be written.


def test_no_damage_is_believed(make_board: Make, held: Site) -> None:
    board = board_of(make_board, held)
    vm = board.start()
    check(board, vm)
    raw, known_head = board.files[FILE], vm.import_("twoslot.http.known_head")
    agent = vm.import_("twoslot").load_agent()
    agent.begin()
    while not agent.facts:
        agent.step()
    facts = agent.facts
    assert known_head.load(facts) == (raw[20:].decode(), NOW + 60 + 30 * 86400, INTERVAL_S)
    torn = [raw[:n] for n in range(len(raw))] + [raw + b"x", raw * 9, b"\xff" * 128]
    flipped = [raw[:at] + bytes([raw[at] ^ 1 << at % 8]) + raw[at + 1 :] for at in range(len(raw))]
    for each in (*torn, *flipped):
        board.files[FILE] = each
        assert known_head.load(facts) is None, each


@pytest.mark.parametrize("before", [None, b"", b"2SE1", bytes(128), b"\xff" * 4096], ids=repr)
def test_a_file_that_is_none_is_replaced(make_board: Make, held: Site, before: bytes | None) -> None:
    board = board_of(make_board, held)
    if before is not None:
        board.files[FILE] = before
    assert check(board, board.start()) == [200]
    assert after_a_cut(board) == [304]


@pytest.mark.parametrize("mode", [CutMode.BEFORE, CutMode.AFTER])
@pytest.mark.parametrize("index", range(4))
def test_power_is_lost_while_a_head_is_remembered(
    make_board: Make, tmp_path: Path, index: int, mode: CutMode,
) -> None:
    """At each operation: what is found later is the old head, the new one or none, and never a wrong 304."""
    site = Site(tmp_path / "site")
    site.publish(rollout=Rollout(percent=0))
    board = board_of(make_board, site)
    check(board, board.start())
    site.publish(counter=7, version="3.0", rollout=Rollout(percent=0))
    vm = board.start()
    vm.import_("twoslot").get_schedule()
    board.flash.arm(Cut(board.flash.operations + index, mode))
    try:
        check(board, vm)
        assert index > 1, "there are fewer operations than that"
    except PowerCut:
        pass
    board.flash.disarm()
    board.flash.power_on()
    status, = after_a_cut(board)
    assert status == 200 or board.files[FILE][20:].decode() == f'"{hashlib.sha256((site.root / HEAD).read_bytes()).hexdigest()}"'
    assert after_a_cut(board) == [304]


def test_where_nothing_can_be_written_the_head_is_known_until_the_next_start(make_board: Make, held: Site) -> None:
    board = board_of(make_board, held)
    board.files[MODULE] = board.files[MODULE].replace(b'with open(_FILE, "wb") as f:', b"raise OSError(28)\n        if 0:")
    vm = board.start()
    assert check(board, vm) == [200] and check(board, vm) == [304] and check(board, vm) == [304]
    assert after_a_cut(board) == [200] and FILE not in board.files
    assert 79 not in codes(vm)


@pytest.mark.parametrize("etag", [None, '"%s"' % ("x" * 200)])
def test_an_etag_that_does_not_fit_is_not_kept(make_board: Make, held: Site, etag: str | None) -> None:
    board = board_of(make_board, held)
    answer = {"instead": (held.root / HEAD).read_bytes(), **({"etag": etag} if etag else {})}
    board.network.inject(on=HEAD, times=1, status=200, **answer)
    check(board, board.start())
    assert FILE not in board.files
    assert after_a_cut(board) == [200]
