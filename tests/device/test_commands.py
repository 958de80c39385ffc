"""twoslot at the REPL: each command prints its result and leaves no module loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from slotbench import __version__
from slotbench.formats.journal import Ended, JournalCell, Report, SlotState
from slotbench.formats.rtc import BootReason
from slotbench.vboard.network.faults import FaultyNetwork
from slotbench.vboard.network.wsgi import WsgiNetwork
from slotbench.vboard.signals import ChipReset
from slotbench.vboard.vm import CPythonVM
from support.device.board import BOARD, CHANNEL, PRODUCT, RUNNING, DeviceBoard, firmware
from support.device.decision import first
from support.device.site import BLOCKS, Site, files_app

VERBS = ("status", "check", "update", "confirm", "rollback")


@pytest.fixture
def board(make_board: Callable[..., DeviceBoard], site: Site) -> DeviceBoard:
    return make_board(FaultyNetwork(WsgiNetwork(site.app())))


def call(vm: CPythonVM, verb: str, *arguments: object) -> Any:
    """Type a command at the REPL; returns its value, or the reset it ended in. Ctrl-C after ten hours."""
    vm.exec("import twoslot")
    vm.interrupt_at(vm.runtime.clock.ms + 36_000_000)
    try:
        return vm.eval(f"twoslot.{verb}({', '.join(map(repr, arguments))})")
    except ChipReset as reset:
        return reset
    finally:
        vm.interrupt_at(None)


def said(vm: CPythonVM) -> list[str]:
    """The lines printed so far, which all come from twoslot."""
    lines = vm.output.splitlines()
    assert all(line.startswith("twoslot: ") for line in lines), lines
    return [line.removeprefix("twoslot: ") for line in lines]


# status


def test_status_of_a_new_board(board: DeviceBoard) -> None:
    vm = board.start()

    assert call(vm, "status") == {
        "slot": "A", "version": "1.0.0", "counter": RUNNING, "why": BootReason.ORDINARY, "confirmed": True,
        "spare": None, "floor": 2, "bad": 0, "head": 0, "report": Report.NOTHING, "next": "A", "hook": True,
        "twoslot": f"{__version__} files", "hook_version": __version__}
    assert said(vm) == [] and board.network.requests == []


def test_status_in_a_trial(board: DeviceBoard) -> None:
    board.put_trial(spent=first(1), head_seq=44)
    status = call(board.start(1, BootReason.TRIAL, trial=True, left=2, counter=6), "status")

    assert (status["slot"], status["version"], status["spare"]) == ("B", "2.0.0", "1.0.0")
    assert (status["confirmed"], status["why"], status["next"], status["head"]) == (False, BootReason.TRIAL, "B", 44)


def test_status_after_a_fallback(board: DeviceBoard) -> None:
    board.put_trial(spent=first(3), ended=(Ended.EXCEPTION, *[None] * 7))
    status = call(board.start(0, BootReason.FALLBACK), "status")

    assert (status["slot"], status["why"], status["confirmed"]) == ("A", BootReason.FALLBACK, True)
    assert (status["bad"], status["report"], status["next"]) == (6, Report.BAD, "A")


def test_status_reports_that_nothing_would_boot(board: DeviceBoard) -> None:
    vm = board.start()
    vm.exec("import twoslot\ntwoslot.get_schedule()")
    board.put_cell(1, JournalCell(sequence=2, floor=99, state_a=SlotState.CONFIRMED, counter_a=RUNNING))

    assert call(vm, "status")["next"] is None


# check


def test_check_prints_the_offered_release(board: DeviceBoard) -> None:
    vm = board.start()

    assert call(vm, "check") is True
    assert said(vm) == [f"2.0.0 (counter 6, {len(firmware(2))} bytes) is offered"]
    assert board.newest().active == 0 and board.descriptor(1) is None


def test_check_prints_that_the_board_is_up_to_date(
    make_board: Callable[..., DeviceBoard], tmp_path: Any,
) -> None:
    old = Site(tmp_path / "old")
    old.publish(firmware(1), counter=RUNNING, version="1.0.0")
    vm = make_board(FaultyNetwork(WsgiNetwork(old.app()))).start()

    assert call(vm, "check") is False
    assert said(vm) == ["refused: 28 up-to-date (offered 5, running 5)"]


def test_check_prints_the_refusal(board: DeviceBoard) -> None:
    board.network.online = False
    vm = board.start()
    assert call(vm, "check") is False
    board.network.online = True
    board.network.inner.app = files_app({})  # type: ignore[attr-defined]
    assert call(vm, "check") is False

    assert said(vm) == ["refused: 1 not-connected; slotbench explain 1", "refused: 7 http-status (404); slotbench explain 7"]


@pytest.mark.parametrize(("confirm", "line", "confirmed"), [
    ("auto", "the trial is over", True), ("manual", "on trial, waiting for confirm()", False)])
def test_check_in_a_trial(
    make_board: Callable[..., DeviceBoard], site: Site, confirm: str, line: str, confirmed: bool,
) -> None:
    board = make_board(FaultyNetwork(WsgiNetwork(site.app())), confirm=confirm)
    board.put_trial(spent=first(1))
    vm = board.start(1, BootReason.TRIAL, trial=True, left=2, counter=6)
    vm.run_file("boot.py")

    assert call(vm, "check") is False
    assert said(vm) == [line]
    assert (not vm.eval("twoslot.deadline")) == confirmed
    assert (board.newest().state_b == SlotState.CONFIRMED) == confirmed


# update


def test_update_installs_and_restarts(board: DeviceBoard) -> None:
    vm = board.start()
    end = call(vm, "update")

    assert isinstance(end, ChipReset) and end.reason == 4
    lines = said(vm)
    assert lines[-2:] == [
        f"{BLOCKS} of {BLOCKS} blocks in place", "2.0.0 verified, restarting into its trial"]
    done = [int(line.split()[0]) for line in lines[:-1]]
    assert done == sorted(set(done)) and len(done) <= 10, "progress is a line for each tenth"
    assert (board.newest().active, board.newest().state_b) == (1, SlotState.READY)


def test_update_goes_on_after_lost_connections(board: DeviceBoard) -> None:
    """A connection that brings a block each time is slow; the waits do not grow."""
    vm = board.start()
    losses = 0

    def lose(text: str) -> None:
        nonlocal losses
        if "refused: 3 connection-failed (104)" in text:
            losses += 1
            board.network.inject(drop_after=6000)

    vm.runtime.console = lose
    board.network.inject(drop_after=12_000)
    start = board.soc.clock.ms
    assert isinstance(call(vm, "update"), ChipReset)

    assert losses > 8, "the connection was not lost often enough for this test"
    waited = board.soc.clock.ms - start
    assert waited < losses * 4000 + 20_000, (
        f"{waited / 1000:.0f} s for {losses} losses, a block gained before each")


def test_update_obeys_the_servers_wait(board: DeviceBoard) -> None:
    app = board.network.inner.app  # type: ignore[attr-defined]
    busy = ["503"]

    def sometimes(environ: dict[str, Any], start_response: Any) -> Any:
        if environ["PATH_INFO"].startswith("/images/") and busy:
            busy.pop()
            start_response("503 Service Unavailable", [("Retry-After", "120"), ("Content-Length", "0")])
            return []
        return app(environ, start_response)

    board.network.inner.app = sometimes  # type: ignore[attr-defined]
    vm = board.start()
    start = board.soc.clock.ms
    assert isinstance(call(vm, "update"), ChipReset)

    assert said(vm)[0] == "refused: 7 http-status (503); slotbench explain 7"
    assert 120_000 <= board.soc.clock.ms - start < 140_000


def test_update_waits_seconds_not_days_when_nobody_asked_for_a_week(board: DeviceBoard) -> None:
    """An application without tick(): the schedule was last used when the board was new."""
    vm = board.start()
    call(vm, "status")
    board.soc.clock.advance_ms(8 * 86_400_000)
    start = board.soc.clock.ms
    board.network.inject(drop_after=12_000)

    assert isinstance(call(vm, "update"), ChipReset)
    assert "refused: 3 connection-failed (104); slotbench explain 3" in said(vm)
    assert 1000 <= board.soc.clock.ms - start < 20_000


def test_update_gives_up_in_the_end(board: DeviceBoard) -> None:
    board.network.inner.app = files_app({})  # type: ignore[attr-defined]
    vm = board.start()

    assert call(vm, "update") is False
    assert said(vm) == ["refused: 7 http-status (404); slotbench explain 7"]


def test_update_by_force(make_board: Callable[..., DeviceBoard], site: Site) -> None:
    board = make_board(FaultyNetwork(WsgiNetwork(site.app())))
    board.put_cell(1, JournalCell(
        sequence=2, state_a=SlotState.CONFIRMED, counter_a=RUNNING, attempts=3, copies=8, bad_counter=6))
    vm = board.start()

    assert call(vm, "update") is False
    assert said(vm) == ["refused: 30 marked-bad (offered 6, running 5); slotbench explain 30"]
    assert isinstance(call(vm, "update", True), ChipReset)
    assert board.newest().active == 1


def test_update_in_a_trial_waits_for_confirm(make_board: Callable[..., DeviceBoard], site: Site) -> None:
    board = make_board(FaultyNetwork(WsgiNetwork(site.app())), confirm="manual")
    board.put_trial(spent=first(1))
    vm = board.start(1, BootReason.TRIAL, trial=True, left=2, counter=6)

    assert call(vm, "update") is False
    assert said(vm) == ["on trial, waiting for confirm()"]
    assert board.newest().state_b == SlotState.READY


# confirm and rollback


def test_confirm_once_and_again(board: DeviceBoard) -> None:
    board.put_trial(spent=first(1))
    vm = board.start(1, BootReason.TRIAL, trial=True, left=2, counter=6)
    vm.run_file("boot.py")
    call(vm, "confirm")
    call(vm, "confirm")

    assert said(vm) == ["confirmed", "was confirmed already"]
    assert board.newest().state_b == SlotState.CONFIRMED
    assert not vm.eval("twoslot.deadline")
    vm.exec("import time\ntime.sleep(1300)")


@pytest.mark.parametrize("running", [0, 1])
def test_rollback_goes_to_the_other_slot(board: DeviceBoard, running: int) -> None:
    board.put_trial(state_b=SlotState.CONFIRMED, active=running)
    vm = board.start(running, counter=(RUNNING, 6)[running])
    end = call(vm, "rollback")

    assert isinstance(end, ChipReset) and end.reason == 4
    assert said(vm) == ["back to slot " + "BA"[running]]
    assert board.newest().bad == ((True, False), (False, True))[running]


def test_rollback_without_another_release(board: DeviceBoard) -> None:
    vm = board.start()

    assert call(vm, "rollback") is False
    assert said(vm) == ["refused: 65 no-other-slot; slotbench explain 65"]


# A board that is not set up, and the log.


@pytest.mark.parametrize("verb", VERBS)
def test_a_board_that_is_not_set_up_says_so(board: DeviceBoard, verb: str) -> None:
    del board.files["/twoslot.json"]
    vm = board.start()

    assert call(vm, verb) is False
    assert said(vm) == ["refused: 70 settings; slotbench explain 70"]


@pytest.mark.parametrize("verb", ["status", "check", "update", "confirm"])
def test_a_board_that_is_set_up_now_needs_no_restart(board: DeviceBoard, verb: str) -> None:
    """A person puts twoslot.json onto the board and tries again, while the application has called tick()."""
    settings = board.files.pop("/twoslot.json")
    vm = board.start()
    vm.exec("import twoslot\ntwoslot.tick()")
    board.files["/twoslot.json"] = settings

    assert call(vm, verb) is not False
    assert not any(line.startswith("refused") for line in said(vm))


def test_log_prints_time_code_and_place(board: DeviceBoard) -> None:
    board.network.online = False
    vm = board.start()
    call(vm, "check")
    board.soc.clock.advance_ms(3_600_000)
    board.network.online = True
    board.network.inner.app = files_app({f"/heads/{PRODUCT}/{CHANNEL}.head": b"nonsense"})  # type: ignore[attr-defined]
    call(vm, "check")
    before = len(vm.output)
    call(vm, "log")

    first_line, second = (line.split() for line in vm.output[before:].splitlines())
    assert (first_line[1:], second[1:]) == (["1", "not-connected", "(0)"], ["20", "document-unreadable", "(0)"])
    assert 5000 <= int(first_line[0]) < 6000
    assert 3_605_000 <= int(second[0]) < 3_607_000, "the time is not that of the refusal"


def test_no_command_writes_outside_its_regions(board: DeviceBoard) -> None:
    """Loader, running slot, filesystem and exec window are never written by the device package."""
    vm = board.start()
    for verb in ("status", "check", "confirm", "update"):
        call(vm, verb)
    allowed = [
        BOARD.journal, BOARD.window_log, *(
            getattr(BOARD.slots[1], part) for part in ("table", "descriptor", "image"))]

    changed = [op.addr for op in board.operations()]
    assert changed and all(any(addr in region for region in allowed) for addr in changed)


# Quiet hours.


def at_night(board: DeviceBoard) -> CPythonVM:
    board.save_settings(quiet=[22, 6])
    vm = board.start()
    vm.exec("import machine\nmachine.RTC().datetime((2026, 5, 4, 0, 23, 0, 0, 0))")
    return vm


def test_check_in_quiet_hours_says_what_is_offered_and_that_it_waits(board: DeviceBoard) -> None:
    vm = at_night(board)

    assert call(vm, "check") is False
    lines = said(vm)
    assert lines[0].startswith("2.0.0 (counter 6, ") and lines[1] == "refused: 44 quiet-hours (6); slotbench explain 44"


def test_update_in_quiet_hours_needs_force(board: DeviceBoard) -> None:
    vm = at_night(board)

    assert call(vm, "update") is False
    assert board.network.requests == []
    assert isinstance(call(vm, "update", True), ChipReset)


def test_check_prints_the_refused_counter_and_the_reason(board: DeviceBoard) -> None:
    board.save_settings(board="another")
    vm = board.start()

    assert call(vm, "check") is False
    assert said(vm) == ["counter 6 is offered", "refused: 26 wrong-board; slotbench explain 26"]
