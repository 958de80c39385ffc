"""The loader model against boot-table.md, on flash with real images; how attempts end."""

from __future__ import annotations

import itertools

import pytest

from slotbench.formats.journal import Ended, JournalCell, SlotState
from slotbench.formats.rtc import BootReason, Tail
from slotbench.vboard.loader.decision import choose_slot, how_it_ended, last_spent, why_it_restarted
from slotbench.vboard.loader.model import BootResult, LoaderModel, NothingBoots
from slotbench.vboard.soc import Soc
from support.loader.bench import CAUSES
from support.loader.decision_rows import Row, rows
from support.vboard.flash import bare_flash, generic, image, put_cell, put_slot


def flash_of(row: Row) -> Soc:
    """A chip whose flash is what the row describes."""
    flash = bare_flash()
    for slot, it in enumerate(row.slots):
        data = image(f"{it.counter}.0-{'ab'[slot]}")
        if "stock" in it.flaws:
            flash.poke(generic().slots[slot].image.start, data)
        if not it.has_descriptor:
            continue
        put_slot(
            flash, slot, data, it.descriptor_counter, confirmed=it.state == SlotState.CONFIRMED,
            bad="marked" in it.flaws,
        )  # fmt: skip
        if "rots" in it.flaws:
            start = generic().slots[slot].image.start
            flash.poke(start + 0xA000, bytes([flash.peek(start + 0xA000, 1)[0] ^ 1]))
    if row.active is not None:
        put_cell(flash, cell_of(row))
    return Soc(flash, sdk_save_every=0)


def cell_of(row: Row) -> JournalCell:
    a, b = row.slots
    words = row.words
    return JournalCell(
        sequence=5, active=row.active or 0, state_a=SlotState(a.state), state_b=SlotState(b.state),
        counter_a=a.counter, counter_b=b.counter, attempts=words["attempts"], copies=words["copies"],
        floor=words["floor"], spent=tuple(i < words["spent"] for i in range(8)),
        ended=tuple(int(Ended.RESTART) if i < words["spent"] else None for i in range(8)),
        copied=tuple(i < words["copied"] for i in range(8)),
        confirmed=bool(words["confirmed"]), reached=bool(words["reached"]),
        bad_a="bad" in a.flaws, bad_b="bad" in b.flaws,
    )  # fmt: skip


@pytest.mark.parametrize("row", rows(stock=True), ids=lambda row: row.text)
def test_row_of_the_decision_table(row: Row) -> None:
    result = LoaderModel(flash_of(row), generic()).boot(rounds=1)
    if row.boots is None:
        assert isinstance(result, NothingBoots)
    else:
        assert isinstance(result, BootResult)
        assert (result.slot, int(result.why)) == (row.boots, row.why)
        assert result.counter == row.slots[row.boots].descriptor_counter


def test_every_row_number_occurs() -> None:
    assert {row.why for row in rows(stock=True)} == {None, *map(int, BootReason)}


def test_nothing_is_decided_without_descriptors() -> None:
    for failed in (frozenset(), frozenset({0}), frozenset({0, 1})):
        assert choose_slot(None, (None, None), failed) is None
        assert choose_slot(JournalCell(sequence=1), (None, None), failed) is None


def test_the_last_attempt_is_the_highest_that_was_spent() -> None:
    assert last_spent(JournalCell(sequence=1)) is None
    for spent in itertools.product((False, True), repeat=3):
        cell = JournalCell(sequence=1, spent=(*spent, *[False] * 5))
        assert last_spent(cell) == (None if True not in spent else 2 - spent[::-1].index(True))


SOFTWARE = [2, 3, 4, 5]
"""What the SDK writes down just before it restarts."""


@pytest.mark.parametrize(("cause", "written"), [
    (cause, written) for cause in CAUSES for written in SOFTWARE
    if (cause, written) != (1, 5)  # a chip that lost its power in deep sleep
])
def test_a_restart_by_the_sdk_is_what_it_wrote_whatever_the_hardware_did_before(cause: int, written: int) -> None:
    assert why_it_restarted(cause, written, seen=False) == written


@pytest.mark.parametrize(("cause", "reason"), [(1, 0), (2, 6), (4, 1), (5, 5), (6, 6)])
def test_otherwise_the_hardware_knows(cause: int, reason: int) -> None:
    for written in (0, 1, 6, 7, 0xA5A5A5A5):
        assert why_it_restarted(cause, written, seen=False) == reason
    for written in SOFTWARE:
        assert why_it_restarted(cause, written, seen=True) == reason, "no SDK was up since this was read"


def test_power_lost_in_deep_sleep_is_power_lost_even_where_rtc_memory_kept_its_words() -> None:
    assert why_it_restarted(1, 5, seen=False) == 0


def tail(note: int = 0) -> Tail:
    return Tail(slot=1, trial=True, attempts_left=2, why=BootReason.TRIAL, counter=2, reset_reason=4, note=note)


@pytest.mark.parametrize(
    ("before", "reason", "code"),
    [
        (None, 0, Ended.POWER_LOST),
        (None, 4, Ended.POWER_LOST),
        (tail(), 0, Ended.POWER_LOST),
        (tail(), 1, Ended.HARDWARE_WATCHDOG),
        (tail(), 2, Ended.EXCEPTION),
        (tail(), 3, Ended.SOFTWARE_WATCHDOG),
        (tail(5), 4, Ended.DEADLINE),
        (tail(6), 4, Ended.IMPORT_FAILED),
        (tail(), 4, Ended.RESTART),
        (tail(7), 4, Ended.RESTART),
        (tail(5), 2, Ended.EXCEPTION),
        (tail(), 5, Ended.DEEP_SLEEP),
        (tail(), 6, Ended.RESET_PIN),
    ],
)
def test_how_an_attempt_ended(before: Tail | None, reason: int, code: Ended) -> None:
    assert how_it_ended(before, reason) is code
