# How an attempt of tick() ended, and when to look again.
import machine

import twoslot

from micropython import const

from twoslot.errors import LinkError, ReleaseError

_SHORTEST_S = const(60)  # what the server may ask for as the interval
_LONGEST_S = const(604800)
_KEPT = const(0x600013FC)  # byte 1: crashes in a row (FORMATS.md 4)


def reached(agent, due, error):
    """Draw the conclusions from an attempt that came to its end, or broke. True when it goes on later."""
    # Whatever came of it, the updater had its turn: what follows is no crash loop (recovery/safe_mode.py).
    machine.mem32[_KEPT] &= 0xFFFF00FF
    if agent and agent.interval is not None:
        s = agent.interval
        due.interval_ms = (min(max(s, _SHORTEST_S), _LONGEST_S) if s else due.own_s) * 1000
    if error is None:
        machine.mem32[_KEPT] &= 0x8FFFFFFF  # there is room beside main.py (recovery/update_first.py)
        twoslot._etag = agent.etag
        due.done()
        agent.turn("finish")
        return False
    twoslot.keep(error)
    if isinstance(error, LinkError):
        due.failed(agent.retry_after)
        return agent.state != 0
    if isinstance(error, ReleaseError):
        # What cannot be read or trusted, or is another document, may be right next time: a captive portal.
        code = error.args[0]
        if agent.believed and code > 24 and code != 37:
            twoslot._etag = agent.etag
            due.done()
            return False
        twoslot._etag = None
    due.failed()
    return False
