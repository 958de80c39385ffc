# Gets the documents of an update: the head, the release, new keys. trust/verify.py decides later,
# with this one out of memory, whether to believe them.
import os

from twoslot import drop, log_error
from twoslot.constants import SECRET_FILE, STATE_HEAD
from twoslot.errors import FlashError


def get_next(agent):
    """Get the document that the agent's state asks for. Returns what get() returns."""
    if agent.state == STATE_HEAD:
        if agent.identity is None:
            agent.identity = _identity(agent.facts)
        return get(agent, "heads/%s/%s.head" % (agent.product, agent.channel), agent.etag)
    return get(agent, "releases/%s.release" % agent.head["release"].hex())


def _identity(facts):
    # A board with a secret proves with every request that it knows it. Others pay for this test
    # only.
    try:
        os.stat(SECRET_FILE)
    except OSError:
        return False
    from twoslot import secret, settings
    from twoslot.http import identity

    try:
        return identity.load(facts)
    except FlashError as e:
        # The server may serve this board all the same.
        log_error(e)
        return False
    finally:
        drop("http.identity", "secret", "settings")


def get(agent, url, etag=None):
    """Return a list that its reader empties: the document in a memoryview, or nothing (304)."""
    from twoslot.http import response

    agent.source = response
    try:
        r = response.get(agent, url, etag)
        if r.status == 304:
            return []
        if agent.state == STATE_HEAD:
            # The tag counts again only when this head was accepted.
            agent.etag, agent.fresh_etag = None, r.etag
        return [r.text()]
    finally:
        r = None
        response.close(agent)
        agent.source = response = None
        drop("http.response")
