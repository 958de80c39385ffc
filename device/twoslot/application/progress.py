# What the stages of an application leave to one another, in agent.progress: constants.py names the places.
import micropython
import os

from hashlib import sha256
from micropython import const

from twoslot import codes
from twoslot.constants import (
    APP_FOLDERS, LIST_PART, PIECE, P_BLOCKS, P_BUFFER, P_DIGEST, P_FILLED, P_LEFT, P_LIST, P_NUMBER,
    P_PREVIOUS, P_SIZE, P_SOURCE, P_TARGET,
)  # fmt: skip
from twoslot.errors import LinkError

_STACK_MOST = const(5650)  # bytes in use here: 2,600 more are used below, of 8,576


def begin(agent):
    """Return agent.progress; make it when there is none.

    RuntimeError where the program left so little of the stack that littlefs, which asks nobody, would write
    beyond its end (memory.md, stack).
    """
    if micropython.stack_use() > _STACK_MOST:
        raise RuntimeError
    if agent.progress is None:
        agent.progress = [None] * 15
        agent.progress[P_BUFFER] = memoryview(bytearray(PIECE))
        restart(agent.progress, 0)
    return agent.progress


def restart(p, left):
    """Begin to read: a list, or a file, of so many bytes."""
    p[P_DIGEST], p[P_LEFT] = sha256(), left
    p[P_NUMBER] = p[P_FILLED] = p[P_SIZE] = p[P_BLOCKS] = 0
    p[P_PREVIOUS] = b""


def close(p):
    """Close the files: one that is open twice would be written twice."""
    for n in (P_LIST, P_SOURCE, P_TARGET):
        if p[n]:
            p[n].close()
            p[n] = None


def discard(p):
    """Close the files, and remove the list that listing.py kept."""
    close(p)
    try:
        os.remove(LIST_PART)
    except OSError:
        pass


def folder(n):
    """Return the name of a folder by its number."""
    return APP_FOLDERS[6 * n :][:6]


def receive(agent, view):
    """Fill the view from the response. False while something is missing."""
    r = agent.response
    if agent.views is None:
        r.wait_ms(len(view))
        agent.views = (view,)
    if not r.fill(agent.views):
        agent.waiting = True
        return False
    agent.views = None
    if r.got != len(view):
        raise LinkError(codes.CONNECTION_CLOSED, r.got)
    return True


def hash_piece(p):
    """Read and hash the next piece of p[P_SOURCE], of which p[P_LEFT] bytes are left. True at its end."""
    view = p[P_BUFFER][: min(p[P_LEFT], PIECE)]
    n = p[P_SOURCE].readinto(view) if view else 0
    p[P_DIGEST].update(view[:n])
    p[P_LEFT] -= n
    if n and p[P_LEFT]:
        return False
    p[P_SOURCE].close()
    p[P_SOURCE] = None
    return True
