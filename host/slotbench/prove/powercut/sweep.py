"""Many runs on all cores: single cuts of all scenarios, then pairs; counted, timed, and failures
kept.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from slotbench.errors import BenchError
from slotbench.formats.journal import CELLS_PER_SECTOR, JournalCell, scan_pages
from slotbench.prove.parallel import workers
from slotbench.prove.powercut.runner import BOARDS, CutId, PowerCutProof, Recorded, RunResult
from slotbench.prove.powercut.scenarios import SCENARIOS
from slotbench.vboard.board import VirtualBoard
from slotbench.vboard.signals import BenchViolation

__all__ = ["SweepPart", "SweepPlan", "journal_lines", "sweep_cuts"]

_BATCH: Final = 24
_BATCH_OF_FIRSTS: Final = 4
"""When all of the second cuts follow: some hundred runs for each first one."""

_SECONDS_EACH: Final = 6
"""Second cuts tried after each first one that was drawn."""

_MACHINE_SEEDS: Final = 2
"""The loader's machine code runs a hundred times slower than its model."""


@dataclass(frozen=True, slots=True)
class SweepPlan:
    """What is run. `torn` scales the seeds of torn operations (0: one each); `pairs` is how many
    first cuts of a scenario get a second one, None all of them with all seconds; `singles` False
    leaves it at these. `sampled`: a part of the single cuts (slotbench.prove.powercut.sample).
    """

    boards: tuple[str, ...] = BOARDS
    scenarios: tuple[str, ...] = tuple(SCENARIOS)
    loaders: tuple[str, ...] = ("model",)
    torn: float = 1.0
    pairs: int | None = 0
    singles: bool = True
    sampled: bool = False
    processes: int = field(default_factory=lambda: os.cpu_count() or 1)


@dataclass(slots=True)
class SweepPart:
    """One row: a scenario on a flash map with a loader, single cuts or pairs; `whole` counts the
    single cuts that it would have without sampling.
    """

    board: str
    loader: str
    scenario: str
    pairs: bool
    operations: int
    run: RunResult
    seconds: float
    whole: int

    @property
    def name(self) -> str:
        """What people call it."""
        by_machine = " (loader's machine code)" if self.loader == "machine" else ""
        return f"{self.board} {self.scenario}{by_machine}{' twice' if self.pairs else ''}"


_proof: PowerCutProof | None = None
"""Of the process that forks: what it recorded is there in all of them."""


def sweep_cuts(
    proof: PowerCutProof, plan: SweepPlan, on_part: Callable[[SweepPart], object] = lambda part: None
) -> list[SweepPart]:
    """Run the plan; `on_part` is called with each row when it is done.

    Raises BenchError (exit code 1) when a scenario breaks a promise before any power is cut.
    """
    global _proof
    rows = list(_rows(proof, plan))
    _proof = proof
    parts = []
    try:
        with workers(plan.processes) as pool:
            for board, loader, scenario, pairs in rows:
                begun = time.perf_counter()
                ids = _firsts(proof, plan, board, loader, scenario, pairs)
                size = _BATCH_OF_FIRSTS if pairs else _BATCH
                batches = [ids[at : at + size] for at in range(0, len(ids), size)]
                work = _run_all_pairs if plan.pairs is None else _run_pairs
                run = RunResult()
                for each in pool.map(work if pairs else _run_singles, batches):
                    run.add(each)
                operations = len(proof.recorded_scenario(board, scenario).moments)
                torn, weak = _seeds(plan, loader, scenario)
                part = SweepPart(
                    board, loader, scenario, pairs, operations, run, time.perf_counter() - begun,
                    operations * (2 + torn + weak))
                parts.append(part)
                on_part(part)
    finally:
        _proof = None
    return parts


def _rows(proof: PowerCutProof, plan: SweepPlan) -> Iterator[tuple[str, str, str, bool]]:
    for pairs in [False] * plan.singles + [True] * (plan.pairs != 0):
        for board in plan.boards:
            for loader in plan.loaders:
                for scenario in plan.scenarios:
                    by_machine = loader == "machine"
                    if by_machine and (pairs or not SCENARIOS[scenario].by_loader):
                        continue
                    if _recorded(proof, board, scenario).moments:
                        yield board, loader, scenario, pairs


def _recorded(proof: PowerCutProof, board: str, scenario: str) -> Recorded:
    try:
        return proof.recorded_scenario(board, scenario)
    except (AssertionError, BenchViolation) as error:
        raise BenchError(
            "a promise does not hold, and no power was cut", where=f"{board} {scenario}: {error}") from error


def _firsts(
    proof: PowerCutProof, plan: SweepPlan, board: str, loader: str, scenario: str, pairs: bool
) -> list[CutId]:
    if not pairs:
        kind = proof.sampled_cuts if plan.sampled else proof.single_cuts
        return kind(board, loader, scenario, *_seeds(plan, loader, scenario))
    firsts = proof.single_cuts(board, loader, scenario, 1, 1)
    if plan.pairs is None:
        return firsts
    rng = random.Random(f"pairs {board} {scenario} {proof.seed}")
    return rng.sample(firsts, min(plan.pairs, len(firsts)))


def _seeds(plan: SweepPlan, loader: str, scenario: str) -> tuple[int, int]:
    """With how many seeds each operation is torn, in each of the two ways."""
    it = SCENARIOS[scenario]
    torn, weak = (max(1, round(seeds * plan.torn)) for seeds in (it.torn, it.weak))
    return (min(torn, _MACHINE_SEEDS), min(weak, _MACHINE_SEEDS)) if loader == "machine" else (torn, weak)


def _run_singles(ids: Sequence[CutId]) -> RunResult:
    assert _proof is not None
    result = RunResult()
    for id in ids:
        result.add(_proof.run(id))
    return result


def _run_pairs(ids: Sequence[CutId], count: int | None = _SECONDS_EACH) -> RunResult:
    assert _proof is not None
    result = RunResult()
    for id in ids:
        for pair in _proof.seconds(id, count):
            result.add(_proof.run(pair))
    return result


def _run_all_pairs(ids: Sequence[CutId]) -> RunResult:
    return _run_pairs(ids, None)


def journal_lines(board: VirtualBoard) -> list[str]:
    """The journal of a board in words, a line for each page that is not blank."""
    region = board.profile.journal
    lines = []
    for index, state, cell in scan_pages(board.flash.peek(region.start, region.size)):
        where = f"sector {index // CELLS_PER_SECTOR} page {index % CELLS_PER_SECTOR:2}"
        if cell is not None:
            lines.append(f"{where}: {_words(cell)}")
        elif state != "blank":
            lines.append(f"{where}: {state}")
    return lines


def _words(cell: JournalCell) -> str:
    slots = ", ".join(
        f"{name} {state.name.lower()} {counter}{' bad' if bad else ''}"
        for name, state, counter, bad in zip("AB", cell.states, cell.counters, cell.bad))
    word = ", confirmed" if cell.confirmed else ""
    return (
        f"#{cell.sequence} active {'AB'[cell.active]}; {slots}; spent {sum(cell.spent)} of"
        f" {cell.attempts}{word}; floor {cell.floor}, bad {cell.bad_counter}, head {cell.head_seq}")
