# status(), confirm() and rollback() at the REPL. Loaded for one of them.
import machine
import os

import twoslot

from twoslot.errors import TwoslotError


def run(verb, force):
    """Carry out one verb. A refusal is printed, and returned as False."""
    try:
        from twoslot import settings, flash
        from twoslot.boot import page, journal, slots, control

        opened = control.BootControl(flash.Flash(), settings.load()["attempts"]).open()
        if verb == "confirm":
            return _confirm(opened)
        if verb == "rollback":
            return _rollback(opened)
        from twoslot.boot import decision, status

        found = status.status(opened)
        opened = None
        twoslot.drop("boot")
        from twoslot import versions

        versions.status(found)
        if _has_applications():
            from twoslot.application import status as application_status

            application_status.status(found)
            application_status = None
            twoslot.drop("application")
            from twoslot.application import traceback

            found["app_trace"] = traceback.load()[1]
        return found
    except (TwoslotError, MemoryError) as e:
        opened = None
        from twoslot import failures

        return failures.refuse(e)


def _has_applications():
    return "twoslot.app0" in os.listdir("/")


def _confirm(control):
    """Make the running release the one to fall back to."""
    from twoslot import retained
    from twoslot.boot import window_log, trial

    done = trial.confirm(control)
    if done:
        trial.note_confirmed(control)
    if _has_applications():
        from twoslot.application import trial as application_trial

        done = application_trial.confirm() or done
    trial.end(control)
    print("twoslot: confirmed" if done else "twoslot: was confirmed already")


def _rollback(control):
    """Mark the running release bad and restart into the other slot."""
    from twoslot.boot import trial

    application_trial, firmware = None, control.running.counter
    if _has_applications():
        from twoslot.application import trial as application_trial
    if application_trial and application_trial.rollback(firmware):
        print("twoslot: back to the application before")
    else:
        trial.rollback(control)
        if application_trial:
            application_trial.follow(firmware)
        print("twoslot: back to slot", "BA"[control.slot])
    if twoslot._restart_hook:
        # Without restart.py: the heap has no room for it. The function cannot ask for later here.
        try:
            twoslot._restart_hook[0]()
        except Exception as e:
            print("twoslot: before_restart:", repr(e))
    machine.reset()
