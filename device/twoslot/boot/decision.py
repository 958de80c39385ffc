# What boots, and what a finished trial proves. Pure: journal and descriptors in, answers out (DESIGN.md 3).
from micropython import const

# State of a slot (FORMATS.md 2.1).
_READY = const(1)
_CONFIRMED = const(2)
_BAD = const(3)
# Row of the decision (FORMATS.md 4).
_ORDINARY = const(1)
_TRIAL = const(2)
_FALLBACK = const(3)
_NO_JOURNAL = const(4)
_NO_JOURNAL_UNCONFIRMED = const(5)
_LAST_RESORT = const(6)
# Report (FORMATS.md 2.1).
_REPORT_CONFIRMED = const(1)
_REPORT_BAD = const(2)
_REPORT_UNPROVEN = const(3)
_REPORT_LAST_RESORT = const(4)
_REPORT_JOURNAL_LOST = const(5)
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
        if a in known and (cell.states[a] == _CONFIRMED or cell.states[a] == _READY and cell.confirmed):
            return a, _ORDINARY
        # Once an attempt was spent the copy is proven to be possible, and its budget is no longer asked.
        if a in known and cell.states[a] == _READY and cell.spent < cell.attempts:
            if cell.spent or cell.copied < cell.copies:
                return a, _TRIAL
        if 1 - a in known and cell.states[1 - a] == _CONFIRMED:
            return 1 - a, _FALLBACK
    else:
        proven = [s for s in good if descriptors[s].confirmed]
        if proven or good:
            return _newest(descriptors, proven or good), _NO_JOURNAL if proven else _NO_JOURNAL_UNCONFIRMED
    if not here:
        return None
    rest = good or here
    proven = [s for s in rest if descriptors[s].confirmed or cell and cell.states[s] == _CONFIRMED]
    return _newest(descriptors, proven or rest), _LAST_RESORT


def settle(cell, slot, row, descriptors, attempts):
    """Bring cell (or a new one, when it is new) up to date with this boot. True when it must be appended."""
    if not cell.sequence:
        return _rebuild(cell, slot, row, descriptors, attempts)
    other = 1 - slot
    if row == _FALLBACK and cell.active == other:
        _verdict(cell, other, descriptors[other])
        cell.active = slot
        cell.states[other] = _BAD
        return True
    if row == _ORDINARY and cell.states[slot] == _READY:
        # The confirmed word was set and power went before the cell that says the same.
        cell.confirm(slot, descriptors[slot])
        return True
    if row == _LAST_RESORT and cell.report != _REPORT_LAST_RESORT:
        cell.report, cell.report_counter = _REPORT_LAST_RESORT, descriptors[slot].counter
        return True
    return False


def _verdict(cell, slot, descriptor):
    counter = cell.counters[slot]
    cell.report, cell.report_counter = _REPORT_BAD, counter
    crashed = cell.bad[slot] or cell.states[slot] != _READY or descriptor is None or descriptor.bad
    for code in cell.ended:
        crashed = crashed or code in _CRASHES
    if not crashed:
        cell.report = _REPORT_UNPROVEN
    if counter >> 31:
        return  # a development release: nothing by which others are judged moves
    if not crashed:
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
            cell.states[s] = _BAD if d.bad else _CONFIRMED if d.confirmed else _READY if s == slot else _BAD
            if d.confirmed and not d.bad:
                cell.floor = max(cell.floor, d.floor)
    cell.active = slot
    cell.attempts, cell.copies = attempts, 8
    cell.report = _REPORT_LAST_RESORT if row == _LAST_RESORT else _REPORT_JOURNAL_LOST
    cell.report_counter = cell.counters[slot]
    return True


def _bad(cell, descriptors, s):
    return descriptors[s].bad or cell and (cell.bad[s] or cell.states[s] == _BAD)


def _newest(descriptors, slots):
    if len(slots) == 2 and descriptors[1].counter > descriptors[0].counter:
        return 1
    return slots[0]
