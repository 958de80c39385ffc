# Gets the documents of an update: the head, the release, new keys. trust/verify.py decides later,
# with this one out of memory, whether to believe them.
import os
import time

from twoslot import codes, drop
from twoslot.constants import (
    DOCUMENT_MOST, EPOCH_2000, HEAD_MOST, HEAD_USUAL, PHASE_KEYS, SECRET_FILE, STAGE_VERIFY, STATE_APP,
    STATE_HEAD, STATE_IDLE,
)  # fmt: skip
from twoslot.errors import FlashError, LinkError


def step(agent):
    """Go on getting the document that the agent wants.

    At the end agent.text has it, in a memoryview, or None: there is no new one (304).
    """
    if agent.identity is None:
        # A board with a secret proves with every request that it knows it. Others pay for this test
        # only.
        agent.identity = False
        try:
            os.stat(SECRET_FILE)
        except OSError:
            return
        from twoslot import secret, settings
        from twoslot.http import identity

        try:
            agent.identity = identity.load(agent.facts)
        except FlashError as e:
            # The server may serve this board all the same.
            from twoslot import failures

            failures.log_error(e)
            drop("failures")
        drop("secret", "settings")
        return
    if agent.request is None:
        if not agent.address:
            # With nothing else of the request in memory.
            from twoslot import resolver

            resolver.look_up(agent, agent.server)
            return
        # All that a request needs, from this frame: it is high up on the stack.
        from twoslot.http import response, lines, connection, request

        if agent.identity:
            from twoslot import hmac
            from twoslot.http import identity
        agent.source = response
        etag = agent.etag
        if etag is True:
            from twoslot.http import known_head

            etag = agent.etag = known_head.load(agent.facts)
            known_head = None
            drop("http.known_head")
        # What has expired must be shown, to be refused: a 304 has no date.
        now = max(time.time() + EPOCH_2000, agent.facts["time"])
        if not etag or agent.state != STATE_HEAD or agent.key_epoch or etag[1] < now:
            etag = (None,)
        agent.request = response.get(agent, address(agent), etag[0])
    # Before a head was accepted, memory that is missing from here on may be what somebody in between took.
    agent.unproven = not agent.accepted
    try:
        for _ in agent.request:
            agent.waiting = True
            return
        r = agent.response
        if r.status == 304:
            agent.state, agent.stage, agent.interval_s = STATE_IDLE, None, agent.etag[2]
        else:
            if agent.text is None:
                _begin(agent, r)
            if not r.fill((agent.text,)):
                agent.waiting = True
                return
            if r.got > _number(agent):
                raise LinkError(codes.RESPONSE_TOO_LONG, r.got)
            agent.text = agent.text[: r.got]
            agent.stage, agent.phase = STAGE_VERIFY, PHASE_KEYS
            if agent.state == STATE_HEAD and not agent.key_epoch:
                # The tag counts again only when this head was accepted.
                agent.facts["known_head"] = agent.etag
                agent.etag, agent.fresh_etag = None, r.etag
    except LinkError as e:
        absent = e.args[0] in (codes.HTTP_STATUS, codes.IDENTITY_REFUSED) and e.args[1] in (401, 403, 404)
        if agent.key_epoch and (absent or e.args[0] == codes.RESPONSE_TOO_LONG):
            # There are no newer keys: each server says that in its own way. The head stays refused.
            raise agent.refusal
        raise
    agent.unproven = not agent.accepted and agent.text is not None and len(agent.text) > HEAD_USUAL
    r = agent.request = None
    agent.source.close(agent)
    agent.source = None
    drop("hmac")


def address(agent):
    if agent.key_epoch:
        return "keys/%s.%d.keys" % (agent.product, agent.key_epoch)
    if agent.state == STATE_HEAD:
        return "heads/%s/%s.head" % (agent.product, agent.channel)
    if agent.state == STATE_APP:
        return "applications/%s.application" % agent.head["app"].hex()
    return "releases/%s.release" % agent.head["release"].hex()


def _number(agent):
    # Of bytes of the longest document of this kind.
    return HEAD_MOST if agent.state == STATE_HEAD and not agent.key_epoch else DOCUMENT_MOST


def _begin(agent, r):
    # Nothing larger is allocated than this kind of document can be.
    size = _number(agent) + 1
    if not r.unsized and not r.chunked:
        if r.left >= size:
            raise LinkError(codes.RESPONSE_TOO_LONG, r.left)
        size = r.left
    r.wait_ms(size)
    agent.text = memoryview(bytearray(size))
