"""Many boards and one real server: a good release for all, then a bad one for some."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from slotbench.boards import load
from slotbench.prove.invariants import Invariants
from slotbench.prove.parallel import ignore_interrupts, interrupts_wait, killed_on_error, tune_worker
from slotbench.prove.testbed import HOURS_MS, NOW, TestBed, runs_confirmed
from slotbench.release.publish import Rollout
from slotbench.server import BackgroundServer, create_app
from slotbench.vboard.board import BoardState, VirtualBoard
from slotbench.vboard.firmware import Behaviour
from slotbench.vboard.flash.cuts import Cut, CutMode
from slotbench.vboard.flash.nor import SECTOR
from slotbench.vboard.network.faults import FaultyNetwork
from slotbench.vboard.network.loopback import LoopbackNetwork
from slotbench.vboard.network.seeded_faults import FaultKind, SeededFaults

__all__ = ["Fleet", "Member", "prove_fleet"]

BOARDS: Final = ("generic_4m", "d1_mini", "nodemcu")
_CHANNELS: Final = ("stable", "stable", "stable", "beta")
_LOSS: Final = 0.05
_BAD_FLASH: Final = 0.05
_CUTS: Final = 0.3
_BAD_PERCENT: Final = 10
_GOOD, _BAD = 2, 3
_BAD_DOES = Behaviour.CRASH
"""What the bad release does. No board may end on `_BAD`."""

_MAIN: Final = "import time, twoslot\nwhile True:\n    twoslot.tick()\n    time.sleep_ms(5000)\n"
_UPDATE_MS: Final = 12 * HOURS_MS
_TRY_MS: Final = 3 * HOURS_MS


@dataclass(frozen=True, slots=True)
class Member:
    """One board at the end. `minutes` of virtual time passed until it ran the good release; 0: it
    never did.
    """

    number: int
    board: str
    channel: str
    bad_flash: bool
    runs: int
    refused: int
    """The highest counter that the board marked as bad."""
    cuts: int
    boots: int
    minutes: float
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Fleet:
    """The result of all boards."""

    members: tuple[Member, ...]
    seconds: float

    @property
    def ended(self) -> dict[str, int]:
        """Numbers of boards by the state they ended in."""
        return dict(sorted(Counter(_ending(member) for member in self.members).items()))

    @property
    def failures(self) -> list[str]:
        """Boards that ended in a wrong state, in words."""
        return [
            f"board {it.number} ({it.board}, {it.channel}): {it.fault}" for it in self.members if it.fault]


def prove_fleet(folder: Path, boards: int = 200, *, seed: int = 0, processes: int = 2) -> Fleet:
    """Run a fleet of `boards` boards against a server process on this machine's loopback."""
    begun = time.perf_counter()
    main = TestBed(folder, board=BOARDS[0], seed=seed, main=_MAIN)
    maps = [load(name) for name in BOARDS]

    def publish(counter: int, does: Behaviour, channels: Sequence[str], rollout: Rollout) -> None:
        image = main.images[counter] = main.firmware(f"{counter}.0.0", does)
        main.publisher.publish(
            image, maps, version=f"{counter}.0.0", counter=counter, now=NOW + counter, rollout=rollout,
            channels=channels)

    publish(_GOOD, Behaviour.HEALTHY, ("stable", "beta"), Rollout())
    main.images[_BAD] = main.firmware(f"{_BAD}.0.0", _BAD_DOES)
    testbeds = {BOARDS[0]: main}
    for name in BOARDS[1:]:
        (folder / name).mkdir()
        testbeds[name] = TestBed(folder / name, board=name, seed=seed, main=_MAIN, keys=folder / "keys")
        testbeds[name].images = main.images
    with killed_on_error(), _server(folder / "site") as url, _crews(
            testbeds, url, boards, seed, processes) as crews:
        _together(crews)
        publish(_BAD, _BAD_DOES, ("stable",), Rollout(percent=_BAD_PERCENT))
        members = [member for part in _together(crews) for member in part]
    members.sort(key=lambda member: member.number)
    return Fleet(tuple(members), time.perf_counter() - begun)


@contextmanager
def _server(root: Path) -> Iterator[str]:
    """Run a server process of the release directory; yields its URL."""
    context = get_context("fork")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(root, there), daemon=True)
    with interrupts_wait():
        process.start()
    yield here.recv()
    here.send(None)
    process.join()


def _serve(root: Path, parent: Connection) -> None:
    ignore_interrupts()
    with BackgroundServer(create_app(root), "127.0.0.1", 0) as server:
        parent.send(server.url)
        parent.recv()


@contextmanager
def _crews(
    testbeds: dict[str, TestBed], url: str, boards: int, seed: int, processes: int
) -> Iterator[list[Connection]]:
    """Start processes that each run a share of the boards. Each message to them starts one phase.
    """
    context = get_context("fork")
    ends, running = [], []
    for share in range(processes):
        here, there = context.Pipe()
        numbers = range(share, boards, processes)
        process = context.Process(target=_crew, args=(testbeds, url, numbers, seed, there), daemon=True)
        with interrupts_wait():
            process.start()
        ends.append(here)
        running.append(process)
    yield ends
    for process in running:
        process.join(timeout=5)
        process.kill()


def _together(crews: list[Connection]) -> list[list[Member]]:
    for crew in crews:
        crew.send("go")
    return [crew.recv() for crew in crews]


def _crew(
    testbeds: dict[str, TestBed], url: str, numbers: Sequence[int], seed: int, parent: Connection,
) -> None:
    tune_worker()
    ships = [_FleetBoard(testbeds, url, number, seed) for number in numbers]
    parent.recv()
    for ship in ships:
        ship.run_with_cuts(_UPDATE_MS, _GOOD)
    parent.send([ship.member() for ship in ships])
    parent.recv()
    for ship in ships:
        ship.run_with_cuts(_TRY_MS, None)
    parent.send([ship.member() for ship in ships])


class _FleetBoard:
    """One board of the fleet, with its own random numbers."""

    def __init__(self, testbeds: dict[str, TestBed], url: str, number: int, seed: int) -> None:
        self._rng = random.Random(f"{seed} {number}")
        self.number = number
        self.name = BOARDS[number % len(BOARDS)]
        self.channel = self._rng.choice(_CHANNELS)
        self.bad_flash = self._rng.random() < _BAD_FLASH
        self.cuts = 0
        self.minutes = 0.0
        self.fault = ""
        self.testbed = testbeds[self.name]
        self.board = self._board(url, seed)
        if self.bad_flash:
            slot = self.board.profile.slots[1]
            self.board.flash.set_stuck(slot.image.start // SECTOR + self._rng.randrange(8), 0.5)

    def _board(self, url: str, seed: int) -> VirtualBoard:
        faults = SeededFaults(self._rng, _LOSS, (FaultKind.RESET,))
        board = self.testbed.board(
            FaultyNetwork(LoopbackNetwork(), faults), server=url, seed=seed * 100_003 + self.number)
        board.files["/twoslot.json"] = json.dumps(
            {**self.testbed.settings(url), "channel": self.channel}).encode()
        assert isinstance(board.on_boot, Invariants)
        board.on_boot.begin(board)
        return board

    def run_with_cuts(self, ms: int, counter: int | None) -> None:
        """Run through power cuts for `ms`, or until the release `counter` runs."""
        board = self.board
        end_ms = board.clock.ms + ms
        try:
            while board.clock.ms < end_ms and not self._there(counter):
                if board.state is BoardState.OFF:
                    self._plan_cut()
                    board.power_on()
                board.run(end_ms - board.clock.ms, until=lambda: self._there(counter))
            board.flash.disarm()
            if board.state is BoardState.OFF:
                board.power_on()
        except AssertionError as broken:
            self.fault = str(broken)
        if counter is not None and self._there(counter):
            self.minutes = board.clock.ms / 60_000

    def member(self) -> Member:
        """The state of this board."""
        board = self.board
        runs = board.result.counter if board.result is not None and board.state is BoardState.RUNNING else 0
        cell = board.cell
        expected = 1 if self.bad_flash else _GOOD
        fault = self.fault
        if not fault and not runs_confirmed(board, expected):
            fault = f"it runs {runs} and not {expected}"
        return Member(
            self.number, self.name, self.channel, self.bad_flash, runs, cell.bad_counter if cell else 0,
            self.cuts, len(board.boots), round(self.minutes, 2), fault)

    def _there(self, counter: int | None) -> bool:
        return counter is not None and runs_confirmed(self.board, counter)

    def _plan_cut(self) -> None:
        if self._rng.random() < _CUTS:
            flash = self.board.flash
            index = flash.operations + self._rng.randrange(60)
            flash.arm(Cut(index, self._rng.choice(list(CutMode)), self.number))
            self.cuts += 1


def _ending(member: Member) -> str:
    where = f"runs {member.runs}" if member.runs else "runs nothing"
    if member.refused == _BAD:
        where += ", tried the bad release and went back"
    return f"{where}, its flash is worn out" if member.bad_flash else where
