# Head or release: fetched, read, judged; each with the others out of memory.
from micropython import const

from twoslot import drop
from twoslot.errors import ReleaseError

_IDLE = const(0)
_HEAD = const(1)


def step(agent):
    """Get the next document and judge it; return the state that follows."""
    kind, etag = "release", None
    if agent.state == _HEAD:
        kind, url, etag = "head", "heads/%s/%s.head" % (agent.product, agent.channel), agent.etag
    else:
        url = "releases/%s.release" % agent.head["release"].hex()
    found = text(agent, url, etag)
    if found is None:
        return _IDLE
    try:
        return _judged(agent, found, kind)
    except ReleaseError as e:
        if kind != "head" or e.args[0] not in (21, 42):
            raise
        refused = e
    # Perhaps signed with keys that this board does not have yet.
    found = None
    drop("document", "pinned", "seal", "judge", "settings")
    from twoslot import keys

    return keys.step(agent, refused)


def _judged(agent, found, kind):
    from twoslot import document

    found = document.read(found, kind, agent.facts["epoch"], agent.keys and agent.keys[0])
    document = None
    drop("document", "seal")
    from twoslot import judge

    return judge.step(agent, found)


def text(agent, url, etag=None):
    """A whole document in a memoryview; None when it is what etag names."""
    try:
        answer = agent.get(url, etag)
        if answer.status == 304:
            return None
        if agent.state == _HEAD:
            # Not to be asked for with it again until this one was judged.
            agent.etag, agent.fresh = None, answer.etag
        return answer.text()
    finally:
        answer = None
        agent.hang_up()
        drop("answer")
