# Head or release: fetched, read, judged; each with the others out of memory.
from micropython import const

from twoslot import drop

_IDLE = const(0)
_HEAD = const(1)


def step(agent):
    """Get the next document and judge it; return the state that follows."""
    kind, etag = "release", None
    if agent.state == _HEAD:
        kind, url, etag = "head", "heads/%s/%s.head" % (agent.product, agent.channel), agent.etag
    else:
        url = "releases/%s.release" % agent.head["release"].hex()
    text = _text(agent, url, etag)
    if text is None:
        return _IDLE
    from twoslot import document

    found = document.read(text, kind)
    text = document = None
    drop("document", "seal")
    from twoslot import judge

    return judge.step(agent, found)


def _text(agent, url, etag):
    # A whole document; None when it is what etag names.
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
