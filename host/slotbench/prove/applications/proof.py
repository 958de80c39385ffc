"""Runs of an application's update that lose power, each brought to rest and judged."""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from slotbench.errors import USAGE, BenchError
from slotbench.formats.application_record import FolderState
from slotbench.formats.rtc import ResetReason
from slotbench.prove.applications.board import ApplicationBoard, Mutation, require, run_hook, update
from slotbench.vboard.flash.cuts import Cut
from slotbench.vboard.signals import BenchViolation, ChipReset, PowerCut
from slotbench.vboard.vm import CPythonVM

__all__ = ["ApplicationCut", "Ending", "find_failure", "operations", "run_cut"]

_STARTS_MAX: Final = 12
_PREFIX: Final = "application-"
_PRINTED: Final = 'Traceback (most recent call last):\n  File "main.py", line 1, in <module>\nValueError: x\n'


class Ending(enum.Enum):
    """How a trial ends: application 2 proves itself, or it crashes in each of its attempts, or a traceback
    ends each, which the board writes down.
    """

    CONFIRM = "application-confirm"
    FALLBACK = "application-fallback"
    TRACEBACK = "application-traceback"


@dataclass(frozen=True, slots=True)
class ApplicationCut:
    """One run: how it ends, and the cuts in a row, each counted from the start of what it hits.

    `str()` is its printable form.
    """

    ending: Ending
    cuts: tuple[Cut, ...]

    def __str__(self) -> str:
        return f"{self.ending.value}/{'+'.join(map(str, self.cuts))}"

    @classmethod
    def is_meant(cls, text: str) -> bool:
        """Whether this is the id of such a run, and of no other."""
        return text.strip().startswith(_PREFIX)

    @classmethod
    def parse(cls, text: str) -> ApplicationCut:
        """Read `application-confirm/17:torn:3`. Raises BenchError (exit code 2)."""
        ending, _, cuts = text.strip().partition("/")
        if ending not in [each.value for each in Ending] or not cuts:
            raise BenchError(
                f"not the id of a run: {text!r}", cure="give one that a failure printed", exit_code=USAGE)
        return cls(Ending(ending), tuple(Cut.parse(cut) for cut in cuts.split("+")))


def run_cut(run: ApplicationCut) -> int:
    """Lose power in the whole way, with a second cut in the recovery from the first as well; then let the
    board come to rest. Returns how often it started.

    Raises BenchViolation when a promise is broken: at each start a whole application runs, and no file of the
    user has changed; in the end the right one of the two is there to stay.
    """
    return _run(run, ApplicationBoard())


def find_failure(run: ApplicationCut, mutation: Mutation | None = None) -> tuple[int, str | None]:
    """Run it: how often the board started, and which promise did not hold, in words; None: all did.

    Raises LookupError: what is mutated is not there.
    """
    board = ApplicationBoard(mutation)
    try:
        return _run(run, board), None
    except (BenchViolation, ChipReset, Exception) as error:  # whatever the board's own Python raises, too
        return board.starts, f"{type(error).__name__}: {error}"


def _run(run: ApplicationCut, board: ApplicationBoard) -> int:
    try:
        for number, cut in enumerate(run.cuts):
            _lose_power(
                board, cut, functools.partial(_settle if number else _whole_way, board, run.ending, False))
        _settle(board, run.ending)
        return board.starts
    finally:
        board.close()


@functools.cache
def operations(ending: Ending) -> int:
    """The number of erases and programs on the whole way, from the update to its end."""
    board = ApplicationBoard()
    try:
        before = board.flash.operations
        _whole_way(board, ending)
        return board.flash.operations - before
    finally:
        board.close()


def _lose_power(board: ApplicationBoard, cut: Cut, go: Callable[[], object]) -> None:
    """Do something that loses power at an operation, counted from here, if it comes that far."""
    flash = board.flash
    flash.power_on()
    flash.disarm()
    flash.arm(Cut(flash.operations + cut.index, cut.mode, cut.seed))
    try:
        go()
    except PowerCut:
        pass


def _whole_way(board: ApplicationBoard, ending: Ending, disarms: bool = True) -> None:
    """Update, trial, then confirmed or crashed three times; nothing is looked at."""
    vm, _ = board.start(disarms=disarms)
    run_hook(vm)
    update(vm)
    reason = ResetReason.RESTART
    for _ in range(4):
        vm, _ = board.start(reason, disarms=disarms)
        run_hook(vm)
        if ending is Ending.CONFIRM:
            vm.import_("twoslot.application.trial").confirm()
            return
        reason = _fail(vm, ending)


def _fail(vm: CPythonVM, ending: Ending) -> ResetReason:
    """End an attempt. Returns why the chip restarts."""
    if ending is Ending.TRACEBACK:
        try:
            vm.runtime.tell_second_terminal(_PRINTED)
            vm.runtime.greet()
        except ChipReset:
            return ResetReason.RESTART
    return ResetReason.EXCEPTION


def _settle(board: ApplicationBoard, ending: Ending, disarms: bool = True) -> None:
    """From power on to rest: finish the update if it is not finished, then prove it, or crash."""
    before = board.starts
    vm, files = board.start(disarms=disarms)
    run_hook(vm)
    board.running(vm, files)
    second = board.record(files).folders[1]
    if second.state is FolderState.EMPTY or second.state is not FolderState.READY and second.counter != 2:
        update(vm)
        vm, files = board.start(ResetReason.RESTART, disarms=disarms)
        run_hook(vm)
        require(board.running(vm, files) == 2, "application 2 is not on trial")
    while board.record(files).folders[1].state is FolderState.READY:
        if ending is Ending.CONFIRM:
            vm.import_("twoslot.application.trial").confirm()
        else:
            vm, files = board.start(_fail(vm, ending), disarms=disarms)
            run_hook(vm)
            board.running(vm, files)
        require(board.starts - before < _STARTS_MAX, "the board does not come to rest")
    vm, files = board.start(ResetReason.RESET_PIN, disarms=disarms)
    run_hook(vm)
    record = board.record(files)
    found = board.running(vm, files), record.folders[1].state, record.report
    wanted = (2, FolderState.CONFIRMED, 1) if ending is Ending.CONFIRM else (1, FolderState.BAD, 2)
    require(found == wanted, f"{found} is where it ends, not {wanted}")
