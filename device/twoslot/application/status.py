# What twoslot.status() shows of the applications.
from twoslot.application import record as records, decision, port
from twoslot.application.port import is_present
from twoslot.constants import (
    APP_ACTIVE, APP_BAD, APP_COUNTER, APP_DATA_LEAST, APP_FIRMWARE, APP_FLOOR, APP_FOLDERS, APP_LIST,
    APP_OUTSIDE, APP_REPORT, APP_REPORT_COUNTER, APP_ROUNDS, APP_STATE, APP_UNDER_WAY, APP_UNPROVEN,
    APP_WITH, SLOT_CONFIRMED, SLOT_READY,
)  # fmt: skip


def waiting():
    """Return True when an application came alone and has not started yet."""
    record = records.load()
    n = record[APP_ACTIVE]
    if n == APP_OUTSIDE or record[APP_STATE + n] != SLOT_READY:
        return False
    return not record[APP_UNDER_WAY] and not record[APP_WITH]


def status(found):
    """Add to a status what runs, what waits, and what happened last."""
    record = records.load()
    n = decision.next_start(record, port.firmware()[0], port.mpy_abi(), is_present())[0]
    found["app"] = found["app_folder"] = None
    found["app_counter"], found["app_confirmed"] = 0, False
    if n < APP_OUTSIDE:
        found["app_folder"], found["app_counter"] = "AB"[n], record[APP_COUNTER + n]
        found["app_confirmed"] = record[APP_STATE + n] == SLOT_CONFIRMED
        try:
            with open(APP_FOLDERS[6 * n :][:6] + "/twoslot.version") as f:
                found["app"] = f.read()
        except OSError:
            pass
    found["app_bad"], found["app_report"] = record[APP_BAD], record[APP_REPORT]
    return found


def facts():
    """Return what the policy needs to know of the applications (offer.py), as a dict."""
    record = records.load()
    n = decision.next_start(record, port.firmware()[0], port.mpy_abi(), is_present())[0]
    active = record[APP_ACTIVE]
    confirmed = active < APP_OUTSIDE and record[APP_STATE + active] == SLOT_CONFIRMED
    spare = 1 - n if n < APP_OUTSIDE else int(active == 0)
    return {
        "counter": record[APP_COUNTER + n] if n < APP_OUTSIDE else 0, "floor": record[APP_FLOOR],
        "bad": record[APP_BAD], "unproven": record[APP_UNPROVEN], "rounds": record[APP_ROUNDS],
        "data": record[APP_DATA_LEAST], "report": (record[APP_REPORT], record[APP_REPORT_COUNTER]),
        "low": record[APP_FIRMWARE + 2 * active] if confirmed else 0,
        "high": record[APP_FIRMWARE + 2 * active + 1] if confirmed else 0,
        "folder": APP_FOLDERS[6 * spare :][:6],
        "list": record[APP_LIST + n] if n < APP_OUTSIDE else None,
        "running": APP_FOLDERS[6 * n :][:6] if n < APP_OUTSIDE else None,
    }  # fmt: skip
