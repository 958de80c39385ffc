"""States of flash and RTC memory for the differential test: every reachable one, and what no board ever left.

A worker runs a state on three implementations written apart: the loader's machine code, the model, and the
device's own decision.py under CPython.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
import random
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

import pytest

from slotbench.boards import BoardProfile
from slotbench.formats import FormatError, journal, windowlog
from slotbench.formats.descriptor import ImageForm, SlotDescriptor
from slotbench.formats.journal import Ended, JournalCell, SlotState
from slotbench.formats.release import DEVELOPMENT
from slotbench.formats.rtc import BootReason, Tail
from slotbench.vboard.flash.cuts import torn_erase, torn_program
from slotbench.vboard.flash.nor import PAGE, SECTOR, NorFlash
from slotbench.vboard.loader.image import load
from support.device.board import DeviceBoard
from support.device.decision import Decider, cell_of
from support.loader.bench import (
    IN_PLACE,
    WINDOW,
    Booted,
    bare,
    image_for,
    put,
    put_cell,
    put_window,
    same_as_model,
    small_image,
)
from support.loader.decision_rows import Row, rows

_VERSIONS = ("1.0.0", "2.0.0")
_RESTARTS = (0, 1, 2, 3, 4, 5, 6)
_BATCH = 50
_NO_DESCRIPTOR = 7
"""The row that decision.py does not have: whoever runs Python has a descriptor."""


@dataclass(frozen=True, slots=True)
class StartState:
    """Flash, and how the chip came to start."""

    board: BoardProfile
    flash: NorFlash
    reason: int = 0
    tail: Tail | None = None
    log_lies: bool = False
    """The window log may say what is not so."""

    def run(self) -> Booted:
        """Boot it on the machine and on the model, which must do the same."""
        return same_as_model(self.board, self.flash, reason=self.reason, tail=self.tail, log_lies=self.log_lies)


def spread(function: Callable[[list[Any]], int], work: Iterable[Any], batch: int = _BATCH) -> int:
    """The sum of `function` over batches of the work, on all cores.

    Where the tests themselves run on all cores, in this process: the machine's translated code serves
    every test, and a process of a pool would have to translate it anew.
    """
    items = list(work)
    batches = [items[start : start + batch] for start in range(0, len(items), batch)]
    if "PYTEST_XDIST_WORKER" in os.environ:
        return sum(map(function, batches))
    with ProcessPoolExecutor(os.cpu_count(), get_context("fork")) as pool:
        return sum(pool.map(function, batches))


# What the device says.


def device_choice(decider: Decider, state: StartState) -> tuple[int, int] | None:
    """What decision.py chooses of the pages on flash; slots with an image that does not verify are asked about."""
    board, flash = state.board, state.flash
    newest = journal.newest_cell(flash.peek(board.journal.start, board.journal.size))
    cell = decider.cell(newest[1]) if newest is not None else None
    descriptors, rots = [], []
    for slot, place in enumerate(board.slots):
        page = flash.peek(place.descriptor.start, PAGE)
        try:
            it = SlotDescriptor.unpack(page)
        except FormatError:
            it = None
        if it is not None and (it.slot != slot or not 0 < it.length <= place.image.size):
            it = None
        descriptors.append(decider.slots.Descriptor(bytearray(page)) if it is not None else None)
        if it is not None and not _is_startable(state, slot, it):
            rots.append(slot)
    return decider.boot(cell, descriptors, rots)


def _is_startable(state: StartState, slot: int, it: SlotDescriptor) -> bool:
    """It verifies; or it is trusted for the boot before, and then its RAM part is whole."""
    board, flash, tail = state.board, state.flash, state.tail
    data = flash.peek(board.slots[slot].image.start, it.length)
    if it.form is not (ImageForm.EA if board.in_place else ImageForm.E9):
        return False
    if hashlib.sha256(data).digest() == it.sha256:
        return True
    log = b"" if board.in_place else flash.peek(board.window_log.start, board.window_log.size)
    holds = board.in_place or windowlog.held_digest(log) == it.sha256[: windowlog.PREFIX_BYTES]
    trusted = holds and tail is not None and (tail.slot, tail.counter) == (slot, it.counter)
    return trusted and load(it.form, lambda at, size: data[at : at + size], it.length) is not None


@functools.cache
def _decider() -> Decider:
    return Decider(DeviceBoard().start())


def run_states(states: Iterable[StartState]) -> int:
    """All three on every state; returns how many there were."""
    decider = _decider()
    count = 0
    for state in states:
        expected = device_choice(decider, state)
        booted = state.run()
        choice = booted.choice
        if choice is None or choice[1] != _NO_DESCRIPTOR:
            assert choice == expected, f"decision.py: {expected}, the machine: {choice}"
        count += 1
    return count


# Every reachable one.

Reachable = tuple[int, SlotState, SlotState, int, int, bool, bool, tuple[bool, bool], str, str]


def reachable() -> Iterator[Reachable]:
    """Active slot, its state and the other's, spent, copied, reached, confirmed word, bad words, descriptors.

    Words belong to a trial; an attempt is spent after its copy was counted.
    """
    trial = [(0, 0, False), (0, 1, False), (0, 8, False), (1, 0, False), (1, 0, True), (1, 1, True), (3, 1, True), (3, 8, False)]
    words = [(*it, False) for it in trial]
    words += [(*it, True) for it in trial if it[2]]
    descriptors = ("valid", "confirmed", "marked", "other", "lost")
    armed_from = (SlotState.CONFIRMED, SlotState.EMPTY)
    for state in (SlotState.READY, SlotState.CONFIRMED, SlotState.BAD):
        ready = state is SlotState.READY
        of_active = words if ready else [(0, 0, False, False)]
        others = armed_from if ready else tuple(SlotState)
        for active, other, (spent, copied, reached, confirmed) in itertools.product((0, 1), others, of_active):
            for bad in itertools.product((False, True), repeat=2):
                for one, two in itertools.product(descriptors, repeat=2):
                    yield active, state, other, spent, copied, reached, confirmed, bad, one, two


def reachable_state(board: BoardProfile, it: Reachable) -> StartState:
    """Its flash: counters 1 in A and 2 in B; the window, if there is one, holds A."""
    active, state, other, spent, copied, reached, confirmed, bad, *descriptors = it
    flash = bare(board)
    for slot, kind in enumerate(descriptors):
        if kind != "lost":
            put(board, flash, slot, image_for(board, _VERSIONS[slot], slot), slot + 1 + (kind == "other"),
                confirmed=kind == "confirmed", bad=kind == "marked")
    states = (state, other) if active == 0 else (other, state)
    put_cell(board, flash, JournalCell(
        sequence=9, active=active, state_a=states[0], state_b=states[1], counter_a=1, counter_b=2, floor=1,
        attempts=3, copies=8, spent=_first(spent), copied=_first(copied), reached=reached, confirmed=confirmed,
        ended=tuple(int(Ended.RESTART) if number < spent - 1 else None for number in range(8)),
        bad_a=bad[0], bad_b=bad[1]))
    if not board.in_place:
        put_window(board, flash, small_image(_VERSIONS[0]))
    return StartState(board, flash, reason=4)


def run_reachable(batch: list[tuple[str, Reachable]]) -> int:
    """A batch of (board name, state)."""
    boards = {board.name: board for board in (WINDOW, IN_PLACE)}
    return run_states(reachable_state(boards[name], it) for name, it in batch)


def rows_of_both_maps() -> list[Any]:
    """Parameters (board, row); in-place maps do not start what has no descriptor."""
    both = [(board, row) for board in (WINDOW, IN_PLACE) for row in rows(stock=not board.in_place)]
    return [pytest.param(board, row, id=f"{board.name} / {row.text}") for board, row in both]


def flash_of_row(board: BoardProfile, row: Row) -> NorFlash:
    """What a row of the decision table describes."""
    flash = bare(board)
    for slot, it in enumerate(row.slots):
        if it.has_descriptor:
            put(board, flash, slot, image_for(board, _VERSIONS[slot], slot), it.descriptor_counter,
                confirmed=it.state == SlotState.CONFIRMED, bad="marked" in it.flaws)
        if "stock" in it.flaws:
            flash.poke(board.slots[slot].image.start, image_for(board, _VERSIONS[slot], slot))
        if "rots" in it.flaws:
            rot(board, flash, slot, -1 + len(image_for(board, _VERSIONS[slot], slot)))
    if row.active is not None:
        put_cell(board, flash, cell_of(row.active, row.slots, row.words))
    return flash


# Random ones.


def random_state(seed: int) -> StartState:
    """Images, pages, window log and tail in any combination; some pages torn, some sectors garbage."""
    rng = random.Random(f"state {seed}")
    board = IN_PLACE if rng.random() < 0.3 else WINDOW
    flash = bare(board, seed=seed)
    counters = [rng.randrange(1, 5) | rng.choice((0, 0, 0, DEVELOPMENT)) for _ in range(2)]
    for slot, counter in enumerate(counters):
        _random_slot(rng, board, flash, slot, counter)
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3, 4))):
        put_cell(board, flash, _random_cell(rng, counters), rng.randrange(32))
    if not board.in_place:
        _random_window(rng, board, flash)
    for _ in range(rng.choice((0, 0, 1, 2))):
        _tear(rng, board, flash)
    tail = _random_tail(rng, counters) if rng.random() < 0.7 else None
    return StartState(board, flash, rng.choice(_RESTARTS), tail, log_lies=True)


def run_random(seeds: list[int]) -> int:
    """A batch of seeds; a failure says which."""
    count = 0
    for seed in seeds:
        try:
            count += run_states([random_state(seed)])
        except BaseException as error:
            raise AssertionError(f"state of seed {seed}: {type(error).__name__}: {error}") from error
    return count


def _random_slot(rng: random.Random, board: BoardProfile, flash: NorFlash, slot: int, counter: int) -> None:
    data = image_for(board, rng.choice(_VERSIONS), slot)
    place = board.slots[slot]
    put(board, flash, slot, data, counter + (rng.random() < 0.1), confirmed=rng.random() < 0.6,
        bad=rng.random() < 0.15, floor=rng.randrange(4))
    kind = rng.random()
    if kind < 0.12:
        flash.poke(place.descriptor.start, b"\xff" * PAGE)
    elif kind < 0.2:
        rot(board, flash, slot, rng.choice((4, 0x30, len(data) // 2, len(data) - 1)))
    elif kind < 0.24:
        flash.poke(place.descriptor.start, SlotDescriptor(
            slot=slot, counter=counter, length=rng.choice((1, 0x9000, len(data) - 4, place.image.size)),
            sha256=rng.randbytes(32), fs_start=0, product="p", version="v").pack())


def rot(board: BoardProfile, flash: NorFlash, slot: int, offset: int) -> None:
    """Flip a bit of the image in a slot."""
    at = board.slots[slot].image.start + offset
    flash.poke(at, bytes([flash.peek(at, 1)[0] ^ 1]))


def _random_cell(rng: random.Random, counters: list[int]) -> JournalCell:
    spent = rng.choice((0, 0, 1, 2, 3))
    any_words = tuple(rng.random() < 0.3 for _ in range(8))
    return JournalCell(
        sequence=rng.randrange(1, 9), active=rng.randrange(2),
        state_a=rng.choice(list(SlotState)), state_b=rng.choice(list(SlotState)),
        counter_a=counters[0], counter_b=counters[1], attempts=rng.choice((0, 1, 3, 3, 8)),
        copies=rng.choice((0, 1, 8, 8)), floor=rng.choice((0, 0, 0, 1, 3)),
        spent=rng.choice((_first(spent), _first(spent), any_words)),
        copied=rng.choice((_first(rng.choice((0, 1, 8))), any_words)),
        ended=tuple(rng.choice((None, 8, 0xFFFFFF00)) if number < spent else None for number in range(8)),
        bad_a=rng.random() < 0.15, bad_b=rng.random() < 0.15, confirmed=rng.random() < 0.2,
        reached=rng.random() < 0.6)


def _random_window(rng: random.Random, board: BoardProfile, flash: NorFlash) -> None:
    images = [small_image(version) for version in _VERSIONS]
    if rng.random() < 0.7:
        put_window(board, flash, rng.choice(images))
    if rng.random() < 0.4:
        entries = []
        for _ in range(rng.choice((1, 2, 5, 200, 256))):
            held = windowlog.held_entry(hashlib.sha256(rng.choice(images)).digest())
            entries.append(rng.choice((held, windowlog.DIRTY_ENTRY, windowlog.DIRTY_ENTRY, rng.randbytes(16))))
        flash.poke(board.window_log.start, b"".join(entries))
    if rng.random() < 0.2:
        at = board.window.start + SECTOR * rng.randrange(3)
        flash.poke(at, rng.randbytes(SECTOR))


def _random_tail(rng: random.Random, counters: list[int]) -> Tail:
    slot = rng.randrange(2)
    return Tail(
        slot=slot, trial=rng.random() < 0.5, attempts_left=rng.randrange(4), why=rng.choice(list(BootReason)),
        counter=counters[slot], reset_reason=rng.randrange(7), note=rng.choice((0, 0, 5, 6, 9)),
        schedule=rng.getrandbits(32))


def _tear(rng: random.Random, board: BoardProfile, flash: NorFlash) -> None:
    """Tear a page of the journal or a descriptor as it was written, or a sector as it was erased."""
    pages = [*range(board.journal.start, board.journal.end, PAGE), *(it.descriptor.start for it in board.slots)]
    page = rng.choice(pages)
    if rng.random() < 0.2:
        sector = page // SECTOR * SECTOR
        if not board.in_place or sector in board.journal:
            flash.poke(sector, torn_erase(flash.peek(sector, SECTOR), rng))
            return
    old = flash.peek(page, 128)
    wanted = old if old != b"\xff" * 128 else _random_cell(rng, [1, 2]).pack()[:128]
    torn, _ = torn_program(page, b"\xff" * 128, wanted, rng)
    flash.poke(page, torn)


def _first(count: int) -> tuple[bool, ...]:
    return tuple(number < count for number in range(8))
