# The updater before main.py, for one check or for a trial. Loaded for it only.
import machine
import time

import twoslot


def check():
    """Check once, then let main.py follow."""
    print("twoslot: a check before main.py; Ctrl-C ends it")
    result = -1
    schedule = _begin()
    try:
        if schedule:
            from twoslot import sleep

            result = sleep.check_once(schedule)
    except KeyboardInterrupt:
        print("twoslot: main.py follows")
    from twoslot import retained

    retained.put(retained.PROVE_FIRST, 0)
    retained.had_turn()  # also when it did not come to an end
    failed = min(retained.get(retained.FAILED_CHECKS) + 1, 15)
    retained.put(retained.FAILED_CHECKS, 0 if result > 0 else failed)
    twoslot.drop("sleep", "errors")


def prove():
    """In a trial: run the updater until the release has proven itself, then restart into main.py.

    With "confirm": "manual" main.py follows after a check.
    """
    print("twoslot: on trial, a check before main.py; Ctrl-C ends it")
    schedule = _begin()
    try:
        if schedule:
            from twoslot import sleep

            sleep.check_once(schedule)
            if _is_manual():
                return
        while schedule.trial if schedule else twoslot.deadline:
            twoslot.tick()
            time.sleep_ms(100)
    except KeyboardInterrupt:
        print("twoslot: main.py follows")
        return
    from twoslot import retained

    retained.put(retained.PROVE_FIRST, 0)
    machine.reset()


def _is_manual():
    from twoslot import settings

    manual = settings.load()["confirm"] == "manual"
    twoslot.drop("settings")
    return manual


def _begin():
    # What this installs must prove itself without main.py too.
    from twoslot import retained

    retained.put(retained.PROVE_FIRST, 1)
    return twoslot.get_schedule()
