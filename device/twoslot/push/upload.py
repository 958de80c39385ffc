# The source of a pushed release: the agent's stages ask for pieces of the image as they ask a server, and
# the client that pushes sends them.
import gc

from micropython import const

import twoslot

from twoslot import codes
from twoslot.constants import BLOCK
from twoslot.errors import LinkError

_BLOCKS = const(16)  # in a piece


def get(agent, url, etag, span):
    """Ask for these bytes of the image, or with (0, 0) for the block table, a list or a file.

    Returns nothing that must be waited for; agent.response has them.
    """
    from twoslot.push.listener import listener

    agent.response = listener.body
    agent.response.start = span[0]
    if url.endswith("e"):  # files/SHA256.file
        ask(listener, "file=" + url[6:-5])
    elif url.endswith("t"):  # lists/SHA256.list
        ask(listener, "list")
    elif span[1]:
        # In portions: they show the client how far the board is.
        agent.until = min(agent.until, agent.next + _BLOCKS)
        ask(listener, "bytes=%d-%d" % (span[0], min(agent.until * BLOCK, span[1]) - 1))
    else:
        ask(listener, "blocks")
    return ()


def close(agent):
    """Forget the response. The connection stays the listener's, which answers over it."""
    agent.response = None
    gc.collect()


def ask(listener, what):
    """Ask the client for the next piece. It has taken the last question: there is room for this one."""
    text = ("HTTP/1.1 100 Continue\r\nTwoslot-Wants: %s\r\n\r\n" % what).encode()
    try:
        n = listener.client.write(text)
    except OSError as e:
        raise LinkError(codes.CONNECTION_FAILED, e.args[0])
    if n != len(text):
        raise LinkError(codes.TOO_SLOW, n or 0)
