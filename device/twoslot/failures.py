# What log() prints is remembered here. Loaded when something failed.
import time

import twoslot

from twoslot import codes


def log_error(e):
    """Remember an exception for twoslot.log()."""
    code, where = codes.UNEXPECTED, 0
    if isinstance(e, MemoryError):
        code = 0
    elif isinstance(e, RuntimeError):
        code = codes.STACK
    elif isinstance(e, OSError):
        where = e.args[0]
    elif len(e.args) > 1:
        code, where = e.args[:2]
    twoslot._log.append((time.ticks_ms(), code, where))
    if len(twoslot._log) > 8:
        twoslot._log.pop(0)


def refuse_busy():
    """Print that a verb came inside of another one, or of tick(). False."""
    print("twoslot: refused: 55 busy; slotbench explain 55")
    return False


def refuse(error, running=0):
    """Print why a verb of the REPL was refused, and remember it. False. running: its release's counter."""
    log_error(error)
    if isinstance(error, MemoryError):
        print("twoslot: out of memory; restart the board and repeat the command")
        return False
    try:
        from twoslot import words

        words.print_refusal(error, running)
    except MemoryError:
        print("twoslot: refused: %d (%d)" % error.args[:2])
    twoslot.drop("words")
    return False
