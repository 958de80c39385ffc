# status(), confirm() and rollback() at the REPL. Loaded for one of them.
import machine

from twoslot import settings
from twoslot.errors import TwoslotError


def run(verb, force):
    """Carry out one verb. A refusal is printed, and returned as False."""
    try:
        from twoslot import flash
        from twoslot.boot import page, journal, slots, control

        opened = control.BootControl(flash.Flash(), settings.load()["attempts"]).open()
        if verb == "confirm":
            return _confirm(opened)
        if verb == "rollback":
            return _rollback(opened)
        from twoslot.boot import decision, status

        return status.status(opened)
    except (TwoslotError, MemoryError) as e:
        opened = None
        from twoslot import failures

        return failures.refuse(e)


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
