# Gets the image of a pushed release into the spare slot. The agent asks for pieces as it asks a
# server, and the client that pushes sends them.
import gc

from micropython import const

import twoslot

from twoslot import codes
from twoslot.constants import BLOCK, SEND_S, STAGE_HOOK_LINE, STATE_IDLE, STATE_TABLE, STATE_VERIFY
from twoslot.errors import LinkError

_BLOCKS = const(16)  # in a piece


def handle(listener, sock):
    """Carry out the agent's plan, piece by piece."""
    agent = twoslot.load_agent()
    source = PushSource(sock)
    agent.state, agent.stage, agent.source = STATE_TABLE, STAGE_HOOK_LINE, source
    gc.collect()
    try:
        state = agent.state
        while agent.step():
            before, state = state, agent.state
            if state == STATE_VERIFY and before != state:
                source.request("nothing")
            elif agent.state > STATE_VERIFY:
                source.body = agent.response = None  # an object keeps its class
            _refuse_others(listener)
    finally:
        agent.source = agent.response = None
        if agent.state <= STATE_VERIFY:
            agent.stage, agent.state = None, STATE_IDLE


def _refuse_others(listener):
    # Tell whoever comes meanwhile that the board is busy.
    other = listener.accept()
    if other:
        listener.run_step("reply", other)
        other.close()


class PushSource:
    """The source of a pushed update: an interim response asks for a piece, the request has it."""

    def __init__(self, sock):
        self.sock = sock
        self.body = None  # the Response that all pieces are read from

    def get(self, agent, url, etag, span):
        """Ask for these bytes of the image, or with (0, 0) for the block table.

        Returns nothing that must be waited for; agent.response has them.
        """
        if self.body is None:
            from twoslot.http import response, lines, request

            # Its first chunk, the document, was read before anything was checked.
            r = self.body = response.Response(self.sock, None)
            request.begin(r)
            r.chunked, r.stage, r.status = True, 1, 206
            request.head_complete(r)
            request = None
            twoslot.drop("http.request")
        agent.response = self.body
        agent.response.start = span[0]
        if span[1]:
            # In portions: they show the client how far the board is.
            agent.until = min(agent.until, agent.next + _BLOCKS)
            self.request("bytes=%d-%d" % (span[0], min(agent.until * BLOCK, span[1]) - 1))
        else:
            self.request("blocks")
        return ()

    def close(self, agent):
        """Forget the response. The connection stays the listener's, which answers over it."""
        agent.response = None
        gc.collect()

    def request(self, what):
        """Ask the client for the next piece."""
        try:
            self.sock.settimeout(SEND_S)
            self.sock.write(("HTTP/1.1 100 Continue\r\nTwoslot-Wants: %s\r\n\r\n" % what).encode())
            self.sock.settimeout(0)
        except OSError as e:
            raise LinkError(codes.CONNECTION_FAILED, e.args[0])
