# Collects a request at the push port from call to call, and never waits: whoever sends it is a
# stranger, and must not hold up the application.
import time

from micropython import const

_STRANGER_MS = const(2000)  # from the connection to the end of the request
_REQUEST_MOST = const(1536)  # bytes of the request's head
_LINES = const(33)  # of the head
_PIECE = const(128)
_NEXT = const("authentication")


def handle(listener, sock):
    """Take in what has come: of the request's head, then of the document into listener.text.

    Returns what comes next: authentication, when either is whole, or can be no request, or is late; else
    this again.
    """
    listener.gone = listener.late = False
    n, piece = 1, memoryview(bytearray(_PIECE))
    while n:
        if listener.text:
            piece = listener.text[listener.got :]
            if not len(piece):
                return _NEXT
        try:
            n = sock.readinto(piece)
        except OSError:
            n = 0
        if n and listener.text:
            listener.got += n
        elif n:
            listener.head += bytes(piece[:n])
            if _is_whole(listener.head):
                return _NEXT
    listener.gone = n == 0
    listener.late = n is None and time.ticks_diff(time.ticks_ms(), listener.begun) >= _STRANGER_MS
    if listener.late:
        listener.slow, listener.slow_at = listener.peer, time.ticks_ms()
    return _NEXT if listener.late or listener.gone else "request"


def _is_whole(head):
    # Also when it can be none: authentication.py says why.
    line = head.find(b"\n")
    wrong = line >= 0 and head[:line].find(b" HTTP/1.") < 0
    return wrong or len(head) > _REQUEST_MOST or head.find(b"\n\r\n") > 0 or head.count(b"\n") > _LINES
