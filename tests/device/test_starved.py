"""Where the program leaves so little heap or stack that not even the outcome of an attempt can be loaded.

What decides then is in memory, and needs neither: a board must not stay without a check for it.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from slotbench.formats.rtc import BootReason
from slotbench.vboard.network.wsgi import WsgiNetwork
from slotbench.vboard.signals import ChipReset
from slotbench.vboard.vm import CPythonVM
from support.device.board import DeviceBoard
from support.device.decision import first
from support.device.site import Site
from support.device.starved import RESTART, NeverLoads, run_main

TURNS = 0x600013D8
CHECK_FIRST = 1 << 27
MINUTE_MS, HOUR_MS = 60_000, 3_600_000
MEMORY, STACK = MemoryError, RuntimeError


@pytest.fixture
def board(make_board: Callable[..., DeviceBoard], site: Site) -> DeviceBoard:
    """A release is offered."""
    return make_board(WsgiNetwork(site.app()), interval_s=600)


def restarts(board: DeviceBoard) -> int:
    """Because nothing could be loaded, since a check beside main.py."""
    return board.soc.read_word(TURNS) >> 28 & 3


def logged(vm: CPythonVM) -> set[tuple[int, int]]:
    return {(code, where) for _, code, where in vm.modules["twoslot"]._log}


# Each module that an outcome needs, and what comes before it.


@pytest.mark.parametrize("error", [MEMORY, STACK], ids=["MemoryError", "RuntimeError"])
@pytest.mark.parametrize("module", ["schedule", "retained", "failures", "outcome"])
def test_a_board_that_can_load_nothing_restarts_after_a_quarter_of_an_hour(
    board: DeviceBoard, module: str, error: type[Exception],
) -> None:
    board.files["/twoslot/agent.py"] = b"raise MemoryError"
    board.files = NeverLoads(board.files, module, error)
    vm = board.start()
    passed = run_main(board, vm, HOUR_MS)

    assert passed and 14 * MINUTE_MS <= passed <= 18 * MINUTE_MS
    assert board.soc.read_word(TURNS) & CHECK_FIRST and restarts(board) == 1
    assert (0, 0) in logged(vm) if error == MEMORY else (78, 1) in logged(vm)


def test_a_program_that_leaves_too_little_stack_restarts_too(board: DeviceBoard) -> None:
    """The outcome can be loaded, but no attempt comes to its end."""
    board.files = NeverLoads(board.files, "trust/verify", STACK)
    vm = board.start()
    passed = run_main(board, vm, HOUR_MS)

    assert passed and 15 * MINUTE_MS <= passed <= 30 * MINUTE_MS and logged(vm) == {(78, 0)}
    assert board.soc.read_word(TURNS) & CHECK_FIRST


def test_the_start_after_it_updates_before_main(board: DeviceBoard) -> None:
    files = board.files
    board.files = NeverLoads(files, "outcome", MEMORY)
    board.files["/twoslot/agent.py"] = b"raise MemoryError"
    assert run_main(board, board.start(), HOUR_MS)

    board.files = files
    vm = board.start(reason=RESTART)
    with pytest.raises(ChipReset):
        vm.run_file("boot.py")
    assert "updating before main.py" in vm.output and board.newest().active == 1


@pytest.mark.parametrize("error", [MEMORY, STACK], ids=["MemoryError", "RuntimeError"])
def test_a_program_that_restarts_by_itself_gets_its_update_at_that_start(
    board: DeviceBoard, error: type[Exception],
) -> None:
    files = board.files
    board.files = NeverLoads(files, "outcome", error)
    board.files["/twoslot/agent.py"] = b"raise MemoryError"
    assert run_main(board, board.start(), 2 * MINUTE_MS) is None  # too early for a restart of twoslot's

    board.files = files
    vm = board.start(reason=RESTART)
    with pytest.raises(ChipReset):
        vm.run_file("boot.py")
    assert "before main.py" in vm.output and board.newest().active == 1


@pytest.mark.parametrize(("known", "minutes"), [(0, 15), (1, 30), (2, 60), (3, 120)])
def test_each_restart_without_use_doubles_the_time(board: DeviceBoard, known: int, minutes: int) -> None:
    board.files = NeverLoads(board.files, "schedule", MEMORY)
    vm = board.start()
    board.soc.write_word(TURNS, known << 28)
    passed = run_main(board, vm, 3 * HOUR_MS)

    assert passed and (minutes - 1) * MINUTE_MS <= passed <= (minutes + 3) * MINUTE_MS
    assert restarts(board) == min(known + 1, 3)


def test_one_that_finds_nothing_to_install_keeps_the_count(board: DeviceBoard, make_board: Callable[..., DeviceBoard]) -> None:
    board.start()
    board.network.online = False
    board.soc.write_word(TURNS, 2 << 28 | CHECK_FIRST)
    vm = board.start(reason=RESTART)
    with pytest.raises(ChipReset):
        vm.run_file("boot.py")
    assert "updating before main.py" in vm.output and restarts(board) == 2


def test_a_check_beside_main_takes_the_count_back(make_board: Callable[..., DeviceBoard], site: Site) -> None:
    board = make_board(WsgiNetwork(site.app()), interval_s=600)
    board.put_slot(0, b"x" * 4096, counter=9, confirmed=True)
    vm = board.start(counter=9)
    board.soc.write_word(TURNS, 2 << 28)
    run_main(board, vm, 5 * MINUTE_MS)
    assert restarts(board) in (0, 2)
    run_main(board, vm, 30 * MINUTE_MS)
    assert vm.modules["twoslot"]._failed_loads == 0


def test_an_attempt_that_ends_in_between_begins_the_time_anew(board: DeviceBoard) -> None:
    board.network.online = False
    board.files = files = NeverLoads(board.files, "outcome", MEMORY)
    vm = board.start()
    for _ in range(4):
        files.full = True
        assert run_main(board, vm, 10 * MINUTE_MS) is None
        files.full = False
        assert run_main(board, vm, 10 * MINUTE_MS) is None
    assert restarts(board) == 0 and vm.modules["twoslot"]._failed_loads == 0


def test_in_a_trial_nothing_is_restarted(board: DeviceBoard) -> None:
    board.put_trial(spent=first(1))
    board.network.online = False
    board.files = NeverLoads(board.files, "outcome", MEMORY)
    vm = board.start(1, BootReason.TRIAL)
    passed = run_main(board, vm, HOUR_MS, "import machine\ntwoslot.deadline = (machine.Timer(-1), None)")
    assert passed is None


@pytest.mark.parametrize(("answer", "minutes"), [("0", 15), ("None", 15), ("5000", 20), ("1 // 0", 20)])
def test_the_applications_function_is_asked_and_cannot_say_no_for_ever(
    board: DeviceBoard, answer: str, minutes: int,
) -> None:
    board.files = NeverLoads(board.files, "schedule", MEMORY)
    vm = board.start()
    passed = run_main(board, vm, HOUR_MS, f"asked = []\ntwoslot.before_restart(lambda: [asked.append(1), {answer}][1])")

    assert passed and (minutes - 1) * MINUTE_MS <= passed <= (minutes + 5) * MINUTE_MS
    assert 1 <= vm.eval("len(asked)") <= 6


def test_the_watch_over_a_program_that_never_ticks_says_when_it_finds_no_memory(board: DeviceBoard) -> None:
    """It passed in silence; now it is in the log, and after 15 hours the board restarts."""
    board.files = NeverLoads(board.files, "recovery/unattended", MEMORY)
    vm = board.start(reason=RESTART)
    vm.run_file("boot.py")
    begun = board.soc.clock.ms
    with pytest.raises(ChipReset):
        vm.exec("import time, twoslot\nfor _ in range(30):\n    time.sleep(3600)\n    print(len(twoslot._log))")

    assert vm.output.split()[:3] == ["1", "2", "3"] and logged(vm) == {(0, 0)}
    assert 14 <= (board.soc.clock.ms - begun) / HOUR_MS <= 17 and board.soc.read_word(TURNS) & CHECK_FIRST
