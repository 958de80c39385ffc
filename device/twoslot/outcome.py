# The outcome of an attempt of tick(): what it means for the schedule, for the retained counts, and for
# the next restart.
import machine

import twoslot

from micropython import const

from twoslot import codes, retained
from twoslot.constants import CHECK_FIRST_BIT, RETAINED_TURNS, STAGE_RESUME, STATE_IDLE, STATE_TABLE
from twoslot.errors import LinkError, ReleaseError, TwoslotError
from twoslot.schedule import random_below

_SHORTEST_S = const(60)  # interval that a head may ask for
_LONGEST_S = const(604800)
_NETWORK = const(5)  # failures in a row, a minute: then another network is tried, if one is known
_TRIES = const(8)  # lost connections in a row, without a block gained, before this attempt ends
_RETRY_MS = const(2000)
_NEAR = const(48)  # failures in a row, and again: the longest wait grows after so many
_NEAR_MS = const(128000)
_MIDDLE_MS = const(300000)  # the longest wait while a signed head comes now and then
_FAR_MS = const(1800000)  # the longest wait after a failure
_TRIAL_MS = const(30000)  # in a trial the deadline is near: the longest wait between two attempts


def conclude(schedule, error, state):
    """Set the schedule after an attempt that ended, or broke off with error. Restart when it is to be.

    schedule: False or None when there is none. state: the agent's when memory ran out, None: a stranger may
    have taken it. True: the same attempt goes on later.
    """
    agent = twoslot._agent
    more = False
    if error:
        from twoslot import failures

        failures.log_error(error)
        more = agent and break_off(agent, error)
    if error is None or isinstance(error, TwoslotError):
        # Whatever its outcome: this is no loop (recovery/supervisor.py).
        retained.had_turn()
        twoslot._failed_loads = 0
    if isinstance(error, RuntimeError):
        # The stack is used up. The next start checks before main.py, and comes soon.
        machine.mem32[RETAINED_TURNS] |= 1 << CHECK_FIRST_BIT
        twoslot.restart_starved(None)
    elif isinstance(error, MemoryError):
        if schedule:
            failed(schedule)
        if state is None:
            # Not for a stranger, unless nothing else came for a day.
            from twoslot.recovery import unattended

            unattended.restart_if_due()
        else:
            # Restart to update before main.py.
            from twoslot.recovery import update_first

            update_first.request_restart(schedule, state)
        unattended = update_first = None
        twoslot.drop("recovery.unattended", "recovery.counting", "recovery.update_first")
        return False
    if not schedule:
        return False
    if agent and agent.interval_s is not None:
        s = agent.interval_s
        schedule.interval_ms = (min(max(s, _SHORTEST_S), _LONGEST_S) if s else schedule.own_s) * 1000
    if error is None:
        # There is memory beside main.py (recovery/update_first.py).
        retained.put(retained.MEMORY_RESTARTS, 0)
        retained.put(retained.STARVED, 0)
        succeeded(schedule)
        return False
    if isinstance(error, LinkError) and agent:
        failed(schedule, agent.retry_after, agent.accepted)
    else:
        more = False
        if isinstance(error, ReleaseError):
            # A document that cannot be read or trusted, or another one, may be right next time: a
            # captive portal.
            code = error.args[0]
            if agent.accepted and code > codes.UNKNOWN_FORMAT and code != codes.HEAD_MISMATCH:
                # "Unproven" fades: the same head is to be read again.
                schedule.etag = None if code == codes.UNPROVEN else agent.etag
                succeeded(schedule)
                return False
            schedule.etag = True
        failed(schedule)
    if agent and not agent.accepted and not schedule.failures % _NETWORK:
        try:
            from twoslot import wifi

            wifi.take_next()
        except Exception:
            pass  # the next failure is another try
        twoslot.drop("wifi")
    return more


def break_off(agent, error):
    """Settle what an error broke off. True when it goes on later: of an image, what is in place stays."""
    if isinstance(error, LinkError):
        agent.retry_after = error.args[2] if len(error.args) > 2 else 0
        agent.tries += 1
        # Nothing was written yet, or enough was tried: the schedule makes the next attempt.
        if agent.state >= STATE_TABLE and agent.tries <= _TRIES:
            agent.stage = STAGE_RESUME
            return True
    if agent.source:
        agent.source.close(agent)
    agent.stage, agent.state = None, STATE_IDLE
    return False


def succeeded(schedule):
    """Nothing more to do: wait the interval, give or take a tenth."""
    schedule.failures = 0
    schedule.started = False
    tenth = schedule.interval_ms // 10
    schedule.wait(schedule.interval_ms - tenth + 2 * tenth * random_below(1000) // 1000)


def failed(schedule, retry_after=0, reached=False):
    """Wait 2 s, then twice as long each time, up to minutes; or retry_after seconds.

    reached: a signed head came before this attempt failed.
    """
    if reached:
        schedule.failures = min(schedule.failures, _NEAR)
    n = schedule.failures
    longest = _NEAR_MS if n < _NEAR else _MIDDLE_MS if n < 2 * _NEAR else _FAR_MS
    longest = _TRIAL_MS if schedule.trial else min(longest, schedule.interval_ms)
    wait = min(_RETRY_MS << min(n, 10), longest)
    schedule.failures += 1
    schedule.started = False
    wait = wait // 2 + wait * random_below(1000) // 1000
    schedule.wait(max(wait, min(retry_after * 1000, longest if schedule.trial else 86400000)))
