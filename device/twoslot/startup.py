# The first thing after a boot: writes down what the last boot proved, and makes the schedule of
# checks.
import gc
import os

from micropython import const

import twoslot

from twoslot.constants import (
    APP_REPORT, BOOT_FALLBACK, BOOT_TRIAL, REPORT_BAD, REPORT_UNPROVEN, SPREAD_MS, TELEMETRY,
)  # fmt: skip
from twoslot.schedule import random_below

_FIRST_MS = const(10000)  # after a boot the network needs a moment; a whole street may boot at once
_FIRST_TRIAL_MS = const(2000)
_SHARE = const(72)  # of the interval, over which a fleet spreads when its power is back: 5 min for 6 hours
_FLEET_MS = const(600000)  # and no longer than that


def make_schedule():
    """Conclude the last boot.

    Returns what a Schedule is made of, or False when this board cannot be updated: see log().
    """
    twoslot._threshold = gc.threshold()
    gc.threshold(1024)
    # The leaves first, all from this frame: deeper, the stack has no room for an import (memory.md).
    from twoslot import errors, settings, flash, retained
    from twoslot.boot import page, journal, slots, control

    try:
        s = settings.load()
        state = control.BootControl(flash.Flash(), s["attempts"])
        if state.unsettled:
            from twoslot.boot import decision
        state.open()
        reason, minutes, seq = state.reason, state.listen_minutes, state.cell.head_seq
        floor = state.cell.head_time
        trial = not state.confirmed or bool(twoslot.deadline)  # of the firmware, or of an application
        fleet = seq and retained.is_first_start()
        made = s["interval_s"], trial, s.get("quiet"), _first_ms(s["interval_s"], trial, reason, fleet)
        if reason == BOOT_TRIAL and not state.confirmed and twoslot.deadline is None:
            # boot.py did not run the boot hook in this start. The trial must not last for ever.
            try:
                from twoslot import hook_line

                hook_line.require_in_trial()
            except Exception as e:
                from twoslot import failures

                failures.log_error(e)
        state = None
        if minutes:
            # After a trial that failed too: the next release is to be pushed as well.
            wanted = trial or reason == BOOT_FALLBACK or _fell_back()
            if wanted:
                from twoslot import secret
                from twoslot.push import listener
            from twoslot.push import opening

            opening.reopen(wanted, trial)
        twoslot.drop("boot", "settings", "push.opening", "application")
        if s.get("report"):
            __import__(TELEMETRY)
        if s.get("ntp") or s.get("mqtt"):
            from twoslot import services

            services.wanted = s, floor, seq
            twoslot._pollers.append(services.open_next)
        return made
    except errors.FlashError as e:
        # The application must not stop for it.
        from twoslot import failures

        failures.log_error(e)
        return False
    finally:
        retained.put(retained.TICKED, 1)


def _first_ms(interval_s, trial, reason, fleet):
    # Until the first check after this start. fleet: true if the power came back, and a head was seen before.
    if reason == BOOT_FALLBACK:
        # The release that just failed may be offered again at once: its owner needs the board meanwhile.
        return interval_s * (900 + random_below(200))
    if trial:
        return _FIRST_TRIAL_MS
    spread_ms = min(interval_s * 1000 // _SHARE, _FLEET_MS) if fleet else 0
    return _FIRST_MS + random_below(max(spread_ms, SPREAD_MS) >> 4) * 16


def _fell_back():
    # Whether the last trial of an application failed.
    if "twoslot.app0" not in os.listdir("/"):
        return False
    from twoslot.application import record

    return record.load()[APP_REPORT] in (REPORT_BAD, REPORT_UNPROVEN)
