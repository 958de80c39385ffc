# Safe mode: when main.py never lets the updater have its turn, only the updater runs, until a better
# release arrives or main.py is tried again.
import machine
import time

from micropython import const

import twoslot

from twoslot.constants import REPORT_SAFE_MODE

_WAIT_MS = const(900000)  # the longest wait between two checks
_GOOD_CHECKS = const(3)  # then main.py is tried again
_LONGEST_MS = const(10800000)  # and also after this time without so many


def run(why):
    """Run only the updater, then try main.py again. Ctrl-C ends it."""
    from twoslot import retained

    print("twoslot: %s: safe mode, without main.py; Ctrl-C ends it" % why)
    # What this installs must prove itself without main.py too.
    retained.put(retained.PROVE_FIRST, 1)
    report(REPORT_SAFE_MODE)
    restart = False
    try:
        _run()
        print("twoslot: main.py is tried again")
        restart = True
    except KeyboardInterrupt:
        print("twoslot: main.py follows")
    from twoslot import retained

    retained.put(retained.PROVE_FIRST, 0)
    retained.had_turn()
    if restart:
        machine.reset()


def _run():
    schedule = twoslot.get_schedule()
    if schedule:
        schedule.quiet = None  # there is no program that could be disturbed
    good, begun = 0, time.ticks_ms()
    if schedule:
        from twoslot import sleep

        # At once: what ended main.py, an external watchdog, may end this start too.
        good += sleep.check_once(schedule) > 0
    while good < _GOOD_CHECKS and time.ticks_diff(time.ticks_ms(), begun) < _LONGEST_MS:
        waited = schedule and schedule.left
        twoslot.tick()
        if schedule and not twoslot._agent and not schedule.failures:
            good += schedule.left > waited  # an attempt has just ended
            schedule.request_within(_WAIT_MS)
        time.sleep_ms(100)


def report(code):
    """Tell the server, once for a release, why main.py does not run now."""
    try:
        # The leaves first, all from this frame: an import inside another costs 688 bytes of stack.
        from twoslot import errors, flash
        from twoslot.boot import page, journal, slots, control

        opened = control.BootControl(flash.Flash(), 0).open()
        cell, counter = opened.cell, opened.running.counter
        if cell.report != code or cell.report_counter != counter:
            cell.report, cell.report_counter = code, counter
            opened.journal.append(cell)
        opened = cell = None
    except Exception as e:
        # Whatever is wrong with the journal, the updater is to run.
        from twoslot import failures

        failures.log_error(e)
    twoslot.unload()
