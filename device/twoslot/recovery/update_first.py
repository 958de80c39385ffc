# The updater before main.py: an application that leaves no memory for an update must not keep its
# board from updating. Loaded when an attempt ended for want of memory, and after the restart that
# follows.
import machine
import sys
import time

from micropython import const

import twoslot

from twoslot.constants import REPORT_LOW_MEMORY, STATE_TABLE

_UPDATE_MS = const(60000)
_CHECK_MS = const(900000)
_RESTARTS = const(7)  # the highest count
_SOON_MS = const(5000)  # for the station to associate
_LONGEST_MS = const(600000)
_PAUSE_MS = const(50000)  # a check due later than this: the attempt has come to its end


def request_restart(schedule, state):
    """Restart to update before main.py, if this board has run long enough; each time twice as long.

    A release that is wanted (state) would restart the board anyway: it need not wait as long as a
    check. Boards that sleep deeply do not run for long: there failed checks count.
    """
    from twoslot import retained

    restarts, failed = retained.get(retained.MEMORY_RESTARTS), retained.get(retained.FAILED_CHECKS)
    if twoslot.deadline or schedule and schedule.trial:
        return  # a restart would spend an attempt
    if "twoslot.recovery.supervisor" in sys.modules:
        return  # main.py does not run: another restart would bring no more memory
    long = (_UPDATE_MS if state >= STATE_TABLE else _CHECK_MS) << restarts
    if time.ticks_ms() < long and failed < 2 + min(restarts, 3):
        return
    if twoslot._restart_hook:
        try:
            from twoslot import restart

            if restart.wait_ms():
                return  # until the next attempt that finds no memory
        except MemoryError as e:
            from twoslot import failures

            failures.log_error(e)
    print("twoslot: no memory for an update beside main.py: restarting to update before it")
    retained.put(retained.FAILED_CHECKS, 0)
    retained.put(retained.MEMORY_RESTARTS, min(restarts + 1, _RESTARTS))
    retained.put(retained.UPDATE_FIRST, 1)
    machine.reset()


def run():
    """Before main.py: make one attempt, then restart into main.py with a whole heap."""
    from twoslot import retained

    restarts, starved = retained.get(retained.MEMORY_RESTARTS), retained.get(retained.STARVED)
    retained.put(retained.MEMORY_RESTARTS, 0)
    retained.put(retained.UPDATE_FIRST, 0)
    retained.put(retained.PROVE_FIRST, 1)  # what this installs must prove itself without main.py too
    print("twoslot: updating before main.py; Ctrl-C ends this")
    from twoslot.recovery import safe_mode

    safe_mode.report(REPORT_LOW_MEMORY)
    # When tick() finds no memory even now, it loads and empties a module of this name: not the one
    # that runs.
    sys.modules.pop("twoslot.recovery.update_first", None)
    twoslot.recovery.__dict__.pop("update_first", None)
    try:
        _attempt()
    except KeyboardInterrupt:
        print("twoslot: main.py follows")
        return
    # There was nothing to install: the next restart is to come later still.
    from twoslot import retained

    retained.put(retained.PROVE_FIRST, 0)
    retained.put(retained.MEMORY_RESTARTS, restarts)
    retained.put(retained.STARVED, starved)
    machine.reset()


def _attempt():
    schedule = twoslot.get_schedule()
    if not schedule:
        return
    schedule.request_within(_SOON_MS)
    begun = time.ticks_ms()
    while time.ticks_diff(time.ticks_ms(), begun) < _LONGEST_MS:
        twoslot.tick()
        if not twoslot._agent and schedule.left > _PAUSE_MS:
            return
        time.sleep_ms(100)
