# Before a restart that twoslot makes by itself, the application's function puts outputs into a safe
# state, or asks for a later moment (gpio.md). Loaded for a restart, where there is such a function.
import twoslot

from micropython import const

from twoslot import codes
from twoslot.constants import DELAY_MS
from twoslot.errors import FlashError

_LEAST_MS = const(1000)  # between two calls of the function


def put_off(schedule):
    """Call the function. True when it asks for later: then the schedule is set to ask it again."""
    ms = wait_ms()
    if ms:
        schedule.continue_now(False)
        schedule.wait(ms)
    return ms > 0


def wait_ms():
    """Call the function given to before_restart().

    Returns the milliseconds for which it asks, 0: restart now. All waits together are as long as the
    settings allow, at most. What the function raises does not stop the restart.
    """
    hook = twoslot._restart_hook
    if not hook:
        return 0
    try:
        ms = hook[0]()
        if not ms or ms < 0:
            return 0
        from twoslot import settings

        most = settings.load().get("restart_delay_s", DELAY_MS // 1000) * 1000
        ms = min(max(int(ms), _LEAST_MS), most - hook[1])
        hook[1] += ms
        return ms
    except Exception as e:
        print("twoslot: before_restart:", repr(e))
        from twoslot import failures

        failures.log_error(FlashError(codes.BEFORE_RESTART, 0))
        return 0
    finally:
        twoslot.drop("settings", "failures")
