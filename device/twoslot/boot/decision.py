# Which slot boots next, and what the last boot proved. Pure: journal and descriptors in, answers
# out (boot-table.md).
from micropython import const

from twoslot.constants import (
    BOOT_FALLBACK, BOOT_LAST_RESORT, BOOT_NO_JOURNAL, BOOT_NO_JOURNAL_UNCONFIRMED, BOOT_ORDINARY, BOOT_TRIAL,
    COPIES, DEVELOPMENT_BIT, NEVER_REACHED, REPORT_BAD, REPORT_JOURNAL_LOST, REPORT_LAST_RESORT,
    REPORT_SAFE_MODE, REPORT_UNPROVEN, ROUNDS_MOST, SLOT_BAD, SLOT_CONFIRMED, SLOT_READY,
)  # fmt: skip

# FORMATS.md, end of an attempt: both watchdogs and the exception; no twoslot.
_CRASHES = (2, 3, 4)
_NO_TWOSLOT = const(6)


def next_boot(cell, descriptors, failed=()):
    """Return (slot, boot reason) of the next start, or None.

    Failed: slots that did not verify in this boot.
    """
    if cell:
        floor = cell.floor
    else:
        floor = max([0] + [d.floor for d in descriptors if d and d.confirmed and not d.bad])
    here = [s for s in (0, 1) if descriptors[s] and s not in failed and descriptors[s].counter >= floor]
    good = [s for s in here if not _is_bad(cell, descriptors, s)]
    if cell:
        known = [s for s in good if descriptors[s].counter == cell.counters[s]]
        a, state = cell.active, cell.states[cell.active]
        if a in known and (state == SLOT_CONFIRMED or state == SLOT_READY and cell.confirmed):
            return a, BOOT_ORDINARY
        # Once an attempt is spent, the copy has proven to be possible: its budget no longer counts. But
        # then it must have reached the boot hook.
        if a in known and state == SLOT_READY and cell.spent < cell.attempts:
            if cell.reached if cell.spent else cell.copied < cell.copies:
                return a, BOOT_TRIAL
        if 1 - a in known and cell.states[1 - a] == SLOT_CONFIRMED:
            return 1 - a, BOOT_FALLBACK
    else:
        proven = [s for s in good if descriptors[s].confirmed]
        if proven or good:
            reason = BOOT_NO_JOURNAL if proven else BOOT_NO_JOURNAL_UNCONFIRMED
            return _newest(descriptors, proven or good), reason
    if not here:
        return None
    rest = good or here
    proven = [s for s in rest if descriptors[s].confirmed or cell and cell.states[s] == SLOT_CONFIRMED]
    return _newest(descriptors, proven or rest), BOOT_LAST_RESORT


def conclude_last_boot(cell, slot, reason, descriptors, attempts):
    """Bring cell, which is new without a journal, up to date with this boot.

    True when it must be appended.
    """
    if not cell.sequence:
        return _rebuild(cell, slot, reason, descriptors, attempts)
    other = 1 - slot
    if reason == BOOT_FALLBACK and cell.active == other:
        _judge_trial(cell, other, descriptors[other])
        cell.active = slot
        cell.states[other] = SLOT_BAD
        return True
    if reason == BOOT_ORDINARY and cell.states[slot] == SLOT_READY:
        # The confirmed word was set, and power was lost before the cell that says the same.
        cell.confirm(slot, descriptors[slot])
        return True
    if reason == BOOT_LAST_RESORT and cell.report != REPORT_LAST_RESORT:
        cell.report, cell.report_counter = REPORT_LAST_RESORT, descriptors[slot].counter
        return True
    return False


def _judge_trial(cell, slot, descriptor):
    counter = cell.counters[slot]
    # main.py crashed under the release before too: its crashes say nothing about this one. Those before
    # the boot hook are not its own.
    excused = cell.report == REPORT_SAFE_MODE and cell.reached
    cell.report, cell.report_counter = REPORT_BAD, counter
    crashed = cell.bad[slot] or cell.states[slot] != SLOT_READY or descriptor is None or descriptor.bad
    for code in cell.ended:
        crashed = crashed or code == _NO_TWOSLOT or code in _CRASHES and not excused
    if not crashed:
        cell.report = REPORT_UNPROVEN
    if counter >> DEVELOPMENT_BIT:
        return  # a development release changes nothing by which others are judged
    if not crashed:
        rounds = cell.rounds & ROUNDS_MOST if cell.unproven_counter == counter else 0
        cell.rounds = min(rounds + 1, ROUNDS_MOST)
        if cell.spent and not cell.reached:
            cell.rounds |= NEVER_REACHED
        cell.unproven_counter = counter
    else:
        cell.bad_counter = max(cell.bad_counter, counter)


def _rebuild(cell, slot, reason, descriptors, attempts):
    for s in (0, 1):
        d = descriptors[s]
        if d:
            cell.counters[s] = d.counter
            unproven = SLOT_READY if s == slot else SLOT_BAD
            cell.states[s] = SLOT_BAD if d.bad else SLOT_CONFIRMED if d.confirmed else unproven
            if d.confirmed and not d.bad:
                cell.floor = max(cell.floor, d.floor)
    cell.active = slot
    cell.attempts, cell.copies = attempts, COPIES
    cell.report = REPORT_LAST_RESORT if reason == BOOT_LAST_RESORT else REPORT_JOURNAL_LOST
    cell.report_counter = cell.counters[slot]
    return True


def _is_bad(cell, descriptors, s):
    return descriptors[s].bad or cell and (cell.bad[s] or cell.states[s] == SLOT_BAD)


def _newest(descriptors, slots):
    if len(slots) == 2 and descriptors[1].counter > descriptors[0].counter:
        return 1
    return slots[0]
