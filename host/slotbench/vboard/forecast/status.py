"""The result of `twoslot.status()`, worked out from a dump by the host's codec.

A board uses the tail that the loader left in RTC memory. A dump has no RTC memory, so this is the
result after the *next* start: the loader's model runs on a copy, then the conclusion that Python
writes first at every boot (device/docs/update-flow.md) is applied. Written independently of
device/twoslot/boot/decision.py; tests compare both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

from slotbench.boards import BoardProfile
from slotbench.errors import BenchError
from slotbench.formats.descriptor import SlotDescriptor
from slotbench.formats.journal import Ended, JournalCell, Report, SlotState
from slotbench.formats.release import is_development
from slotbench.formats.rtc import BootReason
from slotbench.vboard.forecast.next_boot import next_boot
from slotbench.vboard.loader.decision import choose_slot
from slotbench.vboard.loader.model import NothingBoots

__all__ = ["BoardStatus", "conclude_boot", "status"]

"""Whole unproven trials before a release counts as bad (device/docs/update-flow.md)."""

_BLAMED = frozenset(code for code in Ended if code.verdict is Report.BAD)


@dataclass(frozen=True, slots=True)
class BoardStatus:
    """The keys of the board's dict, in its order. `why` and `report` are numbers of FORMATS.md (RTC
    tail, boot journal). A board with stock firmware has no `slot`, and its `version` is MicroPython's.
    """

    slot: str | None
    version: str
    counter: int
    why: int
    confirmed: bool
    spare: str | None
    floor: int
    bad: int
    head: int
    report: int
    next: str | None
    hook: bool | None = None
    """Whether boot.py ran the boot hook in this start; None where nobody knows."""
    twoslot: str | None = None
    """The version of twoslot, and where it is: "0.1.0 frozen" or "0.1.0 files"."""
    hook_version: str | None = None
    """The version of the boot hook's file; None where there is none, or it does not say."""
    more: Mapping[str, object] = field(default_factory=dict)
    """Keys that this slotbench does not know: a newer twoslot has more of them."""

    def as_dict(self) -> dict[str, object]:
        """The dict that the board gives, what this slotbench does not know included."""
        known = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "more"}
        return known | dict(self.more)

    @classmethod
    def of_board(cls, told: Mapping[str, Any]) -> Self:
        """The status in the dict that a board gives. Raises BenchError when a key is missing."""
        known = {each.name for each in fields(cls)} - {"more"}
        try:
            return cls(
                **{key: value for key, value in told.items() if key in known},
                more={key: value for key, value in told.items() if key not in known})
        except TypeError:
            raise BenchError(
                "the board's status lacks a key", cure="use the slotbench version of the board's twoslot",
            ) from None


def status(board: BoardProfile, data: bytes) -> BoardStatus:
    """The result after the next start from `data`, the whole flash of `board`.

    Raises BenchError if nothing boots, and as `forecast` does.
    """
    _, flashed, _, result = next_boot(board, data)
    if isinstance(result, NothingBoots):
        raise BenchError(
            "nothing boots from this flash, so no board would answer",
            cure="`slotbench inspect` says what is wrong with each slot")
    slot, descriptors = result.slot, flashed.descriptors
    cell = conclude_boot(flashed.cell, slot, result.why, descriptors)
    running, spare = descriptors[slot], descriptors[1 - slot]
    assert running is not None, "the loader starts no slot without a descriptor"
    after = choose_slot(cell, descriptors)
    return BoardStatus(
        slot="AB"[slot],
        version=running.version,
        counter=running.counter,
        why=int(result.why),
        confirmed=cell.active == slot and cell.states[slot] is SlotState.CONFIRMED and not cell.bad[slot],
        spare=spare.version if spare is not None else None,
        floor=cell.floor,
        bad=cell.bad_counter,
        head=cell.head_seq,
        report=int(cell.report),
        next="AB"[after.slot] if after is not None else None,
    )


def conclude_boot(
    cell: JournalCell | None, slot: int, why: BootReason, descriptors: Sequence[SlotDescriptor | None]
) -> JournalCell:
    """The newest cell once the board has drawn its conclusions from having been started like this.
    """
    running = descriptors[slot]
    assert running is not None, "the loader starts no slot without a descriptor"
    if cell is None:
        return _rebuilt(slot, why, descriptors)
    other = 1 - slot
    if why is BootReason.TRIAL:
        return replace(cell, reached=True)
    if why is BootReason.FALLBACK and cell.active == other:
        judged = _judged(cell, other, descriptors[other])
        return _folded(_with_state(judged, other, SlotState.BAD), active=slot)
    if why is BootReason.ORDINARY and cell.states[slot] is SlotState.READY:
        confirmed = replace(
            _with_state(cell, slot, SlotState.CONFIRMED), floor=max(cell.floor, running.floor),
            report=Report.CONFIRMED, report_counter=running.counter)
        if not is_development(running.counter):
            confirmed = replace(confirmed, rounds=0, never_reached=False, unproven_counter=0)
        return _folded(confirmed, active=slot)
    if why is BootReason.LAST_RESORT and cell.report is not Report.LAST_RESORT:
        reported = replace(cell, report=Report.LAST_RESORT, report_counter=running.counter)
        return _folded(reported, active=cell.active)
    return cell


def _judged(cell: JournalCell, slot: int, descriptor: SlotDescriptor | None) -> JournalCell:
    """The outcome of the trial of the release in `slot`."""
    counter = cell.counters[slot]
    rounds, never_reached, unproven = cell.rounds, cell.never_reached, cell.unproven_counter
    report = Report.BAD
    # main.py crashed under the release before too: crashes behind the boot hook say nothing about this one.
    excused = cell.report is Report.SAFE_MODE and cell.reached
    blamed = {Ended.IMPORT_FAILED} if excused else _BLAMED
    crashed = any(code is not None and code in blamed for code in cell.ended)
    refused = cell.bad[slot] or cell.states[slot] is not SlotState.READY
    banned = crashed or refused or descriptor is None or descriptor.bad
    if not banned:
        report = Report.UNPROVEN
    if is_development(counter):
        return replace(cell, report=report, report_counter=counter)
    if not banned:
        rounds = min(rounds + 1, 255) if unproven == counter else 1
        unproven = counter
        never_reached = any(cell.spent) and not cell.reached
    return replace(
        cell, report=report, report_counter=counter, rounds=rounds, never_reached=never_reached,
        unproven_counter=unproven,
        bad_counter=max(cell.bad_counter, counter) if banned else cell.bad_counter)


def _rebuilt(slot: int, why: BootReason, descriptors: Sequence[SlotDescriptor | None]) -> JournalCell:
    """The first cell of a lost journal, rebuilt from the descriptors."""
    report = Report.LAST_RESORT if why is BootReason.LAST_RESORT else Report.JOURNAL_LOST
    cell = JournalCell(sequence=1, active=slot, attempts=3, copies=8, report=report)
    for index, found in enumerate(descriptors):
        if found is None:
            continue
        if found.bad:
            state = SlotState.BAD
        elif found.confirmed:
            state = SlotState.CONFIRMED
            cell = replace(cell, floor=max(cell.floor, found.floor))
        else:
            state = SlotState.READY if index == slot else SlotState.BAD
        cell = _with_state(cell, index, state)
        cell = replace(cell, counter_b=found.counter) if index else replace(cell, counter_a=found.counter)
    return replace(cell, report_counter=cell.counters[slot])


def _with_state(cell: JournalCell, slot: int, state: SlotState) -> JournalCell:
    if slot:
        return replace(cell, state_b=state, bad_b=False)
    return replace(cell, state_a=state, bad_a=False)


def _folded(cell: JournalCell, *, active: int) -> JournalCell:
    """A new cell: the sealed fields take over what the open words said, and no open word is set."""
    attempts = max(0, cell.attempts - sum(cell.spent))
    copies = max(0, cell.copies - sum(cell.copied))
    states = [SlotState.BAD if is_bad else state for state, is_bad in zip(cell.states, cell.bad)]
    unset = JournalCell(sequence=cell.sequence)
    return replace(
        cell, sequence=cell.sequence + 1, active=active, attempts=attempts, copies=copies,
        state_a=states[0], state_b=states[1], spent=unset.spent, ended=unset.ended, copied=unset.copied,
        bad_a=False, bad_b=False, confirmed=False, reached=False)
