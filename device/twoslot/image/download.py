# What a server sends for the spare slot: the block table, then the blocks that miss.
from micropython import const

from twoslot.image import writer
from twoslot.errors import LinkError

_SURVEY = const(4)
_FETCH = const(5)
_VERIFY = const(6)
_BLOCK = const(4096)


def step(agent):
    """Take the agent's next piece; return the state that follows. agent.url is set when it must ask first."""
    writer.ready(agent.spare)
    return (_fetch if agent.state == _FETCH else _table)(agent, agent.spare)


def _table(agent, w):
    n = w["blocks"] * 16
    if agent.answer.readinto(writer.part(w, n)) != n:
        raise LinkError(13, 0)
    writer.put_table(w, agent.plan["blocks"])
    agent.next = 0
    return _SURVEY


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
