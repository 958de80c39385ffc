# What this board tells its server (FORMATS.md, board report): a start, how far a download is, an error, a
# confirmed release. Loaded where the setting "report" is true, and stays. http/report.py sends it.
import machine
import os

import twoslot

from micropython import const

from twoslot import codes
from twoslot.constants import (
    EVENT_CONFIRMED, EVENT_DOWNLOAD, EVENT_ERROR, EVENT_START, STAGE_DOWNLOAD, STAGE_REPORT, T_CODE, T_EVENT,
    T_NEXT, T_QUARTER, T_REFUSED, T_SEEN, T_TOLD, T_TRIAL, T_WHERE,
)  # fmt: skip

_TELL_MS = const(5000)
_LINK = const(20)  # the codes of errors of the link are below
_WOKE = const(5)  # from deep sleep, says machine.reset_cause(): nothing to tell

state = [
    int.from_bytes(os.urandom(4), "big") >> 2, 0, 0 if machine.reset_cause() == _WOKE else EVENT_START,
    0, 0, None, None, False, 0, None, None, False,
]  # fmt: skip


def poll():
    """Notice what there is to tell. Returns milliseconds within which to check, or None."""
    s, agent, schedule = state, twoslot._agent, twoslot._schedule
    if s[T_REFUSED]:
        return None
    if schedule and s[T_TRIAL] and not schedule.trial and not twoslot.deadline:
        s[T_EVENT], s[T_TRIAL] = EVENT_CONFIRMED, False
        return _TELL_MS
    s[T_TRIAL] = schedule and schedule.trial
    if agent and agent.stage == STAGE_DOWNLOAD:
        if agent.pushed is None:
            _insert_report(agent)
        return None
    entry = twoslot._log[-1] if twoslot._log else None
    if entry is s[T_SEEN]:
        return None
    s[T_SEEN] = entry
    usual = entry[1] in (codes.UP_TO_DATE, codes.NOT_IN_ROLLOUT, codes.PAUSED, codes.QUIET_HOURS)
    if usual or entry[1:] == s[T_TOLD]:
        return None  # each check ends with it
    s[T_TOLD] = entry[1:]
    s[T_CODE], s[T_WHERE] = entry[1:]
    s[T_EVENT] = s[T_EVENT] or EVENT_ERROR
    # What the link did is told when it works again.
    return _TELL_MS if entry[1] >= _LINK else None


def _insert_report(agent):
    # Between two blocks, at each quarter of the image: the download asks anew for what is missing.
    done, blocks = agent.blocks_in_place
    quarter = blocks and done * 4 // blocks
    if quarter > state[T_QUARTER]:
        agent.source.close(agent)
        agent.views = agent.progress["pieces"] = None
        state[T_EVENT], state[T_NEXT] = EVENT_DOWNLOAD, STAGE_DOWNLOAD  # type: ignore
        twoslot.drop(agent.stage.split(".")[1])  # as agent.py does between two stages
        agent.stage = STAGE_REPORT
    state[T_QUARTER] = quarter


twoslot._pollers.append(poll)
