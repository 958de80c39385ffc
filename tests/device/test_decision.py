"""twoslot.boot.decision: boot-table.md, the verdicts of FORMATS, and what holds for any input."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from slotbench.formats.journal import Ended, JournalCell, Report, SlotState
from slotbench.formats.rtc import BootReason
from slotbench.vboard.vm import CPythonVM
from support.device.board import trial_cell
from support.device.decision import Decider, first
from support.loader.decision_rows import Row, rows
from support.sampling import examples

SMALL = st.integers(0, 5)
DESCRIPTORS = st.none() | st.fixed_dictionaries(
    {"counter": st.integers(1, 5), "floor": SMALL, "confirmed": st.booleans(), "bad": st.booleans()})
RELEASED = DESCRIPTORS.map(lambda d: d and {**d, "floor": min(d["floor"], d["counter"])})
"""As a release can be: its floor is at most its counter (FORMATS)."""
CELLS = st.none() | st.builds(
    JournalCell, sequence=st.just(1), active=st.integers(0, 1), state_a=st.sampled_from(SlotState),
    state_b=st.sampled_from(SlotState), counter_a=SMALL, counter_b=SMALL, attempts=st.integers(0, 3),
    copies=st.integers(0, 3), floor=SMALL, spent=st.integers(0, 4).map(first),
    copied=st.integers(0, 4).map(first), bad_a=st.booleans(), bad_b=st.booleans(), confirmed=st.booleans(),
    reached=st.booleans(),
)


@pytest.fixture(scope="module")
def decider(shared_vm: CPythonVM) -> Decider:
    return Decider(shared_vm)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.text)
def test_row_of_the_table(decider: Decider, row: Row) -> None:
    cell, descriptors = decider.inputs(row)
    rots = [number for number, slot in enumerate(row.slots) if "rots" in slot.flaws]

    expected = None if row.boots is None else (row.boots, row.why)
    assert decider.boot(cell, descriptors, rots) == expected


@given(cell=CELLS, a=DESCRIPTORS, b=DESCRIPTORS, failed=st.sets(st.integers(0, 1)))
def test_next_boot_chooses_a_slot_that_can_run_whenever_there_is_one(
    decider: Decider, cell: JournalCell | None, a: Any, b: Any, failed: set[int],
) -> None:
    descriptors = [d and decider.descriptor(slot, **d) for slot, d in enumerate((a, b))]
    proven = [d for d in descriptors if d and d.confirmed and not d.bad]
    floor = cell.floor if cell else max([0, *(d.floor for d in proven)])

    choice = decider.decision.next_boot(cell and decider.cell(cell), descriptors, tuple(failed))

    possible = {
        slot for slot, d in enumerate(descriptors) if d and d.counter >= floor and slot not in failed}
    if choice is None:
        assert not possible, "nothing boots although a slot could"
    else:
        assert choice[0] in possible, "a slot without descriptor, below the floor or failed was chosen"
        assert choice[1] in tuple(BootReason)


@given(cell=CELLS, a=RELEASED, b=RELEASED, rots=st.sets(st.integers(0, 1)))
@examples(500)
def test_what_a_boot_concludes_lets_the_next_boot_start_the_same_slot(
    decider: Decider, cell: JournalCell | None, a: Any, b: Any, rots: set[int],
) -> None:
    """A board comes to rest: only a trial or a command at the REPL may change what boots."""
    for fields, state in zip((a, b), cell.states if cell else ()):
        assume(fields is None or fields["confirmed"] or state != SlotState.CONFIRMED)  # the word comes first
    descriptors = [d and decider.descriptor(slot, **d) for slot, d in enumerate((a, b))]
    journal = cell and decider.cell(cell)
    choice = decider.boot(journal, descriptors, rots)
    assume(choice is not None and choice[1] != BootReason.TRIAL)
    assert choice is not None

    settled = decider.settle(journal, choice, descriptors)
    again = decider.boot(settled, descriptors, rots)

    assert again is not None, "a board that ran does not boot any more"
    assert again[0] == choice[0], "the next boot starts another slot"
    assert again[1] != BootReason.TRIAL or choice[1] == BootReason.NO_JOURNAL_UNCONFIRMED, "spent attempts came back"


# What the end of a trial proves.


def fallback(decider: Decider, cell: JournalCell, descriptor: Any = True, slot: int = 0) -> Any:
    """Conclude the boot that fell back to `slot`."""
    other = decider.descriptor(1, 6) if descriptor is True else descriptor
    descriptors = [decider.descriptor(0, 5, confirmed=True), other]
    device_cell = decider.cell(cell)
    written = decider.decision.conclude_last_boot(device_cell, slot, BootReason.FALLBACK, descriptors, 3)
    assert written, "the verdict must be written"
    return device_cell


@pytest.mark.parametrize("ended", Ended)
def test_how_an_attempt_ended_decides_the_verdict(decider: Decider, ended: Ended) -> None:
    words = (ended, Ended.POWER_LOST, Ended.POWER_LOST, *[None] * 5)
    cell = fallback(decider, trial_cell(spent=first(3), ended=words))

    assert cell.report == ended.verdict, f"{ended.name} must be {ended.verdict.name}"
    assert cell.report_counter == 6
    assert cell.bad_counter == (6 if ended.verdict == Report.BAD else 0)
    assert cell.unproven_counter == (0 if ended.verdict == Report.BAD else 6)
    assert (cell.active, cell.states[0], cell.states[1]) == (0, SlotState.CONFIRMED, SlotState.BAD)


@pytest.mark.parametrize("ended", [Ended.POWER_LOST, Ended.RESET_PIN, Ended.RESTART])
@pytest.mark.parametrize("reached", [False, True])
def test_a_trial_that_never_reached_the_hook_is_noted(decider: Decider, reached: bool, ended: Ended) -> None:
    cell = fallback(decider, trial_cell(spent=first(1), reached=reached, ended=(ended, *[None] * 7)))

    assert (cell.report, cell.unproven_counter, cell.bad_counter) == (Report.UNPROVEN, 6, 0)
    assert cell.rounds == 1 + 256 * (not reached)


def test_a_trial_that_reached_the_hook_takes_the_note_back(decider: Decider) -> None:
    """A person forced it again: the number of its trials goes on where it was."""
    cell = fallback(decider, trial_cell(spent=first(3), rounds=1, never_reached=True, unproven_counter=6))
    assert (cell.report, cell.rounds) == (Report.UNPROVEN, 2)


def test_one_crash_among_three_attempts_is_enough(decider: Decider) -> None:
    words = (Ended.POWER_LOST, Ended.DEADLINE, Ended.EXCEPTION, *[None] * 5)
    cell = fallback(decider, trial_cell(spent=first(3), ended=words))

    assert (cell.report, cell.bad_counter) == (Report.BAD, 6)


def test_an_attempt_with_an_unknown_end_proves_nothing(decider: Decider) -> None:
    for words in ((None,) * 8, (0xFFFF00FF, *[None] * 7)):
        cell = fallback(decider, trial_cell(spent=first(3), ended=words))
        assert (cell.report, cell.bad_counter) == (Report.UNPROVEN, 0)


def test_the_copy_budget_spent_proves_nothing(decider: Decider) -> None:
    cell = fallback(decider, trial_cell(copied=first(8)))

    assert (cell.report, cell.bad_counter, cell.rounds) == (Report.UNPROVEN, 0, 1)


@pytest.mark.parametrize(
    "flaw", ["bad word", "descriptor marked", "descriptor lost", "confirmed", "bad state"])
def test_an_image_that_is_invalid_or_marked_is_bad(decider: Decider, flaw: str) -> None:
    states = {"confirmed": SlotState.CONFIRMED, "bad state": SlotState.BAD}
    other = {"descriptor marked": decider.descriptor(1, 6, bad=True), "descriptor lost": None}
    cell = trial_cell(bad_b=flaw == "bad word", state_b=states.get(flaw, SlotState.READY))

    settled = fallback(decider, cell, other.get(flaw, True))

    assert (settled.report, settled.bad_counter, settled.states[1]) == (Report.BAD, 6, SlotState.BAD)


def test_rounds_without_proof_are_counted_and_never_become_bad(decider: Decider) -> None:
    """Otherwise an attacker who drops heads during four trials could ban a good release."""
    cell = trial_cell(spent=first(3))
    for number in (1, 2, 3, 4, 5, 255, 255):
        settled = fallback(decider, cell)
        assert (settled.rounds, settled.unproven_counter) == (number, 6)
        assert (settled.report, settled.bad_counter) == (Report.UNPROVEN, 0), f"after round {number}"
        rounds = 254 if number == 5 else settled.rounds
        cell = trial_cell(spent=first(3), rounds=rounds, unproven_counter=6)


def test_another_release_starts_its_own_rounds(decider: Decider) -> None:
    cell = fallback(decider, trial_cell(spent=first(3), rounds=3, unproven_counter=4))

    assert (cell.rounds, cell.unproven_counter, cell.bad_counter) == (1, 6, 0)


def test_a_verdict_never_lowers_bad_counter(decider: Decider) -> None:
    cell = fallback(decider, trial_cell(spent=first(3), bad_b=True, bad_counter=9))

    assert cell.bad_counter == 9


def test_a_confirmed_release_whose_image_rotted_is_bad(decider: Decider) -> None:
    cell = decider.cell(trial_cell(
        active=0, state_b=SlotState.CONFIRMED, counter_a=6, counter_b=5, bad_a=True))
    descriptors = [decider.descriptor(0, 6, confirmed=True), decider.descriptor(1, 5, confirmed=True)]

    assert decider.decision.conclude_last_boot(cell, 1, BootReason.FALLBACK, descriptors, 3)
    assert (cell.active, cell.states[0], cell.bad_counter) == (1, SlotState.BAD, 6)


# Confirm, last resort, a journal that is lost.


def test_confirm_keeps_the_floor_rising_and_forgets_the_rounds(decider: Decider) -> None:
    for old, own, expected in ((2, 4, 4), (4, 2, 4)):
        cell = decider.cell(trial_cell(floor=old, rounds=3, unproven_counter=6))
        cell.confirm(1, decider.descriptor(1, 6, floor=own))

        assert cell.floor == expected
        assert (cell.active, cell.states[1], cell.counters[1]) == (1, SlotState.CONFIRMED, 6)
        assert (cell.rounds, cell.unproven_counter) == (0, 0)
        assert (cell.report, cell.report_counter) == (Report.CONFIRMED, 6)


def test_a_cut_between_the_confirmed_word_and_the_cell_loses_nothing(decider: Decider) -> None:
    cell = decider.cell(trial_cell(confirmed=True, spent=first(1)))
    descriptors = [decider.descriptor(0, 5, confirmed=True), decider.descriptor(1, 6, floor=4)]

    assert decider.decision.conclude_last_boot(cell, 1, BootReason.ORDINARY, descriptors, 3)
    assert (cell.active, cell.states[1], cell.floor) == (1, SlotState.CONFIRMED, 4)
    assert (cell.report, cell.report_counter) == (Report.CONFIRMED, 6)
    assert not decider.decision.conclude_last_boot(cell, 1, BootReason.ORDINARY, descriptors, 3), "nothing is left to write"


@pytest.mark.parametrize("why", [BootReason.ORDINARY, BootReason.TRIAL])
def test_an_ordinary_boot_and_a_trial_write_nothing(decider: Decider, why: BootReason) -> None:
    state = SlotState.CONFIRMED if why == BootReason.ORDINARY else SlotState.READY
    cell = decider.cell(trial_cell(state_b=state))
    descriptors = [decider.descriptor(0, 5, confirmed=True), decider.descriptor(1, 6)]

    assert not decider.decision.conclude_last_boot(cell, 1, why, descriptors, 3)


@pytest.mark.parametrize("budget", ["spent", "copied"])
def test_last_resort_is_reported_once_and_gives_no_new_attempts(decider: Decider, budget: str) -> None:
    cell = decider.cell(trial_cell(**{budget: first(8)}, bad_a=True))
    descriptors = [decider.descriptor(0, 5, confirmed=True), decider.descriptor(1, 6)]
    assert decider.boot(cell, descriptors) == (1, BootReason.LAST_RESORT)

    settled = decider.settle(cell, (1, BootReason.LAST_RESORT), descriptors)
    assert settled.sequence == 10, "last resort must be reported"
    assert (settled.report, settled.report_counter) == (Report.LAST_RESORT, 6)
    assert not decider.decision.conclude_last_boot(settled, 1, BootReason.LAST_RESORT, descriptors, 3), "reported twice"
    again = decider.boot(settled, descriptors)
    assert again == (1, BootReason.LAST_RESORT), "spent attempts or a bad word came back"


@pytest.mark.parametrize(
    ("other", "state"),
    [
        ({"confirmed": True}, SlotState.CONFIRMED), ({}, SlotState.BAD),
        ({"confirmed": True, "bad": True}, SlotState.BAD), (None, SlotState.EMPTY),
    ],
    ids=["confirmed", "ready", "marked", "lost"],
)
@pytest.mark.parametrize("proven", [True, False])
def test_a_lost_journal_is_rebuilt_from_the_descriptors(
    decider: Decider, other: dict[str, bool] | None, state: SlotState, proven: bool,
) -> None:
    running = decider.descriptor(1, 6, floor=3, confirmed=proven)
    spare = decider.descriptor(0, 5, floor=2, **other) if other is not None else None
    why = BootReason.NO_JOURNAL_CONFIRMED if proven else BootReason.NO_JOURNAL_UNCONFIRMED
    cell = decider.cell()

    assert decider.decision.conclude_last_boot(cell, 1, why, [spare, running], 4)

    assert cell.active == 1
    assert cell.states == [state, SlotState.CONFIRMED if proven else SlotState.READY]
    assert cell.counters == [5 if spare else 0, 6]
    assert (cell.attempts, cell.copies) == (4, 8)
    assert (cell.report, cell.report_counter) == (Report.JOURNAL_LOST, 6)
    own = {3} if proven else set()
    theirs = {2} if spare and spare.confirmed and not spare.bad else set()
    assert cell.floor == max(own | theirs | {0}), "the floor is that of the confirmed releases"


def test_a_lost_journal_that_leaves_a_last_resort_is_said_once(decider: Decider) -> None:
    descriptors = [None, decider.descriptor(1, 6, confirmed=True, bad=True)]
    cell = decider.cell()

    assert decider.decision.conclude_last_boot(cell, 1, BootReason.LAST_RESORT, descriptors, 3)

    cell.sequence = 1
    assert (cell.report, cell.report_counter) == (Report.LAST_RESORT, 6)
    assert not decider.decision.conclude_last_boot(cell, 1, BootReason.LAST_RESORT, descriptors, 3), "said twice"


def test_a_marked_descriptor_does_not_lift_the_floor_above_what_runs(decider: Decider) -> None:
    """The loader chose without its floor; a cell with it would leave nothing to boot."""
    descriptors = [
        decider.descriptor(0, 3, confirmed=True), decider.descriptor(1, 9, floor=9, confirmed=True)]
    choice = decider.boot(None, descriptors, rots=[1])
    assert choice == (0, BootReason.NO_JOURNAL_CONFIRMED)

    settled = decider.settle(None, (0, BootReason.NO_JOURNAL_CONFIRMED), descriptors)

    assert decider.boot(settled, descriptors, rots=[1]) == (0, BootReason.ORDINARY), "the board is dead"
