# What boots, and what a finished trial proves. Pure: journal and descriptors in, answers out (DESIGN.md 3).
from micropython import const

from twoslot.journal import BAD, CONFIRMED, READY

ORDINARY, TRIAL, FALLBACK, NO_JOURNAL, NO_JOURNAL_UNCONFIRMED, LAST_RESORT = 1, 2, 3, 4, 5, 6
REPORT_CONFIRMED, REPORT_BAD, REPORT_UNPROVEN, REPORT_LAST_RESORT, REPORT_JOURNAL_LOST = 1, 2, 3, 4, 5
_CRASHES = (2, 3, 4, 6)  # hardware watchdog, exception, software watchdog, no twoslot (FORMATS.md 4.1)
_ROUNDS = const(4)  # whole trials without proof: the first, and three more


def choose(cell, descriptors, failed=()):
    """Return (slot, row) the loader would start, or None. failed: slots that did not verify in this boot."""
    if cell:
        floor = cell.floor
    else:
        floor = max([0] + [d.floor for d in descriptors if d and d.confirmed and not d.bad])
    here = [s for s in (0, 1) if descriptors[s] and s not in failed and descriptors[s].counter >= floor]
    good = [s for s in here if not _bad(cell, descriptors, s)]
    if cell:
        known = [s for s in good if descriptors[s].counter == cell.counters[s]]
        a = cell.active
        if a in known and (cell.states[a] == CONFIRMED or cell.states[a] == READY and cell.confirmed):
            return a, ORDINARY
        # Once an attempt was spent the copy is proven to be possible, and its budget is no longer asked.
        if a in known and cell.states[a] == READY and cell.spent < cell.attempts:
            if cell.spent or cell.copied < cell.copies:
                return a, TRIAL
        if 1 - a in known and cell.states[1 - a] == CONFIRMED:
            return 1 - a, FALLBACK
    else:
        proven = [s for s in good if descriptors[s].confirmed]
        if proven or good:
            return _newest(descriptors, proven or good), NO_JOURNAL if proven else NO_JOURNAL_UNCONFIRMED
    if not here:
        return None
    rest = good or here
    proven = [s for s in rest if descriptors[s].confirmed or cell and cell.states[s] == CONFIRMED]
    return _newest(descriptors, proven or rest), LAST_RESORT


def settle(cell, slot, row, descriptors, attempts):
    """Bring cell (or a new one, when it is new) up to date with this boot. True when it must be appended."""
    if not cell.sequence:
        return _rebuild(cell, slot, row, descriptors, attempts)
    other = 1 - slot
    if row == FALLBACK and cell.active == other:
        _verdict(cell, other, descriptors[other])
        cell.active = slot
        cell.states[other] = BAD
        return True
    if row == ORDINARY and cell.states[slot] == READY:
        # The confirmed word was set and power went before the cell that says the same.
        confirm(cell, slot, descriptors[slot])
        return True
    if row == LAST_RESORT and cell.report != REPORT_LAST_RESORT:
        cell.report, cell.report_counter = REPORT_LAST_RESORT, descriptors[slot].counter
        return True
    return False


def confirm(cell, slot, descriptor):
    """Make slot the confirmed active one."""
    cell.active = slot
    cell.states[slot] = CONFIRMED
    cell.bad[slot] = False
    cell.counters[slot] = descriptor.counter
    cell.floor = max(cell.floor, descriptor.floor)
    cell.report, cell.report_counter = REPORT_CONFIRMED, descriptor.counter
    cell.rounds = cell.unproven_counter = 0


def _verdict(cell, slot, descriptor):
    counter = cell.counters[slot]
    cell.report, cell.report_counter = REPORT_BAD, counter
    crashed = cell.bad[slot] or cell.states[slot] != READY or descriptor is None or descriptor.bad
    for code in cell.ended:
        crashed = crashed or code in _CRASHES
    if not crashed:
        cell.report = REPORT_UNPROVEN
        cell.rounds = cell.rounds + 1 if cell.unproven_counter == counter else 1
        cell.unproven_counter = counter
        crashed = cell.rounds >= _ROUNDS
    if crashed:
        cell.bad_counter = max(cell.bad_counter, counter)


def _rebuild(cell, slot, row, descriptors, attempts):
    for s in (0, 1):
        d = descriptors[s]
        if d:
            cell.counters[s] = d.counter
            cell.states[s] = BAD if d.bad else CONFIRMED if d.confirmed else READY if s == slot else BAD
            if d.confirmed and not d.bad:
                cell.floor = max(cell.floor, d.floor)
    cell.active = slot
    cell.attempts, cell.copies = attempts, 8
    cell.report = REPORT_LAST_RESORT if row == LAST_RESORT else REPORT_JOURNAL_LOST
    cell.report_counter = cell.counters[slot]
    return True


def _bad(cell, descriptors, s):
    return descriptors[s].bad or cell and (cell.bad[s] or cell.states[s] == BAD)


def _newest(descriptors, slots):
    if len(slots) == 2 and descriptors[1].counter > descriptors[0].counter:
        return 1
    return slots[0]
