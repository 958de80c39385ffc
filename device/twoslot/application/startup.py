# What the boot hook asks: which application runs now. It settles how the last attempt of a trial ended, and
# spends the next one.
import os
import sys

import twoslot

from twoslot.application import record as records, decision, port
from twoslot.application.port import is_present
from twoslot.constants import (
    APP_ACTIVE, APP_ATTEMPTS, APP_COUNTER, APP_FOLDERS, APP_OUTSIDE, APP_PACK, APP_REPORT,
    APP_REPORT_COUNTER, APP_STARTS, APP_STATE, APP_UNDER_WAY, APP_WITH, REPORT_UNPROVEN, SLOT_BAD,
    SLOT_CONFIRMED, SLOT_EMPTY, SLOT_READY,
)  # fmt: skip


def start(timer, timeout, place):
    """Go into the folder of the application that is to run: MicroPython looks for main.py there.

    Imports look there first, and in "/" last. Where the application has to prove itself, the hook's timer is
    armed as its deadline, unless it is already; twoslot.deadline has a fourth item then. timer: None without
    the loader. place: where the timer lies in the SDK's heap, or 0. After Ctrl-C the hook calls this again.
    """
    record = records.load()
    try:
        folder, trial = _choose(record)
    except Exception as e:
        # Nothing can be written, not even that an attempt is spent: what needs none.
        from twoslot import failures

        failures.log_error(e)
        record, trial = records.load(), False
        for n in (0, 1):
            if record[APP_STATE + n] == SLOT_READY:
                record[APP_STATE + n] = SLOT_BAD
        folder = decision.next_start(record, port.firmware()[0], port.mpy_abi(), is_present())[0]
    if trial:
        if not twoslot.deadline:
            timer = port.arm(timer, timeout, place)
        twoslot.deadline = timer, timeout, place, not record[APP_STARTS]  # else it must reach a server first
        from twoslot.application import traceback

        traceback.watch(record)
    if folder != APP_OUTSIDE:
        os.chdir(APP_FOLDERS[6 * folder :][:6])
        if "/" not in sys.path:
            sys.path.append("/")
    twoslot.drop("application", "retained", "errors", "failures")  # this module too: nothing may follow


def _choose(record):
    counter, firmware_trial, firmware_confirmed, fell_back = port.firmware()
    changed = _leave_firmware(record, counter, firmware_confirmed, fell_back)
    if record[APP_STARTS] and port.pack() != record[APP_PACK]:
        _leave_pack(record)
        changed = True
    if record[APP_UNDER_WAY]:
        end = port.last_end()
        if end:
            from twoslot.application import traceback

            decision.end_attempt(record, traceback.load(record)[0] or end)
            changed = True
    folder, report = decision.next_start(record, counter, port.mpy_abi(), is_present())
    trial = folder < APP_OUTSIDE and folder == record[APP_ACTIVE] and record[APP_STATE + folder] == SLOT_READY
    if trial and record[APP_WITH]:
        # It is on trial with its firmware, and proven with it.
        if firmware_confirmed and not firmware_trial:
            decision.confirm(record)
            changed, trial = True, False
    elif trial and not record[APP_UNDER_WAY]:
        record[APP_ATTEMPTS] -= 1
        record[APP_UNDER_WAY] = 1
        changed = True
    if report and folder < APP_OUTSIDE and record[APP_REPORT] != report:
        record[APP_REPORT], record[APP_REPORT_COUNTER] = report, record[APP_COUNTER + folder]
        changed = True
    if changed:
        records.save(record)
    return folder, trial


def _leave_pack(record):
    # twoslot_choice.py gave the pack of twoslot up that the application came with: its trial is over.
    active = record[APP_ACTIVE]
    if active < APP_OUTSIDE and record[APP_STATE + active] == SLOT_READY:
        record[APP_ATTEMPTS] = 0
        record[APP_UNDER_WAY] = 1  # it may have ended before anybody could write that down
    else:
        record[APP_PACK], record[APP_STARTS] = 1 - record[APP_PACK], 0


def _leave_firmware(record, counter, confirmed, fell_back):
    # What came with a firmware that does not run any more is not on trial any more. True: the record changed.
    active = record[APP_ACTIVE]
    if not record[APP_WITH] or record[APP_WITH] == counter or active == APP_OUTSIDE:
        return False
    if record[APP_STATE + active] != SLOT_READY:
        return False
    if fell_back:
        decision.give_up(record, REPORT_UNPROVEN)
        return True
    if not confirmed or not port.last_end():
        return False  # the restart into its trial is still to come
    # Power was lost between this record and the journal's cell: its trial never began.
    record[APP_STATE + active], record[APP_COUNTER + active], record[APP_WITH] = SLOT_EMPTY, 0, 0
    record[APP_ACTIVE] = 1 - active if record[APP_STATE + 1 - active] == SLOT_CONFIRMED else APP_OUTSIDE
    return True
