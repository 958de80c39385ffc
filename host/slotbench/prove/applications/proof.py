"""Runs of an application's update that lose power, each brought to rest and judged."""

from __future__ import annotations

import enum
import functools
from dataclasses import dataclass
from typing import Final

from slotbench.errors import USAGE, BenchError
from slotbench.formats.application_record import FolderState
from slotbench.formats.rtc import ResetReason
from slotbench.prove.applications.board import (
    ApplicationBed,
    ApplicationBoard,
    Mutation,
    require,
    run_hook,
    update,
)
from slotbench.prove.updaters.recording import UpdateRecording
from slotbench.vboard.flash.cuts import Cut
from slotbench.vboard.flash.nor import NorFlash
from slotbench.vboard.signals import BenchViolation, ChipReset
from slotbench.vboard.vm import CPythonVM

__all__ = [
    "ApplicationCut", "BrokenRecovery", "Ending", "Recovery", "find_failure", "flash_after", "operations",
    "recorded_update", "recover",
]

_STARTS_MAX: Final = 12
_PREFIX: Final = "application-"
_PRINTED: Final = 'Traceback (most recent call last):\n  File "main.py", line 1, in <module>\nValueError: x\n'


class Ending(enum.Enum):
    """How a trial ends: application 2 proves itself, or it crashes in each of its attempts, or a traceback
    ends each, which the board writes down. One that came as a patch proves itself.
    """

    CONFIRM = "application-confirm"
    PATCH = "application-patch"
    FALLBACK = "application-fallback"
    TRACEBACK = "application-traceback"


_PROVEN: Final = (Ending.CONFIRM, Ending.PATCH)


@dataclass(frozen=True, slots=True)
class ApplicationCut:
    """One run: whose board, how it ends, and the cuts in a row; the first one counts operations of the
    update, each other one those of the recovery from the cut before. `str()` is its printable form.
    """

    bed: ApplicationBed
    ending: Ending
    cuts: tuple[Cut, ...]

    def __str__(self) -> str:
        return f"{self.bed.value}/{self.ending.value}/{'+'.join(map(str, self.cuts))}"

    @classmethod
    def is_meant(cls, text: str) -> bool:
        """Whether this is the id of such a run, and of no other."""
        return f"/{_PREFIX}" in text

    @classmethod
    def parse(cls, text: str) -> ApplicationCut:
        """Read `generic_4m/application-confirm/17:torn:3`. Raises BenchError (exit code 2)."""
        bed, ending, cuts = (text.strip().split("/", 2) + ["", ""])[:3]
        if bed not in [each.value for each in ApplicationBed] or ending not in [
                each.value for each in Ending] or not cuts:
            raise BenchError(
                f"not the id of a run: {text!r}", cure="give one that a failure printed", exit_code=USAGE)
        return cls(ApplicationBed(bed), Ending(ending), tuple(Cut.parse(cut) for cut in cuts.split("+")))


@dataclass(frozen=True, slots=True)
class Recovery:
    """How often a board started until it was at rest, the blocks that this depended on, its operations."""

    starts: int
    used: tuple[int, ...]
    recording: UpdateRecording


def find_failure(run: ApplicationCut, mutation: Mutation | None = None) -> tuple[int, str | None]:
    """Run it: how often the board started after the last cut, and which promise did not hold, in words; None:
    all did.

    Raises LookupError: what is mutated is not there. BenchError (exit code 2): there is no such operation.
    """
    try:
        return recover(run.bed, run.ending, flash_after(run, mutation), mutation).starts, None
    except (BenchError, LookupError):
        raise
    except BrokenRecovery as broken:
        return broken.starts, str(broken)


class BrokenRecovery(Exception):
    """A promise did not hold, at this start."""

    def __init__(self, starts: int, error: BaseException) -> None:
        super().__init__(f"{type(error).__name__}: {error}")
        self.starts = starts


def recover(
    bed: ApplicationBed, ending: Ending, flash: NorFlash, mutation: Mutation | None = None,
) -> Recovery:
    """Start a board from what a cut left; it comes to rest: the update is finished, and proven or given up.

    Raises BrokenRecovery when a promise is broken: at each start a whole application runs, and no file of
    the user has changed; in the end the right one of the two is there to stay.
    """
    board = ApplicationBoard(bed, flash, mutation)
    recording = board.flash.begin()
    try:
        _settle(board, ending)
        return Recovery(board.starts, tuple(board.touched.used), recording)
    except (BenchViolation, ChipReset, Exception) as error:  # whatever the board's own Python raises, too
        raise BrokenRecovery(board.starts, error) from error
    finally:
        board.close()


@functools.cache
def recorded_update(
    bed: ApplicationBed, ending: Ending, mutation: Mutation | None = None,
) -> UpdateRecording:
    """The erases and programs on the whole way, from the update to its end. Raises BrokenRecovery."""
    board = ApplicationBoard(bed, None, mutation)
    recording = board.flash.begin()
    try:
        _whole_way(board, ending)
        return recording
    except (BenchViolation, ChipReset, Exception) as error:
        raise BrokenRecovery(board.starts, error) from error
    finally:
        board.close()


def operations(bed: ApplicationBed, ending: Ending) -> int:
    """The number of operations on the whole way."""
    return len(recorded_update(bed, ending).operations)


def flash_after(run: ApplicationCut, mutation: Mutation | None = None) -> NorFlash:
    """What the last cut leaves.

    Raises BenchError (exit code 2): there is no such operation. BrokenRecovery: the one before it failed.
    """
    recording, flash = recorded_update(run.bed, run.ending, mutation), None
    for cut in run.cuts:
        if flash is not None:
            recording = recover(run.bed, run.ending, flash, mutation).recording
        if cut.index >= len(recording.operations):
            raise BenchError(
                f"no operation {cut.index}", where=f"{run}: there are {len(recording.operations)}",
                exit_code=USAGE)
        flash = recording.after(cut)
    assert flash is not None
    return flash


def _whole_way(board: ApplicationBoard, ending: Ending) -> None:
    """Update, trial, then confirmed or crashed three times; nothing is looked at."""
    vm, _ = board.start()
    run_hook(vm)
    update(vm, patched=ending is Ending.PATCH)
    reason = ResetReason.RESTART
    for _ in range(4):
        vm, _ = board.start(reason)
        run_hook(vm)
        if ending in _PROVEN:
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


def _settle(board: ApplicationBoard, ending: Ending) -> None:
    """From power on to rest: finish the update if it is not finished, then prove it, or crash."""
    vm, files = board.start()
    run_hook(vm)
    board.running(vm, files)
    second = board.record(files).folders[1]
    if second.state is FolderState.EMPTY or second.state is not FolderState.READY and second.counter != 2:
        update(vm, patched=ending is Ending.PATCH)
        vm, files = board.start(ResetReason.RESTART)
        run_hook(vm)
        require(board.running(vm, files) == 2, "application 2 is not on trial")
    while board.record(files).folders[1].state is FolderState.READY:
        if ending in _PROVEN:
            vm.import_("twoslot.application.trial").confirm()
        else:
            vm, files = board.start(_fail(vm, ending))
            run_hook(vm)
            board.running(vm, files)
        require(board.starts < _STARTS_MAX, "the board does not come to rest")
    vm, files = board.start(ResetReason.RESET_PIN)
    run_hook(vm)
    record = board.record(files)
    found = board.running(vm, files), record.folders[1].state, record.report
    wanted = (2, FolderState.CONFIRMED, 1) if ending in _PROVEN else (1, FolderState.BAD, 2)
    require(found == wanted, f"{found} is where it ends, not {wanted}")
