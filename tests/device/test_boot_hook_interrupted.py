"""Ctrl-C while boot.py runs the hook: all of its work is done, then boot.py ends and main.py does not run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from slotbench import data_path
from slotbench.formats.rtc import BootReason
from slotbench.vboard.vm import CPythonVM
from support.device.board import DeviceBoard
from support.device.decision import first

KEPT = 0x600013D8
DEADLINE_MS = 600_000
EVERY = 5
LOOP = data_path("device", "twoslot_boot.py").read_text(encoding="utf-8").splitlines().index("while True:") + 2


def press_at(vm: CPythonVM, line: int) -> bool:
    """Run boot.py, with Ctrl-C at the so-manieth line of the hook and of what it loads. False when it has not so many.

    The first line is that of its loop: on the port only a jump lets Ctrl-C in, and none comes before.
    """
    left, counts = line, False

    def trace(frame: FrameType, event: str, argument: Any) -> Callable[..., Any] | None:
        nonlocal left, counts
        if "twoslot" not in frame.f_code.co_filename or "slotbench" in frame.f_code.co_filename:
            return None
        counts = counts or frame.f_lineno > LOOP and frame.f_code.co_filename.endswith("twoslot_boot.py")
        if event == "line" and counts:
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        vm.run_file("boot.py")
    except KeyboardInterrupt as error:
        sys.settrace(before)
        assert error.__traceback__ is not None
        assert not error.__context__ and not error.__cause__, "a new one, after all that was to be done"
        return True
    finally:
        sys.settrace(before)
    assert left > 0, "the interrupt is lost"
    return False


def interrupted_starts(make: Callable[[], DeviceBoard], why: BootReason) -> Iterator[tuple[DeviceBoard, CPythonVM]]:
    """A board after each interrupted start, every so many lines."""
    lines = 1
    while True:
        board = make()
        board.put_trial(spent=first(1))
        board.soc.write_word(KEPT, 0)
        vm = board.start(1, why, trial=why is BootReason.TRIAL, left=2, counter=6)
        if not press_at(vm, lines):
            break
        yield board, vm
        lines += EVERY
    assert lines > 100


def test_a_trial_has_all_that_it_needs(make_board: Callable[[], DeviceBoard]) -> None:
    for board, vm in interrupted_starts(make_board, BootReason.TRIAL):
        assert vm.output == ""
        assert board.newest().reached
        assert vm.eval("__import__('twoslot').deadline")
        due_us = vm.runtime.timers.next_due_us()
        assert due_us is not None and abs(due_us // 1000 - board.soc.clock.ms - DEADLINE_MS) < 1000


def test_a_start_is_counted_and_its_timer_armed(make_board: Callable[[], DeviceBoard]) -> None:
    for board, vm in interrupted_starts(make_board, BootReason.ORDINARY):
        assert vm.output == ""
        assert board.soc.read_word(KEPT) & 0xFF in (1, 2)
        assert vm.eval("__import__('twoslot').deadline") is False
        assert vm.runtime.timers.next_due_us() is not None
