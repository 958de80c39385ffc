# The outcome of an attempt of tick(): what it means for the schedule and for the retained counts.
import twoslot

from micropython import const

from twoslot import codes, retained
from twoslot.errors import LinkError, ReleaseError

_SHORTEST_S = const(60)  # interval that a head may ask for
_LONGEST_S = const(604800)


def conclude(agent, schedule, error):
    """Set the schedule after an attempt that ended, or broke off with error.

    True when it goes on later.
    """
    # Whatever its outcome: this is no loop (recovery/supervisor.py).
    retained.had_turn()
    if agent.interval_s is not None:
        s = agent.interval_s
        schedule.interval_ms = (min(max(s, _SHORTEST_S), _LONGEST_S) if s else schedule.own_s) * 1000
    if error is None:
        # There is memory beside main.py (recovery/update_first.py).
        retained.put(retained.MEMORY_RESTARTS, 0)
        schedule.etag = agent.etag
        schedule.succeeded()
        return False
    if isinstance(error, MemoryError):
        raise error
    twoslot.log_error(error)
    if isinstance(error, LinkError):
        schedule.failed(agent.retry_after, agent.accepted)
        return agent.state != 0
    if isinstance(error, ReleaseError):
        # A document that cannot be read or trusted, or another one, may be right next time: a
        # captive portal.
        code = error.args[0]
        if agent.accepted and code > codes.UNKNOWN_FORMAT and code != codes.HEAD_MISMATCH:
            # "Unproven" fades: the same head is to be read again.
            schedule.etag = None if code == codes.UNPROVEN else agent.etag
            schedule.succeeded()
            return False
        schedule.etag = None
    schedule.failed()
    return False
