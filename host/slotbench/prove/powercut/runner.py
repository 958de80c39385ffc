"""Scenarios recorded, power cut at each of their operations, the boards run to rest, promises
checked.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Final

from slotbench.boards import BoardProfile
from slotbench.errors import USAGE, BenchError
from slotbench.formats import journal
from slotbench.formats.journal import SlotState
from slotbench.prove.invariants import Broken, Invariants, require
from slotbench.prove.powercut.bench import PowerCutBench, Scenario, ScenarioRun
from slotbench.prove.powercut.merging import (
    KnownStateReached,
    RemainingCost,
    Settled,
    StateMerger,
    image_bytes,
)
from slotbench.prove.powercut.recording import RecordedOperation, RecordingFlash
from slotbench.prove.powercut.sample import draw_cuts
from slotbench.prove.powercut.scenarios import SCENARIOS
from slotbench.prove.testbed import HOURS_MS, MINUTES_MS, NOW, PRODUCT, Edit
from slotbench.release import keys
from slotbench.vboard.board import LOADERS, BoardState, VirtualBoard
from slotbench.vboard.flash.cuts import Cut, CutMode
from slotbench.vboard.flash.nor import NorFlash
from slotbench.vboard.signals import BenchViolation

__all__ = ["BOARDS", "CutId", "Failure", "PowerCutProof", "Recorded", "RunResult", "are_alike"]

BOARDS: Final = ("generic_4m", "native_512k")
"""One map with an exec window, one that runs in place."""

_ONE_BLOCK: Final = 4096 + 2 * 512
"""What a cut may make a board fetch again: a block, the head of one more answer, what was under
way.
"""

_MAX_BOOTS: Final = 12
"""Three attempts of a trial in each of two rounds, fallbacks, and the boots that the cuts cost."""

_TO_REST_MS: Final = 4 * HOURS_MS
_REST_MS: Final = 11 * MINUTES_MS
"""Longer than the deadline of a trial."""


def are_alike(board: str, scenario: str) -> bool:
    """Whether a sample takes operations on the journal for alike: those of another scenario, or of another
    flash map, are cut in every mode.
    """
    return SCENARIOS[scenario].repeats or board != BOARDS[0]


@dataclass(frozen=True, slots=True)
class CutId:
    """One run: flash map, what boots it, scenario, and the cuts in a row. `str()` is its printable
    form.
    """

    board: str
    loader: str
    scenario: str
    cuts: tuple[Cut, ...]

    def __str__(self) -> str:
        return f"{self.board}/{self.loader}/{self.scenario}/{'+'.join(map(str, self.cuts))}"

    @classmethod
    def parse(cls, text: str) -> CutId:
        """Read `generic_4m/model/copy/17:torn:3`. Raises BenchError (exit code 2)."""
        board, loader, scenario, cuts = (text.strip().split("/") + [""] * 4)[:4]
        if board not in BOARDS or loader not in LOADERS or scenario not in SCENARIOS or not cuts:
            raise BenchError(
                f"not the id of a run: {text!r}", cure="give one that a failure printed", exit_code=USAGE)
        return cls(board, loader, scenario, tuple(Cut.parse(cut) for cut in cuts.split("+")))


@dataclass(frozen=True, slots=True)
class Failure:
    """A promise that did not hold in a run: its number (0: something broke), and in words."""

    id: CutId
    promise: int
    text: str


@dataclass(slots=True)
class RunResult:
    """One run, or many: how often power was cut, the board booted, and what went wrong.

    A run is counted as one cut, its last one: the cuts before it are those of runs of their own.
    `contents`: hashes of the flash contents that the cuts left.
    """

    cuts: int = 0
    boots: int = 0
    merged: int = 0
    failures: list[Failure] = field(default_factory=list)
    contents: set[int] = field(default_factory=set)

    def add(self, other: RunResult) -> None:
        """Count another one."""
        self.cuts += other.cuts
        self.boots += other.boots
        self.merged += other.merged
        self.failures += other.failures
        self.contents |= other.contents

    @property
    def bricks(self) -> int:
        """Boards that did not come back: nothing booted, or they did not come to rest."""
        return sum(failure.promise in (0, 1, 6) for failure in self.failures)

    @property
    def unverified_boots(self) -> int:
        """Boots of something that was not signed, not verified, or below the floor."""
        return sum(failure.promise in (2, 3) for failure in self.failures)


class Recorded:
    """A scenario that was run once: its moments, numbered through all of its courses."""

    def __init__(self, scenario: Scenario, courses: Sequence[ScenarioRun]) -> None:
        self.scenario = scenario
        self.moments: list[tuple[ScenarioRun, RecordedOperation]] = []
        self.received: dict[int, int] = {}
        for course in courses:
            flash = RecordingFlash.from_flash(course.start)
            board = course.testbed.board(course.network(), flash=flash)
            remember(flash, board, 0)
            course.act(board)
            require(course.ends(board), 6, f"{scenario.name} does not even end without a cut: {board.cell}")
            board.power_off()
            self.received[id(course)] = image_bytes(board)
            for moment in flash.moments:
                _require_declared(board.profile, moment)
            self.moments += ((course, moment) for moment in flash.moments if course.hit(moment.op))

    def cuts(self, torn: int, weak: int) -> list[Cut]:
        """Every operation before, after, and torn with so many seeds in each of two ways."""
        modes = [(CutMode.BEFORE, 1), (CutMode.AFTER, 1), (CutMode.TORN, torn), (CutMode.WEAK, weak)]
        return [
            Cut(index, mode, seed) for index in range(len(self.moments))
            for mode, seeds in modes for seed in range(seeds)]


def remember(flash: RecordingFlash, board: VirtualBoard, received: int) -> None:
    """Have `flash` keep with each operation what the board's promises know, its files, and its
    bytes of images, to which `received` were received before it was made.
    """
    known = board.on_boot
    assert isinstance(known, Invariants)

    def past() -> tuple[Invariants, int]:
        copy = Invariants(known.images)
        copy.go_on_from(known)
        return copy, received + image_bytes(board)

    flash.past = past
    flash.files = lambda: dict(board.files)


def _require_declared(board: BoardProfile, moment: RecordedOperation) -> None:
    """No byte of a slot changes unless a cell says that it is empty, and that the other one is
    confirmed.
    """
    op = moment.op
    for number, slot in enumerate(board.slots):
        whole = slot.image, slot.table, slot.descriptor
        if op.actor != "python" or not any(op.addr in region for region in whole):
            continue
        if op.kind == "program" and op.length == 4:
            continue  # an open word of the descriptor
        newest = journal.newest_cell(moment.flash.peek(board.journal.start, board.journal.size))
        cell = newest[1] if newest is not None else None
        empty = cell is not None and cell.states[number] is SlotState.EMPTY
        held = cell is not None and cell.active != number and cell.states[1 - number] is SlotState.CONFIRMED
        changes = f"0x{op.addr:06X} of slot {'AB'[number]} changes"
        require(empty and held, 9, f"{changes}, and the journal says {cell}")


class PowerCutProof:
    """Scenarios of one or more flash maps; worlds are made in `folder`. `edit` changes the boards'
    files.

    With `merge` a run also ends in a state, byte for byte, from which a run before came to rest:
    what remains is the same, and is counted as it was there (slotbench.prove.powercut.merging).
    With `by_content` the same flash content is started once, whatever luck the board would have.
    """

    def __init__(
        self, folder: Path, *, seed: int = 0, merge: bool = True, edit: Edit | None = None,
        by_content: bool = False,
    ) -> None:
        self.seed = seed
        self.by_content = by_content
        self.settled: Settled | None = {} if merge else None
        self._folder = folder
        self._edit = edit
        self._benches: dict[str, PowerCutBench] = {}
        self._recorded: dict[tuple[str, str], Recorded] = {}
        self._recovery: tuple[CutId, list[RecordedOperation]] | None = None

    @cached_property
    def _keys(self) -> Path:
        folder = self._folder / "keys"
        if not folder.exists():
            keys.create_keys(folder, PRODUCT, NOW)
        return folder

    def recorded_scenario(self, board: str, scenario: str) -> Recorded:
        """A scenario on a flash map; it is run when it is asked for first."""
        if (board, scenario) not in self._recorded:
            if board not in self._benches:
                self._benches[board] = PowerCutBench(
                    self._folder, board, self._keys, seed=self.seed, edit=self._edit)
            it = SCENARIOS[scenario]
            self._recorded[board, scenario] = Recorded(it, it.courses(self._benches[board]))
        return self._recorded[board, scenario]

    def single_cuts(self, board: str, loader: str, scenario: str, torn: int, weak: int) -> list[CutId]:
        """All single cuts of a scenario."""
        cuts = self.recorded_scenario(board, scenario).cuts(torn, weak)
        return [CutId(board, loader, scenario, (cut,)) for cut in cuts]

    def sampled_cuts(self, board: str, loader: str, scenario: str, torn: int, weak: int) -> list[CutId]:
        """Of those single cuts a sample (slotbench.prove.powercut.sample)."""
        seed = f"{board} {scenario} {self.seed}"
        recorded = self.recorded_scenario(board, scenario)
        cuts = draw_cuts(recorded.moments, torn, weak, seed, are_alike=are_alike(board, scenario))
        return [CutId(board, loader, scenario, (cut,)) for cut in cuts]

    def run(self, id: CutId, at_end: Callable[[VirtualBoard], object] | None = None) -> RunResult:
        """One run with its cuts, to rest. `at_end` is called with the board as it is then."""
        board, result = None, RunResult(cuts=1)
        try:
            course, moment = self._moment(id)
            board = self._board(id, course, moment, self.flash_after(id))
            watch = StateMerger(board, course, self.settled, self.by_content)
            left, result.merged = self._to_rest(id, board, course, watch)
            result.contents.add(watch.content)
            needed = self.recorded_scenario(id.board, id.scenario).received[_number(course)]
            again = moment.received + left.received - needed
            most = len(id.cuts) * (_ONE_BLOCK + course.again)
            require(again <= most, 8, f"{again} bytes of the image fetched again")
        except Broken as broken:
            result.failures.append(Failure(id, broken.number, str(broken)))
        except (AssertionError, BenchViolation) as error:
            result.failures.append(Failure(id, 0, f"{type(error).__name__}: {error}"))
        if board is not None:
            result.boots = len(board.boots)
            if at_end is not None:
                at_end(board)
            if board.state is not BoardState.OFF:
                board.power_off()
        return result

    def seconds(self, id: CutId, count: int | None) -> list[CutId]:
        """The run of `id` with a second cut while it recovers: every operation and mode, or `count`
        of them drawn by a seed.
        """
        try:
            operations = len(self._recover(id))
        except (AssertionError, BenchViolation):
            return [id]
        every = [Cut(index, mode, self.seed) for index in range(operations) for mode in CutMode]
        if count is not None:
            every = random.Random(f"{id} {self.seed}").sample(every, min(count, len(every)))
        return [replace(id, cuts=(*id.cuts, cut)) for cut in every]

    def flash_after(self, id: CutId) -> NorFlash:
        """What the last cut leaves, without power."""
        _, moment = self._moment(id)
        return moment.after(replace(id.cuts[-1], index=moment.op.index))

    def _moment(self, id: CutId) -> tuple[ScenarioRun, RecordedOperation]:
        """What the last cut hits: an operation of the scenario, or of the recovery from the cuts
        before.
        """
        moments = self.recorded_scenario(id.board, id.scenario).moments
        if id.cuts[0].index >= len(moments):
            raise BenchError(
                f"no operation {id.cuts[0].index}", where=f"{id.scenario} has {len(moments)}",
                exit_code=USAGE)
        course, moment = moments[id.cuts[0].index]
        if len(id.cuts) == 1:
            return course, moment
        recovery = self._recover(replace(id, cuts=id.cuts[:-1]))
        if id.cuts[-1].index >= len(recovery):
            raise BenchError(
                f"no operation {id.cuts[-1].index}", where=f"the recovery has {len(recovery)}",
                exit_code=USAGE)
        return course, recovery[id.cuts[-1].index]

    def _recover(self, id: CutId) -> list[RecordedOperation]:
        """The operations from the last cut to rest. The newest recovery is kept: it is asked for
        again.
        """
        if self._recovery is None or self._recovery[0] != id:
            course, moment = self._moment(id)
            flash = RecordingFlash.from_flash(self.flash_after(id))
            board = self._board(id, course, moment, flash)
            remember(flash, board, moment.received)
            try:
                self._to_rest(id, board, course, StateMerger(board, course, None))
            finally:
                if board.state is not BoardState.OFF:
                    board.power_off()
            self._recovery = id, flash.moments
        return self._recovery[1]

    def _board(
        self, id: CutId, course: ScenarioRun, moment: RecordedOperation, flash: NorFlash,
    ) -> VirtualBoard:
        """The board without power, right after the last cut."""
        board = course.testbed.board(
            course.network(), flash=flash, loader=LOADERS[id.loader], past=moment.past,
            seed=self.seed + id.cuts[-1].seed)
        board.files.clear()
        board.files.update(moment.files_at(id.cuts[-1]))
        return board

    def _to_rest(
        self, id: CutId, board: VirtualBoard, course: ScenarioRun, watch: StateMerger
    ) -> tuple[RemainingCost, bool]:
        """Power on, until nothing happens any more: what that took, and whether some of it was
        known.
        """
        printed: list[str] = []
        board.on_print = printed.append
        try:
            watch.without_power(self.seed + id.cuts[-1].seed)
            board.on_boot = watch
            board.power_on()
            board.run(_TO_REST_MS, until=lambda: course.ends(board))
            require(board.state is not BoardState.DEAD, 1, "no slot boots")
            require(course.ends(board), 6, f"at rest as {board.state.value} with {board.cell}")
            boots = len(board.boots)
            board.run(_REST_MS)
            require(len(board.boots) == boots and course.ends(board), 6, "at rest is at rest")
            left, known = RemainingCost(boots, image_bytes(board)), False
        except KnownStateReached as state:
            left, known = state.whole, True
        require(left.boots <= _MAX_BOOTS, 6, f"{left.boots} boots")
        text = "".join(printed)
        require("Traceback" not in text, 0, f"the application was told: {text[-300:]}")
        watch.came_to_rest(left)
        return left, known


_number = id
"""Runs have ids of another kind."""
