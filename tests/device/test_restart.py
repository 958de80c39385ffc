"""twoslot.before_restart(): the application hears of every restart that twoslot makes, and may ask for a later one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from slotbench.formats.journal import JournalCell, SlotState
from slotbench.vboard.network.wsgi import WsgiNetwork
from slotbench.vboard.signals import ChipReset
from slotbench.vboard.vm import CPythonVM
from support.device.board import RUNNING, DeviceBoard
from support.device.site import Site

MINUTE_MS = 60_000
HOOK = """\
import time, twoslot
calls = []
def hook():
    calls.append(time.ticks_ms())
    {body}
twoslot.before_restart(hook)
"""


@pytest.fixture
def board(make_board: Callable[..., DeviceBoard], site: Site) -> DeviceBoard:
    return make_board(WsgiNetwork(site.app()))


def application(board: DeviceBoard, body: str) -> CPythonVM:
    vm = board.start()
    vm.exec(HOOK.format(body=body))
    return vm


def run(board: DeviceBoard, vm: CPythonVM, ms: int = 20 * MINUTE_MS) -> int:
    """Call tick() as a main loop does until the board restarts; returns the milliseconds that it took."""
    begin_ms = board.soc.clock.ms
    tick = vm.modules["twoslot"].tick
    while board.soc.clock.ms < begin_ms + ms:
        try:
            tick()
        except ChipReset:
            return int(board.soc.clock.ms - begin_ms)
        board.soc.clock.advance_ms(100)
    raise AssertionError("the board never restarted")


def said(vm: CPythonVM) -> list[str]:
    return [line.removeprefix("twoslot: ") for line in vm.output.splitlines()]


def test_it_is_called_before_the_restart_into_a_trial(board: DeviceBoard) -> None:
    vm = application(board, "return None")
    assert run(board, vm) < 2 * MINUTE_MS
    assert vm.eval("len(calls)") == 1
    assert (board.newest().active, board.newest().state_b) == (1, SlotState.READY)


def test_it_may_ask_for_a_later_moment(board: DeviceBoard) -> None:
    """Twice for 20 s; then it agrees. Meanwhile the application runs, and nothing of the agent is in memory."""
    vm = application(board, "return 20_000 if len(calls) < 3 else 0")
    requests: list[int] = []
    vm.exec("twoslot._pollers.append(lambda: seen.append('twoslot.agent' in __import__('sys').modules))\nseen = []")
    run(board, vm)
    first, second, third = vm.eval("calls")
    assert 20_000 <= second - first < 21_000 and 20_000 <= third - second < 21_000
    assert not any(vm.eval("seen[-150:-5]")), "the agent waits in memory"
    assert board.newest().active == 1 and not requests


@pytest.mark.parametrize(("limit_s", "waited_s"), [(None, 300), (90, 90), (0, 0)])
def test_the_settings_limit_how_long_it_may_ask(board: DeviceBoard, limit_s: int | None, waited_s: int) -> None:
    board.save_settings(restart_delay_s=limit_s)
    vm = application(board, "return 40_000")
    run(board, vm)
    calls = vm.eval("calls")
    assert waited_s * 1000 <= calls[-1] - calls[0] < waited_s * 1000 + 4000


@pytest.mark.parametrize("body", ["raise ValueError('relay')", "return 'later'", "undefined_name", "return [1]"])
def test_what_it_raises_does_not_stop_the_restart(board: DeviceBoard, body: str) -> None:
    vm = application(board, body)
    run(board, vm)
    assert vm.eval("len(calls)") == 1
    assert [code for _, code, _ in vm.modules["twoslot"]._log] == [75]
    assert said(vm)[0].startswith("before_restart: ")


@pytest.mark.parametrize("body", ["return -5", "return False", "return ''"])
def test_whatever_is_no_time_means_now(board: DeviceBoard, body: str) -> None:
    vm = application(board, body)
    run(board, vm)
    assert vm.eval("len(calls)") == 1


def test_who_asks_again_and_again_is_called_once_a_second_at_most(board: DeviceBoard) -> None:
    vm = application(board, "return 1 if len(calls) < 5 else None")
    run(board, vm)
    calls = vm.eval("calls")
    assert all(later - earlier >= 1000 for earlier, later in zip(calls, calls[1:]))


def test_without_one_nothing_of_it_is_loaded(board: DeviceBoard) -> None:
    vm = board.start()
    vm.exec("import twoslot")
    assert run(board, vm) < 2 * MINUTE_MS
    assert "twoslot.restart" not in vm.modules


def test_update_waits_for_it_and_rollback_only_tells_it(board: DeviceBoard) -> None:
    vm = application(board, "return 30_000 if len(calls) < 2 else 0")
    with pytest.raises(ChipReset):
        vm.eval("twoslot.update()")
    assert said(vm)[-2:] == ["2.0.0 verified, restarting into its trial", "the application asks for 30 s more"]
    assert vm.eval("calls[1] - calls[0]") >= 30_000

    board.put_trial(state_b=SlotState.CONFIRMED, active=0)
    vm = application(board, "return 30_000")
    begin_ms = board.soc.clock.ms
    with pytest.raises(ChipReset):
        vm.eval("twoslot.rollback()")
    assert vm.eval("len(calls)") == 1 and board.soc.clock.ms - begin_ms < 5000


# An update that is verified and waits for its restart.


def waiting(board: DeviceBoard) -> CPythonVM:
    """A board that asked for a later moment when release 6 was verified."""
    vm = application(board, "return 200_000")
    tick = vm.modules["twoslot"].tick
    while board.newest().active == 0:
        tick()
        board.soc.clock.advance_ms(100)
    assert vm.eval("len(calls)") == 1
    board.network.requests.clear()
    board.flash.reset_counters()
    return vm


@pytest.mark.parametrize("soft_reset", [False, True])
def test_check_changes_nothing_while_an_update_waits(board: DeviceBoard, soft_reset: bool) -> None:
    """It once cancelled the update and printed that the trial was over."""
    vm = waiting(board)
    if soft_reset:
        vm.close()
        vm = CPythonVM(board.soc, board.files, board.network)
        vm.exec("import twoslot")
    assert vm.eval("twoslot.check()") is True
    assert said(vm)[-1] == "2.0.0 is verified and waits for the restart"
    assert board.operations() == [] and board.network.requests == []
    assert (board.newest().active, board.newest().state_b) == (1, SlotState.READY)
    vm.eval("twoslot.confirm()")
    assert said(vm)[-1] == "was confirmed already" and board.operations() == []
    assert vm.eval("twoslot.rollback()") is False and board.operations() == []
    assert vm.eval("twoslot.status()['next']") == "B"


@pytest.mark.parametrize("verb", ["update", "tick"])
def test_an_update_that_was_interrupted_before_its_restart_goes_on(board: DeviceBoard, verb: str) -> None:
    """Ctrl-C in update() while it waits, or the end of main.py: whoever comes next restarts into the trial."""
    vm = board.start()
    vm.exec(HOOK.format(body="return 100_000"))
    vm.interrupt_at(board.soc.clock.ms + 60_000)
    with pytest.raises(KeyboardInterrupt):
        vm.eval("twoslot.update()")
    vm.interrupt_at(None)
    assert board.newest().active == 1
    vm.close()
    vm = CPythonVM(board.soc, board.files, board.network)
    vm.exec("import twoslot")
    board.network.requests.clear()
    if verb == "update":
        with pytest.raises(ChipReset):
            vm.eval("twoslot.update()")
        assert said(vm)[-1] == "2.0.0 verified, restarting into its trial"
    else:
        run(board, vm, 2 * MINUTE_MS)
    assert board.network.requests == []
    assert (board.newest().active, board.newest().state_b) == (1, SlotState.READY)


# Other restarts.


def test_it_is_called_before_a_restart_for_room(board: DeviceBoard) -> None:
    vm = application(board, "return 120_000 if len(calls) < 2 else 0")
    board.save_settings(interval_s=60)
    board.put_cell(1, JournalCell(
        sequence=2, state_a=SlotState.CONFIRMED, counter_a=RUNNING, attempts=3, copies=8))
    real = vm._load

    def no_room(name: str) -> object:
        if name == "twoslot.trust.verify":
            raise MemoryError
        return real(name)

    vm._load = no_room  # type: ignore[method-assign]
    assert run(board, vm, 60 * MINUTE_MS) >= 15 * MINUTE_MS
    assert vm.eval("len(calls)") == 2
    assert "restarting to update before it" in said(vm)[-1]
