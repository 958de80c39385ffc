"""The boot decision: the rows of device/docs/boot-table.md, first match first. Pure, and written
independently of the device's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from slotbench.formats.descriptor import SlotDescriptor
from slotbench.formats.journal import Ended, JournalCell, SlotState
from slotbench.formats.rtc import BootReason, ResetReason, Tail

__all__ = ["Decision", "choose_slot", "how_it_ended", "last_spent", "why_it_restarted"]


@dataclass(frozen=True, slots=True)
class Decision:
    """Slot 0 or 1, and the row that chose it."""

    slot: int
    why: BootReason


def choose_slot(
    cell: JournalCell | None, descriptors: Sequence[SlotDescriptor | None],
    failed: frozenset[int] = frozenset(),
) -> Decision | None:
    """Choose among the slots that did not fail in this boot; None: none may be started.

    Without descriptors slot A goes first (row 7).
    """
    found = {slot: descriptor for slot, descriptor in enumerate(descriptors) if descriptor is not None}
    floor = cell.floor if cell is not None else _floor_of(found.values())
    present = {s: d for s, d in found.items() if s not in failed and d.counter >= floor}
    good = {s: d for s, d in present.items() if not _is_bad(cell, s, d)}
    choice = _by_journal(cell, good) if cell is not None else _by_descriptors(good)
    if choice is not None:
        return choice
    if not present:
        return None

    def rank(slot: int) -> tuple[bool, bool, int, bool]:
        by_journal = cell is not None and cell.states[slot] is SlotState.CONFIRMED
        confirmed = by_journal or present[slot].confirmed
        return slot in good, confirmed, present[slot].counter, slot == 0

    return Decision(max(present, key=rank), BootReason.LAST_RESORT)


def last_spent(cell: JournalCell) -> int | None:
    """Index of the last attempt spent, None before the first."""
    return max((i for i, spent in enumerate(cell.spent) if spent), default=None)


def why_it_restarted(hardware_cause: int, written_down: int, *, seen: bool) -> int:
    """The reset reason in the SDK's numbers, from what the ROM and the SDK before say (FORMATS.md,
    Reset reason).

    `seen`: the last start read `written_down` already, and no SDK was up since.
    """
    jumps = {ResetReason.EXCEPTION, ResetReason.SOFTWARE_WATCHDOG, ResetReason.RESTART}
    slept = written_down == ResetReason.DEEP_SLEEP and hardware_cause != 1
    if not seen and (slept or written_down in jumps):
        return written_down
    by_hardware = {1: ResetReason.POWER, 4: ResetReason.HARDWARE_WATCHDOG, 5: ResetReason.DEEP_SLEEP}
    return by_hardware.get(hardware_cause, ResetReason.RESET_PIN)


def how_it_ended(tail: Tail | None, reason: int) -> Ended:
    """How the last attempt ended (FORMATS.md, End of an attempt), from the tail of the boot before
    and the reset reason of this one.
    """
    if tail is None:
        return Ended.POWER_LOST
    if reason == ResetReason.RESTART:
        deliberate = {5: Ended.DEADLINE, 6: Ended.IMPORT_FAILED}
        return deliberate.get(tail.note | tail.timer << 8, Ended.RESTART)
    return {
        ResetReason.HARDWARE_WATCHDOG.value: Ended.HARDWARE_WATCHDOG,
        ResetReason.EXCEPTION.value: Ended.EXCEPTION,
        ResetReason.SOFTWARE_WATCHDOG.value: Ended.SOFTWARE_WATCHDOG,
        ResetReason.RESET_PIN.value: Ended.RESET_PIN,
        ResetReason.DEEP_SLEEP.value: Ended.DEEP_SLEEP,
    }.get(reason, Ended.POWER_LOST)


def _floor_of(descriptors: Iterable[SlotDescriptor]) -> int:
    return max((d.floor for d in descriptors if d.confirmed and not d.bad), default=0)


def _is_bad(cell: JournalCell | None, slot: int, descriptor: SlotDescriptor) -> bool:
    if descriptor.bad or cell is None:
        return descriptor.bad
    return cell.bad[slot] or cell.states[slot] is SlotState.BAD


def _by_journal(cell: JournalCell, good: dict[int, SlotDescriptor]) -> Decision | None:
    known = [slot for slot, descriptor in good.items() if descriptor.counter == cell.counters[slot]]
    active, other = cell.active, 1 - cell.active
    if active in known:
        state = cell.states[active]
        if state is SlotState.CONFIRMED or state is SlotState.READY and cell.confirmed:
            return Decision(active, BootReason.ORDINARY)
        spent, copied = sum(cell.spent), sum(cell.copied)
        begun = cell.reached if spent else copied < cell.copies
        if state is SlotState.READY and spent < cell.attempts and begun:
            return Decision(active, BootReason.TRIAL)
    if other in known and cell.states[other] is SlotState.CONFIRMED:
        return Decision(other, BootReason.FALLBACK)
    return None


def _by_descriptors(good: dict[int, SlotDescriptor]) -> Decision | None:
    def rank(slot: int) -> tuple[int, bool]:
        return good[slot].counter, slot == 0

    confirmed = [slot for slot, descriptor in good.items() if descriptor.confirmed]
    if confirmed:
        return Decision(max(confirmed, key=rank), BootReason.NO_JOURNAL_CONFIRMED)
    if good:
        return Decision(max(good, key=rank), BootReason.NO_JOURNAL_UNCONFIRMED)
    return None
