"""Whole updates at given rates of failing connections, compared with a client that starts over each
time.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from slotbench.prove.answers import Remembered
from slotbench.prove.invariants import Broken, Invariants
from slotbench.prove.network.downloads import Downloads
from slotbench.prove.parallel import workers
from slotbench.prove.testbed import HOURS_MS, Edit, TestBed, runs_confirmed, without_main
from slotbench.vboard.board import VirtualBoard
from slotbench.vboard.network.faults import FaultyNetwork
from slotbench.vboard.network.seeded_faults import SeededFaults
from slotbench.vboard.network.wsgi import WsgiNetwork

__all__ = ["RATES", "Rate", "UpdateOutcome", "prove_updates"]

RATES: Final = (0.0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.5)

_BLOCK: Final = 4096
_ATTEMPTS: Final = 30
"""How often a person would restart that client."""

_START_OVER: Final = """\
import twoslot
outcome = ""
agent = twoslot.load_agent()
try:
    agent.begin()
    while agent.step():
        pass
    outcome = "armed"
except Exception as e:
    outcome = repr(e)
twoslot.unload()
"""
"""The board's own agent without retries: the first failure ends the attempt."""


@dataclass(frozen=True, slots=True)
class UpdateOutcome:
    """One update. Bytes are those of the image; `seconds` are virtual."""

    succeeded: bool
    needed: int
    fetched: int
    interruptions: int
    image_interruptions: int
    most_again: int
    """The most bytes that one lost connection made the board fetch again."""
    seconds: float
    restart_succeeded: bool
    restart_attempts: int
    restart_fetched: int
    text: str = ""


@dataclass(frozen=True, slots=True)
class Rate:
    """All updates at one rate."""

    failing: float
    outcomes: tuple[UpdateOutcome, ...]

    @property
    def updates(self) -> int:
        """How many updates ran."""
        return len(self.outcomes)

    @property
    def succeeded(self) -> int:
        """How many updates ended confirmed, without help."""
        return sum(outcome.succeeded for outcome in self.outcomes)

    @property
    def restart_client_succeeded(self) -> int:
        """How many updates the other client installed at its first attempt.
        """
        return sum(outcome.restart_succeeded for outcome in self.outcomes)

    @property
    def interruptions(self) -> int:
        """How many connections failed."""
        return sum(outcome.interruptions for outcome in self.outcomes)

    @property
    def refetched_blocks_per_interruption(self) -> float:
        """Blocks fetched again for each failed connection for an image."""
        again = sum(max(0, outcome.fetched - outcome.needed) for outcome in self.outcomes)
        lost = sum(outcome.image_interruptions for outcome in self.outcomes)
        return again / _BLOCK / lost if lost else 0.0

    @property
    def most_refetched_blocks(self) -> float:
        """The most blocks that one failed connection made a board fetch again."""
        return max((outcome.most_again for outcome in self.outcomes), default=0) / _BLOCK

    @property
    def fetched_over_needed(self) -> float:
        """Ratio of fetched to needed image bytes."""
        return sum(it.fetched for it in self.outcomes) / max(1, sum(it.needed for it in self.outcomes))

    @property
    def restart_fetched_over_needed(self) -> float:
        """The same ratio for the client that starts over, until it succeeds."""
        fetched = sum(it.restart_fetched for it in self.outcomes)
        return fetched / max(1, sum(it.needed for it in self.outcomes))

    @property
    def seconds(self) -> float:
        """Mean virtual seconds from power on to confirmed."""
        return sum(outcome.seconds for outcome in self.outcomes) / max(1, self.updates)

    @property
    def slowest_seconds(self) -> float:
        """Virtual seconds of the slowest update."""
        return max((outcome.seconds for outcome in self.outcomes), default=0.0)

    @property
    def failures(self) -> list[str]:
        """The failures, in words."""
        return [outcome.text for outcome in self.outcomes if outcome.text]


def prove_updates(
    folder: Path, rates: Sequence[float] = RATES, updates: int = 50, *, size: int = 96 * 1024, seed: int = 0,
    processes: int = 2, patches: bool = False, on_rate: Callable[[Rate], object] = lambda rate: None,
) -> list[Rate]:
    """Run `updates` updates with images of `size` bytes at each rate; with `patches` the release has one
    from the release that the boards run.
    """
    testbed = TestBed(folder, size=size, seed=seed, patches=int(patches))
    testbed.publish(2)
    testbed.app = Remembered(testbed.app)
    found = []
    run = partial(_one, testbed, seed)
    with workers(processes) as pool:
        _shared[:] = [run]
        for failing in rates:
            outcomes = tuple(pool.map(_call, [(failing, number) for number in range(updates)], chunksize=5))
            found.append(Rate(failing, outcomes))
            on_rate(found[-1])
    _shared.clear()
    return found


_shared: list[Callable[[float, int], UpdateOutcome]] = []


def _call(what: tuple[float, int]) -> UpdateOutcome:
    return _shared[0](*what)


def _one(testbed: TestBed, seed: int, failing: float, number: int) -> UpdateOutcome:
    board, network, faults = _board(testbed, failing, f"{seed} {failing} {number}", seed + number)
    needed = len(testbed.image(2, 1))
    text = ""
    try:
        board.power_on()
        board.run(48 * HOURS_MS, until=lambda: runs_confirmed(board, 2))
    except Broken as broken:
        text = str(broken)
    succeeded = not text and runs_confirmed(board, 2)
    downloads = Downloads.from_log(network.requests)
    again = downloads.image_bytes - needed
    if not succeeded:
        text = text or f"not confirmed: {board.cell}"
    elif again > _BLOCK * downloads.interrupted:
        text = f"{again} bytes fetched again after {downloads.interrupted} interruptions"
    elif downloads.most_again > _BLOCK:
        text = f"{downloads.most_again} bytes fetched again after one interruption"
    if text:
        text = f"rate {failing} update {number}: {text}"
    seconds = board.clock.ms / 1000
    board.power_off()
    attempts, first, fetched = _start_over(testbed, failing, seed, number)
    return UpdateOutcome(
        succeeded, needed, downloads.image_bytes, sum(faults.fault_counts.values()), downloads.interrupted,
        downloads.most_again, seconds, first, attempts, fetched, text)


def _start_over(testbed: TestBed, failing: float, seed: int, number: int) -> tuple[int, bool, int]:
    """How many attempts it took, whether the first one succeeded, and bytes of the image fetched.
    """
    luck = f"over {seed} {failing} {number}"
    board, network, _ = _board(testbed, failing, luck, seed + number, without_main)
    board.on_boot = None
    board.power_on()
    slot = testbed.profile.slots[1]
    for attempt in range(1, _ATTEMPTS + 1):
        board.clock.advance_ms(10_000)
        board.run_line(_START_OVER)
        if board.evaluate("outcome") == "armed":
            break
        for start in (slot.table.start, *range(slot.image.start, slot.image.end, _BLOCK)):
            board.flash.poke(start, b"\xff" * _BLOCK)
    board.power_off()
    return attempt, attempt == 1, Downloads.from_log(network.requests).image_bytes


def _board(
    testbed: TestBed, failing: float, luck: str, seed: int, edit: Edit | None = None
) -> tuple[VirtualBoard, FaultyNetwork, SeededFaults]:
    faults = SeededFaults(random.Random(luck), failing)
    network = FaultyNetwork(WsgiNetwork(testbed.app), faults)
    board = testbed.board(network, seed=seed, edit=edit)
    # The default interval: a board that gave up until its next scheduled check would show here.
    settings = json.loads(board.files["/twoslot.json"])
    del settings["interval_s"]
    board.files["/twoslot.json"] = json.dumps(settings).encode()
    assert isinstance(board.on_boot, Invariants)
    board.on_boot.begin(board)
    return board, network, faults
