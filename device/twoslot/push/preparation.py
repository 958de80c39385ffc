# The beginning of a push, once its release is authenticated. Loaded for that only.
import gc
import sys

import twoslot

from twoslot.constants import PHASE_KEYS, STATE_APP, STATE_RELEASE


def handle(listener, sock):
    """Have the agent take in the document that the listener collected, and the image behind it."""
    begun = "twoslot.http.lines" in sys.modules
    from twoslot.http import response, lines

    if not begun:
        return "preparation"  # once more: all of it takes too long for one call
    from twoslot.push import intake

    agent = twoslot.load_agent()
    agent.begin()
    agent.text, listener.text = listener.text, None
    agent.pushed, listener.development_keys = listener.development_keys, None
    is_program = bytes(agent.text[:21]) == b'{"kind":"application"'
    agent.state, agent.phase = STATE_APP if is_program else STATE_RELEASE, PHASE_KEYS
    # What all pieces of the image are read from. Its first chunk, the document, was read before.
    r = listener.body = response.Response(sock, None)
    r.received = r.seen = r.lo = r.hi = r.skip = r.left = 0
    r.piece, r.etag, r.unsized, r.keep = b"", None, False, False
    r.chunked, r.stage, r.status = True, 1, 206
    listener.agent, intake.listener = agent, listener
    listener.enter(intake.go_on)
    gc.collect()
    return "preparation"
