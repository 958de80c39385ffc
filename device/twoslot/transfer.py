# Fills the spare slot: block table, a look at what is there, the blocks that miss, the whole read back.
from hashlib import sha256
from micropython import const

from twoslot import writer
from twoslot.errors import LinkError, ReleaseError

_TABLE = const(3)
_SURVEY = const(4)
_FETCH = const(5)
_VERIFY = const(6)
_ARM = const(7)
_BLOCK = const(4096)


def step(agent):
    """Do the agent's next piece; return the state that follows. agent.url is set when it must ask first."""
    if agent.spare is None:
        agent.spare = writer.begin(agent.place, agent.plan)
    writer.ready(agent.spare)
    return (_table, _survey, _fetch, _verify)[agent.state - _TABLE](agent, agent.spare)


def _table(agent, w):
    plan = agent.plan
    if agent.answer:
        n = w["blocks"] * 16
        if agent.answer.readinto(writer.part(w, n)) != n:
            raise LinkError(13, 0)
        writer.put_table(w, plan["blocks"])
    elif not writer.table_right(w, plan["blocks"]):
        agent.url, agent.span = plan["blocks_url"], (0, 0)
        return _TABLE
    agent.next = 0
    return _SURVEY


def _survey(agent, w):
    # One block: the ones in place already need not be fetched.
    writer.survey(w, agent.next)
    agent.next += 1
    if agent.next < w["blocks"]:
        return _SURVEY
    agent.next = agent.until = 0
    return _FETCH if w["left"] else _VERIFY


def _fetch(agent, w):
    answer, block = agent.answer, agent.next
    if answer is None or block >= agent.until:
        first, agent.until = writer.run(w)
        agent.next = first
        agent.url, agent.span = agent.plan["url"], (first * _BLOCK, min(agent.until * _BLOCK, w["length"]))
        return _FETCH
    size = writer.size(w, block)
    whole = False
    try:
        n = answer.readinto(writer.part(w, size))
        agent.bytes += n
        if n != size:
            raise LinkError(5, n)
        if writer.is_missing(w, block):
            writer.put(w, block)
            agent.fetched += 1
            agent.tries = 0
        agent.next += 1
        whole = True
    finally:
        # Also after Ctrl-C: a stream that stopped inside a block is of no use.
        if not whole:
            agent.hang_up()
    if w["left"]:
        return _FETCH
    agent.hang_up()
    agent.next = 0
    return _VERIFY


def _verify(agent, w):
    # One block into the digest of the whole image; at the last one, judge it.
    if agent.next == 0:
        agent.sha = sha256()
    writer.take(w, agent.next, agent.sha)
    agent.next += 1
    if agent.next < w["blocks"]:
        return _VERIFY
    if agent.sha.digest() == agent.plan["sha256"]:
        return _ARM
    # Some sector reads otherwise than when its block was checked: look once more, fetch what differs.
    agent.next = 0
    agent.again += 1
    if agent.again > 2:
        raise ReleaseError(43, 0)
    return _SURVEY
