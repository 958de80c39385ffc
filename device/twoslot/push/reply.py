# The answers at the door of push/listener.py.
from micropython import const

import twoslot

from twoslot.errors import LinkError

_SEND_S = const(10)


def do(door, sock):
    """Answer with the refusal door.error: its code and place; 0 at 0: no memory, 0 at 1: a defect of ours."""
    e = door.error
    if e is None:
        e = LinkError(55, 0)
        try:
            sock.settimeout(1)
            sock.recv(512)  # what is not read would take the answer with it
        except OSError:
            pass  # then it has no answer
    twoslot.keep(e)
    code, where = e.args[:2] if len(e.args) > 1 else (0, 0 if isinstance(e, MemoryError) else 1)
    status = 500
    if code == 55:
        status = 503
    elif code == 53 or code == 54:
        status = 401
    elif 20 <= code < 50:
        status = 403
    elif 0 < code < 55:
        status = 400
    say(sock, status, "%d at %d" % (code, where))


def say(sock, status, text):
    """Answer a request: a status, and one line."""
    head = "HTTP/1.1 %d \r\nConnection: close\r\nContent-Length: %d\r\n" % (status, len(text) + 1)
    if status == 401:
        head += "WWW-Authenticate: Twoslot\r\n"
    try:
        sock.settimeout(_SEND_S)
        sock.write((head + "\r\n" + text + "\n").encode())
    except OSError:
        pass  # who asked is gone, and will ask again
