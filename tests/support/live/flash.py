"""Flash content for the tests of dumps: rows of the decision table, and states that nobody would think of."""

from __future__ import annotations

import random
from dataclasses import replace

from slotbench.formats import blocks
from slotbench.formats.journal import Ended, JournalCell, Report, SlotState
from slotbench.formats.release import DEVELOPMENT
from slotbench.vboard.flash.nor import NorFlash
from support.loader.decision_rows import Row
from support.vboard.flash import bare_flash, generic, image, put_cell, put_slot, put_window

_STATES = (SlotState.EMPTY, SlotState.READY, SlotState.CONFIRMED, SlotState.BAD)
_WEIGHTS = (1, 4, 4, 1)
_TORN = (0xFFFFFF03, 0x0000FF01, 0xFFFFFFFE)


TRIAL = JournalCell(
    sequence=7, active=1, state_a=SlotState.CONFIRMED, state_b=SlotState.READY, counter_a=1, counter_b=2,
    attempts=3, copies=8, floor=1, head_seq=4, head_time=1_790_000_000, key_epoch=1,
    spent=(True, *[False] * 7), copied=(True, *[False] * 7), reached=True,
)


def trial_under_way() -> NorFlash:
    """1.0.0 runs from slot A; 2.0.0 in slot B, with its block table, had one attempt and was cut."""
    flash = bare_flash()
    new = image("2.0.0", size=56 * 1024)
    put_slot(flash, 0, image("1.0.0"), 1, confirmed=True)
    put_slot(flash, 1, new, 2)
    flash.poke(generic().slots[1].table.start, blocks.block_table(new))
    put_window(flash, new)
    put_cell(flash, replace(TRIAL, sequence=6, active=0), 16)
    put_cell(flash, TRIAL, 17)
    return flash


def flash_of_row(row: Row) -> NorFlash:
    """What the row describes, with real images."""
    flash = bare_flash()
    for slot, it in enumerate(row.slots):
        if it.has_descriptor:
            put_slot(
                flash, slot, image(f"{it.counter}.0-{'ab'[slot]}"), it.descriptor_counter,
                confirmed=it.state == SlotState.CONFIRMED, bad="marked" in it.flaws)
        if "rots" in it.flaws:
            rot(flash, slot)
    if row.active is not None:
        put_cell(flash, _cell_of_row(row, row.active))
    return flash


def rot(flash: NorFlash, slot: int) -> None:
    """Flip a bit in the irom of the image in a slot."""
    place = generic().slots[slot].image.start + 0xA000
    flash.poke(place, bytes([flash.peek(place, 1)[0] ^ 1]))


def random_flash(rng: random.Random) -> NorFlash:
    """Descriptors, images, window and newest cell as no board ever left them together."""
    flash = bare_flash()
    counters = [rng.randrange(1, 6) | rng.choice((0, 0, 0, DEVELOPMENT)) for _ in range(2)]
    for slot, counter in enumerate(counters):
        if rng.random() < 0.1:
            continue
        put_slot(
            flash, slot, image(f"{slot + 1}.0.0"), counter + (rng.random() < 0.1), floor=rng.randrange(4),
            confirmed=rng.random() < 0.6, bad=rng.random() < 0.15)
        if rng.random() < 0.15:
            rot(flash, slot)
    if rng.random() < 0.8:
        put_window(flash, image("1.0.0"))
    if rng.random() < 0.85:
        put_cell(flash, _random_cell(rng, counters), rng.randrange(32))
    return flash


def spent_trial(rng: random.Random) -> NorFlash:
    """A trial whose attempts are spent, in slot B, with any codes of how they ended; A is confirmed."""
    flash = bare_flash()
    put_slot(flash, 0, image("1.0.0"), 1, confirmed=True)
    put_slot(flash, 1, image("2.0.0"), 2)
    ends = rng.choice(((Ended.POWER_LOST, Ended.DEADLINE, Ended.RESET_PIN), (*Ended, *_TORN)))
    put_cell(flash, JournalCell(
        sequence=4, active=1, state_a=SlotState.CONFIRMED, state_b=SlotState.READY, counter_a=1, counter_b=2,
        attempts=3, copies=8, spent=_first(3), copied=_first(1), bad_counter=rng.randrange(2),
        reached=rng.random() < 0.5, never_reached=rng.random() < 0.5, rounds=rng.randrange(4),
        unproven_counter=rng.choice((0, 2)),
        ended=tuple(rng.choice(ends) if index < 3 else None for index in range(8))))
    return flash


def _cell_of_row(row: Row, active: int) -> JournalCell:
    a, b = row.slots
    words = row.words
    return JournalCell(
        sequence=5, active=active, state_a=SlotState(a.state), state_b=SlotState(b.state),
        counter_a=a.counter, counter_b=b.counter, attempts=words["attempts"], copies=words["copies"],
        floor=words["floor"], spent=_first(words["spent"]), copied=_first(words["copied"]),
        ended=tuple(int(Ended.RESTART) if spent else None for spent in _first(words["spent"])),
        confirmed=bool(words["confirmed"]), reached=bool(words["reached"]),
        bad_a="bad" in a.flaws, bad_b="bad" in b.flaws,
    )


def _random_cell(rng: random.Random, counters: list[int]) -> JournalCell:
    spent = rng.choice((0, 0, 1, 2, 3))
    ends = [None, *Ended, rng.choice(_TORN)]
    return JournalCell(
        sequence=rng.randrange(1, 99), active=rng.randrange(2),
        state_a=rng.choices(_STATES, _WEIGHTS)[0], state_b=rng.choices(_STATES, _WEIGHTS)[0],
        counter_a=counters[0], counter_b=counters[1], attempts=rng.choice((1, 3, 3)), copies=8,
        floor=rng.choice((0, 0, 1, 3)), bad_counter=rng.randrange(4), head_seq=rng.randrange(9),
        report=rng.choice(list(Report)), report_counter=rng.choice(counters),
        rounds=rng.randrange(5), unproven_counter=rng.choice((0, *counters)),
        spent=_first(spent), copied=_first(rng.choice((0, 1, 8))),
        ended=tuple(rng.choice(ends) if index < spent else None for index in range(8)),
        bad_a=rng.random() < 0.15, bad_b=rng.random() < 0.15, confirmed=rng.random() < 0.2,
        reached=rng.random() < 0.6, never_reached=rng.random() < 0.3,
    )


def _first(count: int) -> tuple[bool, ...]:
    return tuple(index < count for index in range(8))
