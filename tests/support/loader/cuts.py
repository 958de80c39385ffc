"""Power cuts of one boot of the machine: at each operation, at each word, in pairs; and what must hold after them."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Callable, Collection, Container
from contextlib import suppress
from typing import Literal

from slotbench.boards import BoardProfile
from slotbench.formats import windowlog
from slotbench.formats.journal import Ended, JournalCell, SlotState
from slotbench.formats.rtc import BootReason
from slotbench.vboard.flash.cuts import Cut, CutMode
from slotbench.vboard.flash.nor import BLOCK, SECTOR, NorFlash
from slotbench.vboard.loader.model import BootResult
from slotbench.vboard.lx106.machine import LoaderMachine
from slotbench.vboard.lx106.steps import WordFlash
from slotbench.vboard.signals import PowerCut
from slotbench.vboard.soc import Soc
from support.loader.bench import (
    IN_PLACE,
    WINDOW,
    bare,
    boot,
    chip_with,
    newest,
    put,
    put_cell,
    put_window,
    small_image,
    tail_of,
)

OLD, NEW = "1.0.0", "2.0.0"
BOARDS = {board.name: board for board in (WINDOW, IN_PLACE)}
_ATTEMPTS = 3


def first_boot(board: BoardProfile) -> NorFlash:
    """1.0.0 ran from A; the trial of 2.0.0 in B was just activated."""
    return _board_with(board, OLD, _cell())


def next_attempt(board: BoardProfile) -> NorFlash:
    """One attempt of 2.0.0 is spent, the window is its own: the next one."""
    return _board_with(board, NEW, _cell(spent=_first(1), copied=_first(1), reached=True))


def falling_back(board: BoardProfile) -> NorFlash:
    """All attempts are spent; the last one's end is not written yet; the window is still that of 2.0.0."""
    ended = tuple(int(Ended.EXCEPTION) if number < _ATTEMPTS - 1 else None for number in range(8))
    return _board_with(board, NEW, _cell(spent=_first(_ATTEMPTS), copied=_first(1), reached=True, ended=ended))


def whole_block(board: BoardProfile = WINDOW, *, equal: Collection[int] = (), missing: int = 0) -> NorFlash:
    """The trial of an image that ends where the 64 KB block at 0x10000 does, or so many bytes before.

    The window has the sectors `equal` of the block already.
    """
    length = 2 * BLOCK - board.irom_offset - 16 - missing
    old, new = (small_image(version, None, length) for version in (OLD, NEW))
    flash = bare(board)
    put(board, flash, 0, old, 1, confirmed=True)
    put(board, flash, 1, new, 2)
    put_cell(board, flash, _cell())
    put_window(board, flash, old)
    for sector in equal:
        at = BLOCK + sector * SECTOR
        flash.poke(at, new[at : at + SECTOR])
    return flash


SCENARIOS: dict[str, Callable[[BoardProfile], NorFlash]] = {
    it.__name__: it for it in (first_boot, next_attempt, falling_back)}
MORE_SCENARIOS: dict[str, Callable[[BoardProfile], NorFlash]] = {**SCENARIOS, "whole_block": whole_block}
"""With one for maps with an exec window."""


def image_of(board: BoardProfile, version: str, slot: int) -> bytes:
    """One sector of irom: a thousand words to be cut at."""
    return small_image(version, slot if board.in_place else None, SECTOR - 16)


def _cell(**words: object) -> JournalCell:
    return JournalCell(
        sequence=3, active=1, state_a=SlotState.CONFIRMED, state_b=SlotState.READY, counter_a=1, counter_b=2,
        attempts=_ATTEMPTS, copies=8, floor=1, **words)  # type: ignore[arg-type]


def _board_with(board: BoardProfile, in_window: str, cell: JournalCell) -> NorFlash:
    flash = bare(board)
    put(board, flash, 0, image_of(board, OLD, 0), 1, confirmed=True)
    put(board, flash, 1, image_of(board, NEW, 1), 2)
    put_cell(board, flash, cell)
    if not board.in_place:
        put_window(board, flash, image_of(board, in_window, 0))
        if in_window == NEW:
            held = windowlog.held_entry(hashlib.sha256(image_of(board, NEW, 0)).digest())
            flash.poke(board.window_log.start, windowlog.DIRTY_ENTRY + held)
    return flash


def settle(board: BoardProfile, flash: NorFlash, seed: int, boots: int = 2) -> int:
    """Power comes back `boots` times; each time the board starts a right image, and pays for a trial."""
    before = flash.peek(board.slots[0].image.start, board.slots[0].image.size)
    for _ in range(boots):
        soc = _powered(flash, seed)
        booted = boot(board, soc, seed=seed)
        assert isinstance(booted.result, BootResult), booted.result
        tail, cell = tail_of(soc), newest(board, flash)
        assert cell is not None
        assert tail.trial == (booted.result.why is BootReason.TRIAL)
        assert (tail.slot, tail.counter) == (booted.result.slot, booted.result.counter)
        if tail.trial and not flash.weak:
            # A word that reads differently each time has no number to hold the tail against.
            assert 1 <= sum(cell.spent) <= _ATTEMPTS, "a trial is paid for, and not for ever"
            assert tail.attempts_left == _ATTEMPTS - sum(cell.spent)
        assert flash.peek(board.slots[0].image.start, len(before)) == before, "the old release is as it was"
        seed += 1
    return boots


def _powered(flash: NorFlash, seed: int) -> Soc:
    flash.power_on()
    return chip_with(flash, seed=seed)


def operation_log(board: BoardProfile, flash: NorFlash) -> list[tuple[str, int, int]]:
    """Kind, address and length of the flash operations of one boot."""
    twin = flash.clone()
    boot(board, chip_with(twin))
    return [(op.kind, op.addr, op.length) for op in twin.log or ()]


def operations(board: BoardProfile, flash: NorFlash) -> int:
    """Flash operations of one boot."""
    return len(operation_log(board, flash))


def cut_once(board: BoardProfile, flash: NorFlash, cut: Cut) -> None:
    """Boot until the cut."""
    flash.arm(cut)
    try:
        boot(board, _powered(flash, cut.seed), seed=cut.seed)
    except PowerCut:
        return
    raise AssertionError(f"no operation {cut.index}")


def run_cuts(batch: list[tuple[str, str, Cut]]) -> int:
    """Boots of (board, scenario, cut); a failure says which."""
    boots = 0
    for name, scenario, cut in batch:
        board = BOARDS[name]
        flash = MORE_SCENARIOS[scenario](board)
        try:
            cut_once(board, flash, cut)
            boots += 1 + settle(board, flash, cut.seed)
        except AssertionError as error:
            raise AssertionError(f"{name} {scenario} cut {cut}: {error}") from error
    return boots


def run_pairs(batch: list[tuple[str, str, int]]) -> int:
    """Two cuts in a row, the second in the boot after the first, drawn from a seed."""
    boots = 0
    for name, scenario, seed in batch:
        board, rng = BOARDS[name], random.Random(f"pair {seed}")
        flash = MORE_SCENARIOS[scenario](board)
        cuts = []
        try:
            for _ in range(2):
                count = operations(board, flash)
                if not count:
                    break
                flash.reset_counters()
                cuts.append(Cut(rng.randrange(count), rng.choice(list(CutMode)), rng.randrange(1000)))
                try:
                    cut_once(board, flash, cuts[-1])
                except AssertionError:
                    if cuts[-1].mode is not CutMode.WEAK and not flash.weak:
                        raise
                    flash.disarm()
                boots += 1
            boots += settle(board, flash, seed)
        except AssertionError as error:
            raise AssertionError(f"{name} {scenario} pair {seed}: {[str(cut) for cut in cuts]}: {error}") from error
    return boots


def word_cuts(board: BoardProfile, scenario: str, torn_every: int, drawn: Container[int] = ()) -> tuple[int, dict[int, NorFlash]]:
    """How many cuts at words one boot has, and by their numbers the flash that each of the `drawn` ones leaves.

    There is one before each step of the boot; and one that tears it, at each `torn_every`-th step.
    """
    left: dict[int, NorFlash] = {}
    numbers = itertools.count()
    flash = WordFlash.from_flash(MORE_SCENARIOS[scenario](board))

    def on_step(kind: Literal["erase", "program"], addr: int, word: bytes) -> None:
        step = flash.operations
        if (number := next(numbers)) in drawn:
            left[number] = flash.clone()
        if step % torn_every == 0 and (number := next(numbers)) in drawn:
            torn = WordFlash.from_flash(flash)
            torn.arm(Cut(0, CutMode.TORN, step))
            with suppress(PowerCut):
                torn.write(addr, word) if kind == "program" else torn.erase_piece(addr)
            left[number] = torn.clone()

    flash.on_step = on_step
    LoaderMachine(chip_with(flash), board).boot(rounds=1)
    count = next(numbers)
    assert count > flash.operations > 0
    return count, left


def run_left(batch: list[tuple[str, NorFlash, int]]) -> int:
    """Power comes back on each of these."""
    boots = 0
    for name, flash, number in batch:
        try:
            boots += settle(BOARDS[name], flash, number, boots=1)
        except AssertionError as error:
            raise AssertionError(f"{name}, cut {number}: {error}") from error
    return boots


def _first(count: int) -> tuple[bool, ...]:
    return tuple(number < count for number in range(8))
