# Head or release: fetched. Whether to believe it is trust/verify.py's question, with this one out of memory.
import os

from micropython import const

from twoslot import drop, keep
from twoslot.errors import FlashError

_HEAD = const(1)


def step(agent):
    """Get the next document; see text()."""
    if agent.state == _HEAD:
        if agent.who is None:
            agent.who = _who(agent.facts)
        return text(agent, "heads/%s/%s.head" % (agent.product, agent.channel), agent.etag)
    return text(agent, "releases/%s.release" % agent.head["release"].hex())


def _who(facts):
    # A board that was given a secret shows with every request that it knows it; others pay this look only.
    try:
        os.stat("twoslot.secret")
    except OSError:
        return False
    from twoslot.http import identity

    try:
        return identity.load(facts)
    except FlashError as e:
        # A server may serve it all the same.
        keep(e)
        return False
    finally:
        identity = None
        drop("http.identity", "secret", "settings")


def text(agent, url, etag=None):
    """A list for its reader to empty: a whole document in a memoryview, or nothing for what etag names."""
    try:
        answer = agent.get(url, etag)
        if answer.status == 304:
            return []
        if agent.state == _HEAD:
            # Not to be asked for with it again until this one was judged.
            agent.etag, agent.fresh = None, answer.etag
        return [answer.text()]
    finally:
        answer = None
        agent.hang_up()
        drop("http.response")
