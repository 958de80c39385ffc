"""All cuts of an application's update on all cores, and pairs of them, counted."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from slotbench.prove.applications.proof import ApplicationCut, Ending, find_failure, operations
from slotbench.prove.parallel import workers
from slotbench.vboard.flash.cuts import Cut, CutMode

__all__ = ["ApplicationFailure", "ApplicationPart", "application_cuts", "sweep_applications"]

_BATCH: Final = 24
_SEEDS: Final = {CutMode.BEFORE: 1, CutMode.AFTER: 1, CutMode.TORN: 4, CutMode.WEAK: 2}
_PAIR_MODES: Final = (CutMode.BEFORE, CutMode.TORN)
_SECONDS_EACH: Final = 6


@dataclass(frozen=True, slots=True)
class ApplicationFailure:
    """A promise that did not hold, in words."""

    id: ApplicationCut
    text: str


@dataclass(slots=True)
class ApplicationPart:
    """One row: single cuts or pairs with one ending. `whole` counts the cuts that there are in all."""

    ending: Ending
    is_pairs: bool
    operations: int
    whole: int
    cuts: int = 0
    boots: int = 0
    seconds: float = 0.0
    failures: list[ApplicationFailure] = field(default_factory=list)
    vm: str = "cpython"

    @property
    def name(self) -> str:
        """What people call it."""
        where = " (MicroPython)" if self.vm == "micropython" else ""
        return f"{self.ending.value}{where}{' twice' if self.is_pairs else ''}"


def sweep_applications(
    endings: Sequence[Ending], *, torn: float = 1.0, pairs: int | None = 0, sampled: bool = False,
    processes: int, seed: int = 0, on_part: Callable[[ApplicationPart], object] = lambda part: None,
) -> list[ApplicationPart]:
    """Cut every operation in every mode, and `pairs` first cuts of each ending with some second ones; None
    for all first ones with all second ones. `torn` scales with how many seeds an operation is torn.

    `sampled`: one of 20 single cuts, drawn. `on_part` gets each row when it is done.
    """
    rows: list[tuple[ApplicationPart, list[ApplicationCut]]] = []
    for ending in endings:
        every = list(application_cuts(ending, torn))
        drawn = random.Random(f"{seed} {ending.value}").sample(every, len(every) // 20) if sampled else every
        rows.append((ApplicationPart(ending, False, operations(ending), len(every)), drawn))
    for ending in endings if pairs != 0 else ():
        rows.append((
            ApplicationPart(ending, True, operations(ending), _count_of_pairs(ending)),
            list(_pairs(ending, pairs, seed))))
    with workers(processes) as pool:
        for part, ids in rows:
            begun = time.perf_counter()
            batches = [ids[at : at + _BATCH] for at in range(0, len(ids), _BATCH)]
            for boots, failures in pool.map(_run_all, batches):
                part.boots += boots
                part.failures += failures
            part.cuts, part.seconds = len(ids), time.perf_counter() - begun
            on_part(part)
    return [part for part, _ in rows]


def application_cuts(ending: Ending, torn: float = 1.0) -> Iterator[ApplicationCut]:
    """Every operation before, after, and torn with so many seeds in each of two ways."""
    for index in range(operations(ending)):
        for mode, seeds in _SEEDS.items():
            for seed in range(seeds if seeds == 1 else max(1, round(seeds * torn))):
                yield ApplicationCut(ending, (Cut(index, mode, seed),))


def _count_of_pairs(ending: Ending) -> int:
    return (operations(ending) * len(_PAIR_MODES)) ** 2


def _pairs(ending: Ending, count: int | None, seed: int) -> Iterator[ApplicationCut]:
    """First cuts with second ones in the recovery. Where that is shorter, the second is not reached."""
    rng = random.Random(f"pairs {seed} {ending.value}")
    every = [Cut(index, mode, index) for index in range(operations(ending)) for mode in _PAIR_MODES]
    for first in every if count is None else rng.sample(every, min(count, len(every))):
        for second in every if count is None else rng.sample(every, _SECONDS_EACH):
            yield ApplicationCut(ending, (first, second))


def _run_all(ids: Sequence[ApplicationCut]) -> tuple[int, list[ApplicationFailure]]:
    found = [(each, *find_failure(each)) for each in ids]
    return (
        sum(boots for _, boots, _ in found),
        [ApplicationFailure(each, text) for each, _, text in found if text is not None])
