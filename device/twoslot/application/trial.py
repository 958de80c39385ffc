# The trial of an application: what confirms it, and the way back by hand. Loaded for one of them.
import os

import twoslot

from twoslot import codes
from twoslot.application import record as records, decision, port
from twoslot.application.port import is_present
from twoslot.constants import (
    APP_ACTIVE, APP_ATTEMPTS, APP_COUNTER, APP_DATA, APP_DATA_LEAST, APP_ENDED, APP_FLOOR, APP_OUTSIDE,
    APP_PACK, APP_REPORT, APP_REPORT_COUNTER, APP_STARTS, APP_STATE, APP_UNDER_WAY, APP_WITH, REPORT_BAD,
    REPORT_SAFE_MODE,
    SLOT_CONFIRMED, SLOT_READY, WHY_FILE,
)  # fmt: skip
from twoslot.errors import FlashError, ReleaseError


def activate(agent, firmware, pack=0):
    """Have what lies whole in the spare folder start: with attempts of its own, or under that firmware alone.

    firmware: the counter of the one that it came with, or 0. pack: of twoslot, that came with it: 1, 2, or
    nothing.
    """
    from twoslot import retained

    forget()
    record = records.load()
    n = decision.unpacked(record)
    # A program that crashed so far must not condemn the application: decision.py is told by the report.
    if retained.get(retained.CRASHES) or retained.get(retained.PROVE_FIRST):
        active = record[APP_ACTIVE]
        record[APP_REPORT] = REPORT_SAFE_MODE
        record[APP_REPORT_COUNTER] = record[APP_COUNTER + active] if active < APP_OUTSIDE else 0
    elif record[APP_REPORT] == REPORT_SAFE_MODE:
        record[APP_REPORT] = 0  # long past
    record[APP_ACTIVE] = n
    record[APP_STATE + n] = SLOT_READY
    record[APP_ATTEMPTS] = 0 if firmware else agent.attempts
    record[APP_ENDED] = record[APP_UNDER_WAY] = 0
    record[APP_WITH] = firmware
    if pack:
        record[APP_PACK], record[APP_STARTS] = pack - 1, agent.attempts + 1
    records.save(record)


def confirm():
    """Confirm the application that is on trial. False: none is."""
    record = records.load()
    active = record[APP_ACTIVE]
    if active == APP_OUTSIDE or record[APP_STATE + active] != SLOT_READY:
        return False
    if record[APP_STARTS] and len(twoslot.deadline or ()) > 3 and not twoslot.deadline[3]:
        raise FlashError(codes.TWOSLOT_UNPROVEN, 0)
    decision.confirm(record)
    records.save(record)
    forget()
    if twoslot.deadline:
        twoslot.deadline = twoslot.deadline[:3]  # boot/trial.py ends it
    return True


def forget():
    """Forget why a trial before failed: another one begins, or one ended well."""
    try:
        os.remove(WHY_FILE)
    except OSError:
        pass


def rollback(firmware):
    """Mark the running application bad: after the caller's reset the other one runs, or /main.py.

    False: there is none, or it came with the running firmware, and they go back together.
    """
    record = records.load()
    active = record[APP_ACTIVE]
    if firmware and record[APP_WITH] == firmware:
        return False
    if active == APP_OUTSIDE or record[APP_STATE + active] not in (SLOT_CONFIRMED, SLOT_READY):
        return False
    other, present = 1 - active, is_present()
    if record[APP_STATE + other] == SLOT_CONFIRMED:
        if record[APP_DATA + other] < record[APP_DATA_LEAST]:
            raise ReleaseError(codes.APP_DATA, record[APP_DATA + other])
        if not decision.fits(record, other, port.firmware()[0], port.mpy_abi()):
            raise ReleaseError(codes.APP_FIRMWARE, port.firmware()[0])
        if record[APP_COUNTER + other] < record[APP_FLOOR] or not present[other]:
            raise FlashError(codes.NO_OTHER_SLOT, record[APP_STATE + other])
    elif not present[APP_OUTSIDE]:
        raise FlashError(codes.NO_OTHER_SLOT, record[APP_STATE + other])
    decision.give_up(record, REPORT_BAD)
    records.save(record)
    return True


def follow(firmware):
    """The running firmware was marked bad: so is the application that came with it."""
    record = records.load()
    if record[APP_WITH] == firmware and record[APP_ACTIVE] < APP_OUTSIDE:
        decision.give_up(record, REPORT_BAD)
        records.save(record)
