"""All cuts of an application's update on all cores, and pairs of them, counted."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from slotbench.errors import BenchError
from slotbench.prove.applications.board import ApplicationBed
from slotbench.prove.applications.classes import FlashContent, KnownRecoveries
from slotbench.prove.applications.proof import (
    ApplicationCut,
    BrokenRecovery,
    Ending,
    flash_after,
    operations,
    recover,
)
from slotbench.prove.parallel import workers
from slotbench.vboard.flash.cuts import Cut, CutMode
from slotbench.vboard.flash.nor import NorFlash
from slotbench.vboard.signals import BenchViolation

__all__ = [
    "ApplicationFailure", "ApplicationPart", "application_cuts", "second_cuts", "sweep_applications",
]

_BATCH: Final = 24
_SHARES: Final = 4
"""So many batches of pairs for each process: cuts that follow one another leave the same again and again,
which a process knows of itself alone.
"""
_SEEDS: Final = {CutMode.BEFORE: 1, CutMode.AFTER: 1, CutMode.TORN: 4, CutMode.WEAK: 2}
_SECONDS_EACH: Final = 6


@dataclass(frozen=True, slots=True)
class ApplicationFailure:
    """A promise that did not hold, in words."""

    id: ApplicationCut
    text: str


@dataclass(slots=True)
class ApplicationPart:
    """One row: single cuts or pairs of a bed with one ending. `whole` counts the cuts that there are in all,
    of pairs those of the first cuts that were drawn; `boots` those that were run.
    """

    bed: ApplicationBed
    ending: Ending
    is_pairs: bool
    operations: int
    whole: int = 0
    cuts: int = 0
    boots: int = 0
    seconds: float = 0.0
    failures: list[ApplicationFailure] = field(default_factory=list)
    vm: str = "cpython"

    @property
    def name(self) -> str:
        """What people call it."""
        where = " (MicroPython)" if self.vm == "micropython" else ""
        return f"{self.bed.value} {self.ending.value}{where}{' twice' if self.is_pairs else ''}"


@dataclass(slots=True)
class _Found:
    """What some runs came to."""

    whole: int = 0
    cuts: int = 0
    boots: int = 0
    failures: list[ApplicationFailure] = field(default_factory=list)


def sweep_applications(
    beds: Sequence[ApplicationBed], endings: Sequence[Ending], *, torn: float = 1.0, pairs: int | None = 0,
    sampled: bool = False, merge: bool = True, processes: int, seed: int = 0,
    on_part: Callable[[ApplicationPart], object] = lambda part: None,
) -> list[ApplicationPart]:
    """Cut every operation in every mode, and `pairs` first cuts of each ending with some second ones in the
    recovery; None for all first ones with all second ones. `torn` scales with how many seeds an operation is
    torn.

    `sampled`: one of 20 single cuts, drawn. `merge`: of all that leave the same where the board reads, one is
    run. `on_part` gets each row when it is done.

    Raises BenchError (exit code 1): a promise does not hold, and no power was cut.
    """
    rows: list[tuple[ApplicationPart, list[ApplicationCut]]] = []
    for bed in beds:
        for ending in endings:
            every = list(application_cuts(bed, ending, torn))
            rng = random.Random(f"{seed} {ending.value}")
            drawn = rng.sample(every, len(every) // 20) if sampled else every
            rows.append((ApplicationPart(bed, ending, False, _operations(bed, ending), len(every)), drawn))
    for bed in beds if pairs != 0 else ():
        for ending in endings:
            part = ApplicationPart(bed, ending, True, _operations(bed, ending))
            rows.append((part, _firsts(bed, ending, pairs, seed)))
    with workers(processes) as pool:
        for part, ids in rows:
            begun = time.perf_counter()
            size = -(-len(ids) // (processes * _SHARES)) if part.is_pairs and ids else _BATCH
            batches = [ids[at : at + size] for at in range(0, len(ids), size)]
            work = partial(
                _run_pairs if part.is_pairs else _run_singles, merge, None if pairs is None else seed)
            for found in pool.map(work, batches):
                part.whole += found.whole
                part.cuts += found.cuts
                part.boots += found.boots
                part.failures += found.failures
            part.seconds = time.perf_counter() - begun
            on_part(part)
    return [part for part, _ in rows]


def application_cuts(bed: ApplicationBed, ending: Ending, torn: float = 1.0) -> Iterator[ApplicationCut]:
    """Every operation before, after, and torn with so many seeds in each of two ways."""
    for index in range(_operations(bed, ending)):
        for mode, seeds in _SEEDS.items():
            for seed in range(seeds if seeds == 1 else max(1, round(seeds * torn))):
                yield ApplicationCut(bed, ending, (Cut(index, mode, seed),))


def second_cuts(run: ApplicationCut) -> Iterator[tuple[ApplicationCut, NorFlash]]:
    """The run with a second cut in its recovery, at every operation and in every mode, and what that leaves.

    Raises BrokenRecovery: it does not come to rest.
    """
    recording = recover(run.bed, run.ending, flash_after(run)).recording
    for index in range(len(recording.operations)):
        for mode in CutMode:
            cut = Cut(index, mode)
            yield replace(run, cuts=(*run.cuts, cut)), recording.after(cut)


def _operations(bed: ApplicationBed, ending: Ending) -> int:
    try:
        return operations(bed, ending)
    except BrokenRecovery as broken:
        raise BenchError(
            "a promise does not hold, and no power was cut",
            where=f"{bed.value} {ending.value}: {broken}") from broken


def _firsts(bed: ApplicationBed, ending: Ending, count: int | None, seed: int) -> list[ApplicationCut]:
    """First cuts: every operation in every mode, or `count` of them, drawn."""
    every = [
        ApplicationCut(bed, ending, (Cut(index, mode),))
        for index in range(_operations(bed, ending)) for mode in CutMode]
    if count is None:
        return every
    return random.Random(f"pairs {seed} {ending.value}").sample(every, min(count, len(every)))


_known: dict[tuple[ApplicationBed, Ending], KnownRecoveries] = {}
"""Of this process."""


def _run(run: ApplicationCut, flash: NorFlash, merge: bool, found: _Found) -> None:
    """Bring a board with this flash to rest, unless it is known what comes."""
    known = _known.setdefault((run.bed, run.ending), KnownRecoveries())
    content = FlashContent(flash, run.bed.profile.filesystem)
    found.cuts += 1
    if merge and known.find(content) is not None:
        return
    try:
        recovery = recover(run.bed, run.ending, flash)
        found.boots += recovery.starts
        if merge:
            known.add(recovery.used, content, recovery.starts)
    except BrokenRecovery as broken:
        found.boots += broken.starts
        found.failures.append(ApplicationFailure(run, str(broken)))
    except BenchViolation as violation:
        found.failures.append(ApplicationFailure(run, str(violation)))


def _run_singles(merge: bool, seed: int | None, ids: Sequence[ApplicationCut]) -> _Found:
    found = _Found()
    for run in ids:
        _run(run, flash_after(run), merge, found)
    return found


def _run_pairs(merge: bool, seed: int | None, ids: Sequence[ApplicationCut]) -> _Found:
    """Second cuts for each of these: some that `seed` draws, or all."""
    found = _Found()
    for run in ids:
        try:
            every = list(second_cuts(run))
        except BrokenRecovery as broken:
            found.failures.append(ApplicationFailure(run, str(broken)))
            continue
        found.whole += len(every)
        if seed is not None:
            every = random.Random(f"{run} {seed}").sample(every, min(_SECONDS_EACH, len(every)))
        for pair, flash in every:
            _run(pair, flash, merge, found)
    return found
