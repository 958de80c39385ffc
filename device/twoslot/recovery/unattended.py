# A program that ended, that never calls tick() or that sleeps by itself: when its board checks without
# its help (settings.md, unattended). Loaded once an hour where the updater had no turn.
import machine

from micropython import const

import twoslot

from twoslot.constants import LOOP_WAKES

_DOUBLED = const(2)  # how often, at most, failed checks double wakes and seconds
_MOST_S = const(604800)


def is_due():
    """True when this board is to check by itself now."""
    from twoslot import errors, settings, retained

    try:
        s = settings.load()
        failed = min(retained.get(retained.FAILED_CHECKS), _DOUBLED)
        due = retained.seconds_without_turn() >= min(s["unattended"] << failed, _MOST_S)
        due = due or retained.get(retained.WAKES_ALONE) >= LOOP_WAKES << failed
        if not due or not s["unattended"]:
            return False
        if not s.get("quiet"):
            return True
        from twoslot import schedule, quiet_hours

        return not quiet_hours.remaining_ms(s["quiet"])
    except errors.FlashError:
        return False
    finally:
        s = None
        twoslot.drop("settings", "errors", "quiet_hours")


def restart_if_due():
    """Restart to check before main.py, under a program that does not let the updater have its turn."""
    from twoslot import retained
    from twoslot.recovery import counting

    counting.count_time()
    if is_due() and not _is_put_off():
        print("twoslot: no tick() for too long: restarting to check before main.py")
        retained.put(retained.CHECK_FIRST, 1)
        machine.reset()
    twoslot.drop("retained", "recovery.counting", "recovery.unattended")


def _is_put_off():
    # The function of before_restart() asks for later: that is in an hour.
    if not twoslot._restart_hook:
        return False
    from twoslot import restart

    ms = restart.wait_ms()
    twoslot.drop("restart")
    return ms > 0
