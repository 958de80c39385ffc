"""`slotbench status --dump` against the board's own word: a dump and a status() at the same moment."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from slotbench.boards import BoardProfile
from slotbench.errors import BenchError
from slotbench.formats.descriptor import SlotDescriptor
from slotbench.formats.rtc import BootReason
from slotbench.vboard.board import BoardState, VirtualBoard
from slotbench.vboard.factory import board_files
from slotbench.vboard.firmware import Behaviour
from slotbench.vboard.flash.cuts import EVERY_MODE, Cut
from slotbench.vboard.flash.nor import PAGE, SECTOR, NorFlash
from slotbench.vboard.forecast.status import status
from slotbench.vboard.network.base import NoNetwork
from slotbench.vboard.signals import PowerCut
from support.live.flash import flash_of_row, random_flash, spent_trial
from support.loader.decision_rows import Row, rows
from support.sampling import Sampler
from support.testbed import MINUTES_MS, make_testbed
from support.vboard.flash import generic

SEEDS = range(9)
BOARDS = ("generic_4m", "generic_4m", "native_512k")
STEPS = 25
UNKNOWN = ("hook", "twoslot", "hook_version")
NEEDS = {"product": "lamp", "board": "generic_4m", "channel": "stable", "server": "http://updates.lan"}


def dump(flash: NorFlash) -> bytes:
    return flash.peek(0, flash.size)


def ask(board: VirtualBoard) -> Any:
    """What the board says; None when its firmware cannot import twoslot."""
    try:
        return board.evaluate("twoslot.status()")
    except ValueError:
        return None


def ask_twin(board: BoardProfile, flash: NorFlash, files: dict[str, bytes]) -> Any:
    """What a board says that is powered on with this flash; None when it does not get to its REPL at once."""
    twin = VirtualBoard(board, flash.clone(), NoNetwork(), dict(files))
    twin.power_on()
    if twin.state is BoardState.DEAD:
        return BoardState.DEAD
    return ask(twin) if twin.state is BoardState.RUNNING and len(twin.boots) == 1 else None


def require_agreement(board: BoardProfile, flash: NorFlash, files: dict[str, bytes]) -> str:
    """Every field; the row that was taken, or why there was nothing to compare."""
    says = ask_twin(board, flash, files)
    if says is None:
        return "no answer"
    if says is BoardState.DEAD:
        with pytest.raises(BenchError, match="nothing boots"):
            status(board, dump(flash))
        return "nothing boots"
    # A dump does not tell whether the boot hook ran, nor what is on the filesystem.
    assert asdict(status(board, dump(flash))) == says | dict.fromkeys(UNKNOWN) | {"more": {}}
    return BootReason(says["why"]).name


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.text)
def test_every_row_of_the_decision_table(row: Row) -> None:
    agreed = require_agreement(generic(), flash_of_row(row), board_files(NEEDS, b""))
    assert agreed == ("nothing boots" if row.why is None else BootReason(row.why).name)


def agreements(make: Callable[[random.Random], NorFlash], count: int) -> Counter[str]:
    files, agreed = board_files(NEEDS, b""), Counter[str]()
    for seed in range(count):
        try:
            agreed[require_agreement(generic(), make(random.Random(seed)), files)] += 1
        except AssertionError as error:
            error.add_note(f"seed {seed}")
            raise
    print(f"\n{count} flashes: {dict(agreed)}")
    return agreed


def test_flashes_that_no_board_left(sampler: Sampler) -> None:
    count = 600 if sampler.whole else 200
    sampler.say("flashes that no board left", count, 600, "the first ones")
    assert agreements(random_flash, count).keys() >= {why.name for why in BootReason} - {"NO_DESCRIPTOR"} | {"nothing boots"}


def test_verdicts_on_trials_that_are_over(sampler: Sampler) -> None:
    count = 150 if sampler.whole else 40
    sampler.say("trials that are over", count, 150, "the first ones")
    assert agreements(spent_trial, count) == {BootReason.FALLBACK.name: count}


def test_the_dump_is_not_changed() -> None:
    flash = flash_of_row(next(row for row in rows() if row.why == BootReason.TRIAL))
    before = dump(flash)
    status(generic(), before)
    assert dump(flash) == before


class Life:
    """One board through updates, rollbacks, crashes and power cuts, and a person who is not kind to it."""

    def __init__(self, folder: Path, seed: int, board: str) -> None:
        self.rng = random.Random(seed)
        self.testbed = make_testbed(folder, board=board)
        self.board = self.testbed.board()
        self.board.on_boot = None  # flash is spoiled here, which no invariant allows for
        self.counter = 1
        self.seen: Counter[str] = Counter()
        self.publish()
        self.board.power_on()

    def step(self) -> None:
        """Let something happen, and the board come to where it can be asked."""
        actions = (
            (self.publish, 5), (self.wait, 8), (self.cut, 8), (self.board.press_reset, 3), (self.rollback, 3),
            (self.power_cycle, 3), (self.spoil, 2),
        )
        action = self.rng.choices([a for a, _ in actions], [weight for _, weight in actions])[0]
        action()
        self.board.flash.disarm()
        if self.board.state in (BoardState.OFF, BoardState.HUNG):
            self.power_cycle()

    def publish(self) -> None:
        """A release, sometimes one that is no good."""
        self.counter += 1
        does = self.rng.choice([Behaviour.HEALTHY] * 5 + list(Behaviour))
        self.testbed.publish(self.counter, does, floor=self.counter - 1 if self.rng.random() < 0.2 else 0)
        self.wait()

    def wait(self) -> None:
        self.board.run(self.rng.choice((10_000, MINUTES_MS, 8 * MINUTES_MS, 20 * MINUTES_MS)))

    def cut(self) -> None:
        """Power goes somewhere in the next update."""
        flash = self.board.flash
        flash.arm(Cut(flash.operations + self.rng.randrange(80), self.rng.choice(EVERY_MODE), self.counter))
        self.counter += 1
        self.testbed.publish(self.counter)
        self.board.run(20 * MINUTES_MS)
        self.seen["cuts"] += self.board.state is BoardState.OFF

    def rollback(self) -> None:
        if self.board.state is BoardState.RUNNING:
            self.seen["rollbacks"] += "back to slot" in self.board.run_line("twoslot.rollback()")

    def power_cycle(self) -> None:
        self.board.power_off()
        self.board.power_on()

    def spoil(self) -> None:
        """Something is lost that no update loses: the journal, a descriptor, a byte of an image."""
        flash, board = self.board.flash, self.testbed.profile
        slot = board.slots[self.rng.randrange(2)]
        self.board.power_off()
        match self.rng.randrange(3):
            case 0:
                flash.poke(board.journal.start, b"\xff" * board.journal.size)
            case 1:
                flash.poke(slot.descriptor.start, b"\0" * 16)
            case 2:
                flash.poke(slot.image.start + self.rng.randrange(10 * SECTOR), b"\0\0\0\0")
        self.board.power_on()

    def compare(self) -> None:
        """The dump says what a board says that starts from it, and what this one says now."""
        board = self.board
        self.seen[require_agreement(board.profile, board.flash, board.files)] += 1
        if board.state is BoardState.DEAD:
            board.power_off()
            board.flash.poke(0, dump(self.testbed.factory))
            board.power_on()
        elif board.state is BoardState.RUNNING and (says := ask(board)) is not None:
            told = asdict(status(board.profile, dump(board.flash)))
            self.seen[self.compare_now(says, told)] += 1

    def rotten(self, letter: str) -> bool:
        """True when the slot's image is not what its descriptor says: the loader sees it, Python never checks."""
        slot, flash = self.testbed.profile.slots["AB".index(letter)], self.board.flash
        held = SlotDescriptor.unpack(flash.peek(slot.descriptor.start, PAGE))
        return hashlib.sha256(flash.peek(slot.image.start, held.length)).digest() != held.sha256

    def compare_now(self, says: dict[str, Any], told: dict[str, Any]) -> str:
        """Field by field; what differs does because the next start is not what this one was."""
        assert [*says, "more"] == list(told)
        differing = {key for key in says if key not in UNKNOWN and says[key] != told[key]}
        assert not differing & {"floor", "head"}, "what no start changes"
        if says["next"] != told["slot"]:
            assert told["why"] == BootReason.LAST_RESORT and self.rotten(says["next"]), "they agree on what is next"
        if (says["slot"], says["why"]) == (told["slot"], told["why"]):
            # Unless it is the last attempt: then another slot is next after it.
            assert not differing or differing == {"next"} and told["why"] == BootReason.TRIAL, (says, told)
            return "the same start"
        if says["slot"] == told["slot"]:
            assert differing == {"why"}, (says, told)
            return "the same slot"
        assert told["why"] in (BootReason.FALLBACK, BootReason.LAST_RESORT), (says, told)
        return "the other slot"


def test_lives_full_of_mishaps(tmp_path: Path, sampler: Sampler) -> None:
    seen = Counter[str]()
    seeds = sampler.draw("lives full of mishaps", SEEDS, 4, kind=lambda seed: BOARDS[seed % len(BOARDS)])
    for seed in seeds:
        folder = tmp_path / str(seed)
        folder.mkdir()
        life = Life(folder, seed, BOARDS[seed % len(BOARDS)])
        for number in range(STEPS):
            try:
                life.step()
                life.compare()
            except (AssertionError, PowerCut) as error:
                error.add_note(f"seed {seed}, step {number}: {life.board.cell}")
                raise
        seen.update(life.seen)
    print(f"\n{len(seeds)} boards, {STEPS} steps each: {dict(seen)}")
    for what in ("the same start", "the same slot", "the other slot", "cuts", "rollbacks"):
        assert seen[what] >= (3 if sampler.whole else 1), what
    assert seen["ORDINARY"] and seen["TRIAL"] and seen["FALLBACK"]
