# Brings the image of a pushed release into the spare slot. The agent asks for pieces as it asks a server, and
# who pushes answers.
import gc

from micropython import const

import twoslot

from twoslot.errors import LinkError

_TABLE = const(3)  # states of the agent
_VERIFY = const(6)
_SEND_S = const(10)


def do(door, sock):
    """Carry out the agent's plan, piece by piece."""
    agent = twoslot.load()
    client = _Client(sock)
    agent.state, agent.client = _TABLE, client
    gc.collect()
    try:
        while agent.step():
            if agent.state == _VERIFY and not agent.next:
                client.want("nothing")
            elif agent.state > _VERIFY:
                client.answer = None  # an object keeps its class
            _busy(door)
    finally:
        if agent.state and agent.state <= _VERIFY:
            agent.end()


def _busy(door):
    # Whoever comes meanwhile is told so.
    other = door.knocked()
    if other:
        door.step("reply", other)
        other.close()


class _Client:
    """Who pushes, asked as a server is: an interim answer names a piece, the request's body brings it."""

    def __init__(self, sock):
        self.sock = sock
        self.answer = None

    def get(self, span):
        """Return the Answer that brings bytes span[0] to span[1] - 1 of the image, or the block table."""
        if self.answer is None:
            from twoslot.answer import Answer

            # Its first chunk, the document, was read before anything was judged.
            a = self.answer = Answer(self.sock, None)
            a.chunked, a.first, a.keep, a.status = True, False, False, 206
            a.ready()
        self.want("bytes=%d-%d" % (span[0], span[1] - 1) if span[1] else "blocks")
        return self.answer

    def want(self, what):
        """Say what is wanted next."""
        try:
            self.sock.settimeout(_SEND_S)
            self.sock.write(("HTTP/1.1 100 Continue\r\nTwoslot-Wants: %s\r\n\r\n" % what).encode())
            self.sock.settimeout(0)
        except OSError as e:
            raise LinkError(3, e.args[0])
