# Brings the image of a pushed release into the spare slot. The agent asks for pieces as it asks a server, and
# who pushes answers.
import gc

from micropython import const

import twoslot

from twoslot.errors import LinkError

_TABLE = const(3)  # states of the agent
_VERIFY = const(6)
_SEND_S = const(10)
_BLOCK = const(4096)
_MOST = const(16)  # blocks of a piece


def do(door, sock):
    """Carry out the agent's plan, piece by piece."""
    agent = twoslot.load()
    client = _Client(sock, agent)
    agent.state, agent.get = _TABLE, client.get
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

    def __init__(self, sock, agent):
        self.sock, self.agent = sock, agent
        self.answer = None

    def get(self, url, etag, span):
        """As the agent's: the Answer that brings these bytes of the image, or with (0, 0) the block table."""
        agent = self.agent
        if self.answer is None:
            from twoslot.http.response import Answer

            # Its first chunk, the document, was read before anything was judged.
            a = self.answer = Answer(self.sock, None)
            a.chunked, a.first, a.keep, a.status = True, False, False, 206
            a.close = gc.collect  # the connection is not the agent's to close
            a.ready()
        agent.answer = self.answer
        if span[1]:
            # In portions: who pushes sees by them how far it is.
            agent.until = min(agent.until, agent.next + _MOST)
            self.want("bytes=%d-%d" % (span[0], min(agent.until * _BLOCK, span[1]) - 1))
        else:
            self.want("blocks")
        return self.answer

    def want(self, what):
        """Say what is wanted next."""
        try:
            self.sock.settimeout(_SEND_S)
            self.sock.write(("HTTP/1.1 100 Continue\r\nTwoslot-Wants: %s\r\n\r\n" % what).encode())
            self.sock.settimeout(0)
        except OSError as e:
            raise LinkError(3, e.args[0])
