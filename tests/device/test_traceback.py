"""The traceback that ends a program on trial: kept over the restart, shown, and the end of the attempt."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from slotbench.formats.application_record import WHY, FolderState
from slotbench.formats.rtc import BootReason
from slotbench.vboard.signals import ChipReset
from slotbench.vboard.vm import CPythonVM
from support.device.applications import B, get_record, put_application, put_record, trial_record, with_folder
from support.device.board import RUNNING, DeviceBoard

FILE = f"/{WHY}"
GREETING = "MicroPython v1.28.0 on 2025-12-16; ESP module with ESP8266\n"


def booted(board: DeviceBoard, program: str, **start: Any) -> CPythonVM:
    """A board with application B on trial, up to the end of boot.py."""
    for folder in range(2):
        put_application(board, folder)
    put_application(board, B, program)
    vm = board.start(**start)
    vm.run_file("/boot.py")
    return vm


def goes_on(vm: CPythonVM) -> bool:
    """Run main.py as the port does, up to the prompt. False: the board restarted."""
    try:
        try:
            vm.run_file(vm.folder() + "/main.py")
        except Exception as error:
            vm.print_exception(error)
        vm.runtime.tell_second_terminal(GREETING)
    except ChipReset as reset:
        assert reset.reason == 4
        return False
    return True


def test_a_traceback_ends_the_attempt_and_is_kept(board: DeviceBoard) -> None:
    put_record(board, trial_record())
    vm = booted(board, "def shine():\n    return 1 / 0\nshine()\n")

    assert not goes_on(vm)
    assert board.files[FILE].splitlines() == [
        b"2 2 10", b"Traceback (most recent call last):", b'  File "app_b/main.py", line 3, in <module>',
        b'  File "app_b/main.py", line 2, in shine', b"ZeroDivisionError: division by zero"]


@pytest.mark.parametrize(("program", "code", "report"), [
    ("1 / 0\n", 10, 2), ("import nothing\n", 10, 2), ("raise OSError(110)\n", 11, 3),
    ("raise MemoryError\n", 11, 3),
])
def test_the_verdict(board: DeviceBoard, program: str, code: int, report: int) -> None:
    put_record(board, trial_record())
    reason = 0
    for attempt in range(3):
        assert not goes_on(booted(board, program, reason=reason)), attempt
        reason = 4
    before = get_record(board).ended
    vm = booted(board, program, reason=4)

    assert vm.folder() == "/app_a"
    record = get_record(board)
    assert (before, record.folders[B].state, record.report) == (code, FolderState.BAD, report)
    assert f" {code}\n".encode() in board.files[FILE]


def test_only_the_last_200_bytes_are_kept(board: DeviceBoard) -> None:
    put_record(board, trial_record())

    assert not goes_on(booted(board, "def f(n):\n    f(n - 1) if n else 1 / 0\nf(30)\n"))
    text = board.files[FILE].partition(b"\n")[2]
    assert 190 <= len(text) <= 200 and text.endswith(b"\nZeroDivisionError: division by zero")


@pytest.mark.parametrize("printed", [
    "done\n",
    "Traceback (most recent call last):\n  File \"main.py\", line 3, in <module>\nKeyboardInterrupt: \n",
    "Traceback (most recent call last):\n  File \"main.py\", line 3, in <module>\nOSError: 5\ngoes on\n",
], ids=["ends", "ctrl-c", "caught"])
def test_what_is_no_failure(board: DeviceBoard, printed: str) -> None:
    """The end of main.py may be right: its timers call tick(). A caught exception is the program's own affair."""
    put_record(board, trial_record())
    vm = booted(board, "pass\n")
    vm.runtime.tell_second_terminal(printed)

    assert goes_on(vm)
    assert FILE not in board.files and get_record(board).under_way
    assert vm.runtime.second_terminal is None, "a soft reset may follow"


@pytest.mark.parametrize("printed", [
    "MemoryError: memory allocation failed, allocating 40 bytes\n",
    'Traceback (most recent call last):\n  File "main.py", line 1\nSyntaxError: invalid syntax\n',
], ids=["no memory to compile", "syntax"])
def test_main_py_that_never_ran(board: DeviceBoard, printed: str) -> None:
    put_record(board, trial_record())
    vm = booted(board, "pass\n")
    vm.runtime.tell_second_terminal(printed)

    assert not goes_on(vm)
    assert board.files[FILE].endswith(printed.rstrip().encode())


def test_after_the_proof_an_exception_is_as_ever(board: DeviceBoard) -> None:
    put_record(board, trial_record())
    vm = booted(board, "import twoslot\ntwoslot.deadline = False\n1 / 0\n")

    assert goes_on(vm)
    assert FILE not in board.files


def test_outside_a_trial_nothing_watches(board: DeviceBoard) -> None:
    put_record(board, with_folder(trial_record(), B, state=FolderState.CONFIRMED))
    vm = booted(board, "1 / 0\n")

    assert vm.runtime.second_terminal is None
    assert goes_on(vm) and FILE not in board.files


def test_the_webrepl_takes_its_place(board: DeviceBoard) -> None:
    """webrepl.accept_conn() refuses a connection when os.dupterm(None) returned something that is true."""
    put_record(board, trial_record())
    vm = booted(board, "pass\n")

    before = vm.eval("__import__('os').dupterm(None)")
    assert before is not None and not before
    assert before.readinto(bytearray(1)) is None


def test_outputs_are_put_into_a_safe_state_before(board: DeviceBoard) -> None:
    put_record(board, trial_record())
    vm = booted(board, "import twoslot\ntwoslot.before_restart(lambda: open('/off', 'w').close())\n1 / 0\n")

    assert not goes_on(vm)
    assert "/off" in board.files


def test_a_trace_of_another_attempt_does_not_count(board: DeviceBoard) -> None:
    put_record(board, trial_record(attempts=1, under_way=True))
    board.files[FILE] = b"2 2 10\nTraceback"
    booted(board, "pass\n", reason=4)

    assert get_record(board).ended == 8


def test_with_a_firmware_the_loader_counts_a_restart(board: DeviceBoard) -> None:
    put_record(board, with_folder(
        trial_record(attempts=0, with_firmware=RUNNING), B, firmware_low=RUNNING))
    vm = booted(board, "1 / 0\n", why=BootReason.TRIAL, trial=True, left=2)

    assert not goes_on(vm)
    assert board.files[FILE].startswith(b"2 0 10\n")


def test_status_shows_it_until_the_next_trial(board: DeviceBoard) -> None:
    put_record(board, trial_record(attempts=1))
    assert not goes_on(booted(board, "1 / 0\n"))
    vm = booted(board, "1 / 0\n", reason=4)
    shown = vm.eval("__import__('twoslot').status()['app_trace']")
    assert shown.endswith("ZeroDivisionError: division by zero")

    trial = vm.import_("twoslot.application.trial")
    trial.forget()
    trial.forget()
    assert vm.eval("__import__('twoslot').status()['app_trace']") is None


@pytest.mark.parametrize("crashed", [0x088, 0x3A1], ids=["crashes", "before main.py"])
@pytest.mark.parametrize("reason", [2, 4])
def test_crashes_of_the_program_before_condemn_nothing(board: DeviceBoard, crashed: int, reason: int) -> None:
    """By the chip (2) or by a traceback (4): whatever crashed the program before may crash this one."""
    put_record(board, with_folder(trial_record(active=0, attempts=0), B, state=FolderState.EMPTY))
    vm = booted(board, "1 / 0\n")
    retained = vm.import_("twoslot.retained")
    retained.put(crashed, 1)
    vm.import_("twoslot.application.trial").activate(SimpleNamespace(attempts=1), 0)
    retained.put(crashed, 0)
    assert not goes_on(booted(board, "1 / 0\n", reason=4))
    booted(board, "pass\n", reason=reason)

    record = get_record(board)
    assert (record.folders[B].state, record.report, record.bad_counter) == (FolderState.BAD, 3, 0)


def test_a_port_without_such_terminals_waits_for_the_deadline(board: DeviceBoard) -> None:
    put_record(board, trial_record())
    for folder in range(2):
        put_application(board, folder)
    vm = board.start()
    vm.exec("import os\ndel os.dupterm\n")
    vm.run_file("/boot.py")

    assert vm.folder() == "/app_b" and len(vm.eval("__import__('twoslot').deadline")) == 4
