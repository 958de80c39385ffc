# Asks for the block table, or for the blocks of the image that are missing: with nothing of the download in
# memory, not even its buffer.
from twoslot import drop
from twoslot.constants import (
    BLOCK, STAGE_APP_FILES, STAGE_APP_LISTING, STAGE_APP_PACK, STAGE_APP_PREPARATION, STAGE_DOWNLOAD,
    STAGE_TABLE, STATE_FILES, STATE_LIST, STATE_PACK, STATE_TABLE,
)  # fmt: skip


def step(agent):
    """Ask for agent.url, and read the head of the response: a stage of an update."""
    if agent.url:
        if agent.identity is not None:
            base = agent.url if agent.url[:7] == "http://" else agent.server
            if not agent.address or base[7:].split("/")[0] != agent.address[0]:
                from twoslot import resolver

                return resolver.look_up(agent, base)
        url, agent.url = agent.url, None
        if agent.identity is not None:
            # Over HTTP. All that it needs, from this frame: it is high up on the stack.
            from twoslot.http import response, lines, connection, request

            if agent.identity:
                from twoslot import hmac
                from twoslot.http import identity
            agent.source = response
        elif agent.pushed is not None:
            from twoslot.push import upload

            agent.source = upload
        agent.request = agent.source.get(agent, url, None, agent.span)
    for _ in agent.request:
        agent.waiting = True
        return
    agent.request = None
    agent.stage = STAGE_TABLE if agent.state == STATE_TABLE else STAGE_DOWNLOAD
    if agent.state >= STATE_LIST:
        agent.stage = STAGE_APP_LISTING if agent.state == STATE_LIST else STAGE_APP_FILES
        if agent.state == STATE_FILES:
            agent.stage = STAGE_APP_PREPARATION
        elif agent.state == STATE_PACK:
            agent.stage = STAGE_APP_PACK
    r, first = agent.response, agent.span[0]
    if r.status == 200 and agent.span[1]:
        # A server without ranges sends everything: the blocks that are in place are read and skipped.
        agent.next, agent.until = 0, agent.progress["blocks"]
    elif r.status == 206 and r.start < first:
        # It begins earlier than it was asked to: from the next block on.
        agent.next = (r.start + BLOCK - 1) // BLOCK
        r.skip = agent.next * BLOCK - r.start
    drop("http.request", "http.connection", "http.identity", "hmac")
    if not r.chunked:
        drop("http.lines")
