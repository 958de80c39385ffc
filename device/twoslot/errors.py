# The four exceptions. args = (code, where): codes.py names the codes, FORMATS.md, error codes says what
# `where` is.
import time

import twoslot

from twoslot import codes


class TwoslotError(Exception):
    """A refusal with a code and a place."""


class LinkError(TwoslotError):
    """The connection failed: try again later."""


class ReleaseError(TwoslotError):
    """The release is wrong, or not for this board now: do not repeat the attempt at once."""


class FlashError(TwoslotError):
    """The board is at fault: stop and report."""


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
