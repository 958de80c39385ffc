# status(), confirm() and rollback() at the REPL. Loaded for one of them.
import machine

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

        return _with_versions(status.status(opened))
    except (TwoslotError, MemoryError) as e:
        opened = None
        from twoslot import failures

        return failures.refuse(e)


def _with_versions(found):
    """The status with the versions of the two parts that are updated apart: twoslot and the boot hook."""
    where = " frozen" if ".frozen" in twoslot.__path__ else " files"
    found["twoslot"], found["hook_version"] = twoslot.__version__ + where, None
    try:
        with open("/twoslot_boot.py") as f:
            found["hook_version"] = f.readline().split()[3]  # "# Boot hook 0.1.0"
    except (OSError, IndexError):
        pass
    return found


def _confirm(control):
    """Make the running release the one to fall back to."""
    from twoslot import retained
    from twoslot.boot import window_log, trial

    done = trial.confirm(control)
    if done:
        trial.note_confirmed(control)
    trial.end(control)
    print("twoslot: confirmed" if done else "twoslot: was confirmed already")


def _rollback(control):
    """Mark the running release bad and restart into the other slot."""
    from twoslot.boot import trial

    trial.rollback(control)
    print("twoslot: back to slot", "BA"[control.slot])
    from twoslot import restart

    restart.wait_ms()  # the application's function puts outputs into a safe state, and cannot ask for later
    machine.reset()
