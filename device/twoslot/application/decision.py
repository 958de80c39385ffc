# Which application starts, and what a trial proved. Pure: the record in, answers out (applications.md).
from micropython import const

from twoslot.constants import (
    APP_ABI, APP_ACTIVE, APP_ATTEMPTS, APP_BAD, APP_COUNTER, APP_DATA, APP_DATA_LEAST, APP_ENDED,
    APP_FIRMWARE, APP_FLOOR, APP_NEXT_FLOOR, APP_OUTSIDE, APP_PACK, APP_REPORT, APP_REPORT_COUNTER,
    APP_ROUNDS, APP_STARTS, APP_STATE, APP_UNDER_WAY, APP_UNPROVEN, APP_WITH, DEVELOPMENT_BIT, REPORT_BAD,
    REPORT_CONFIRMED, REPORT_LAST_RESORT, REPORT_SAFE_MODE, REPORT_UNPROVEN, ROUNDS_MOST,
    SLOT_BAD, SLOT_CONFIRMED, SLOT_EMPTY, SLOT_READY,
)  # fmt: skip

# FORMATS.md, end of an attempt: both watchdogs, the exception of the chip, the traceback.
_CRASHES = (2, 3, 4, 10)


def end_attempt(record, code):
    """Note how the attempt ended that was under way. After the last one its trial is over."""
    record[APP_UNDER_WAY] = 0
    if record[APP_ENDED] not in _CRASHES:
        record[APP_ENDED] = code
    if not record[APP_ATTEMPTS]:
        _end_trial(record)


def confirm(record):
    """Make the application on trial the confirmed one."""
    active = record[APP_ACTIVE]
    record[APP_STATE + active] = SLOT_CONFIRMED
    record[APP_UNDER_WAY] = record[APP_ATTEMPTS] = record[APP_ENDED] = record[APP_STARTS] = 0
    record[APP_FLOOR] = max(record[APP_FLOOR], record[APP_NEXT_FLOOR])
    record[APP_DATA_LEAST] = max(record[APP_DATA_LEAST], record[APP_DATA + active])
    counter = record[APP_COUNTER + active]
    record[APP_REPORT], record[APP_REPORT_COUNTER] = REPORT_CONFIRMED, counter
    if not counter >> DEVELOPMENT_BIT:  # a development application proves nothing about others
        record[APP_ROUNDS] = record[APP_UNPROVEN] = 0


def give_up(record, report):
    """End the time of the active application: bad, or unproven. The other one follows, if it is confirmed."""
    active = record[APP_ACTIVE]
    counter = record[APP_COUNTER + active]
    record[APP_STATE + active] = SLOT_BAD
    record[APP_REPORT], record[APP_REPORT_COUNTER] = report, counter
    record[APP_UNDER_WAY] = record[APP_ATTEMPTS] = record[APP_ENDED] = record[APP_WITH] = 0
    record[APP_ACTIVE] = 1 - active if record[APP_STATE + 1 - active] == SLOT_CONFIRMED else APP_OUTSIDE
    if record[APP_STARTS]:  # so is the pack of twoslot that came with it
        record[APP_PACK], record[APP_STARTS] = 1 - record[APP_PACK], 0
    if counter >> DEVELOPMENT_BIT:
        return  # it changes nothing by which others are judged
    if report == REPORT_BAD:
        record[APP_BAD] = max(record[APP_BAD], counter)
    else:
        rounds = record[APP_ROUNDS] if record[APP_UNPROVEN] == counter else 0
        record[APP_ROUNDS], record[APP_UNPROVEN] = min(rounds + 1, ROUNDS_MOST), counter


def unpacked(record):
    """Return the folder (0, 1) that holds an application which is whole and not on trial, or None."""
    for n in (0, 1):
        if record[APP_STATE + n] == SLOT_EMPTY and record[APP_COUNTER + n]:
            return n
    return None


def fits(record, folder, firmware, abi):
    """True when what is in folder runs under the firmware with this counter and .mpy version."""
    low, high = record[APP_FIRMWARE + 2 * folder], record[APP_FIRMWARE + 2 * folder + 1]
    if record[APP_ABI + folder] not in (0, abi):
        return False
    return firmware >> DEVELOPMENT_BIT > 0 or low <= firmware and (not high or firmware <= high)


def next_start(record, firmware, abi, present):
    """Return (folder, report): what starts under the firmware, APP_OUTSIDE for /main.py.

    report is 0, or REPORT_LAST_RESORT. present: whether main.py of A, of B and /main.py are there.
    """
    active = record[APP_ACTIVE]
    if active < APP_OUTSIDE and present[active] and record[APP_STATE + active] == SLOT_READY:
        came_with = record[APP_WITH]
        if came_with == firmware if came_with else record[APP_ATTEMPTS] or record[APP_UNDER_WAY]:
            if fits(record, active, firmware, abi):
                return active, 0
    confirmed = [n for n in (0, 1) if present[n] and record[APP_STATE + n] == SLOT_CONFIRMED]
    if active == 1:
        confirmed.reverse()
    for n in confirmed:
        if fits(record, n, firmware, abi) and record[APP_DATA + n] >= record[APP_DATA_LEAST]:
            return n, 0
    if present[APP_OUTSIDE]:
        return APP_OUTSIDE, REPORT_LAST_RESORT if confirmed else 0
    for n in confirmed:
        return n, REPORT_LAST_RESORT
    for n in (0, 1):
        if present[n] and record[APP_STATE + n] != SLOT_EMPTY:
            return n, REPORT_LAST_RESORT
    for n in (0, 1):
        if present[n]:
            return n, REPORT_LAST_RESORT
    return APP_OUTSIDE, 0


def _end_trial(record):
    # The program crashed before this application, too (trial.py): its crashes say nothing about this one.
    crashed = record[APP_ENDED] in _CRASHES and record[APP_REPORT] != REPORT_SAFE_MODE
    give_up(record, REPORT_BAD if crashed else REPORT_UNPROVEN)
