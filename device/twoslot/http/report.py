# Tells the server what telemetry.py noticed: a stage of an attempt, before its documents and now and then in
# a download. Whatever comes of it, the attempt goes on.
import gc
import json
import machine
import network
import sys

from micropython import const

from twoslot import codes, drop
from twoslot.constants import (
    EVENT_DOWNLOAD, EVENT_START, STAGE_DOCUMENTS, TELEMETRY, T_BODY, T_CODE, T_EVENT, T_NEXT, T_NUMBER,
    T_REFUSED, T_START, T_WHERE,
)  # fmt: skip
from twoslot.errors import LinkError

_TRACE = const(240)  # bytes of the file
_BOARD = const(32)  # characters of the setting


def step(agent):
    """Send what waits, one report after the other."""
    state = sys.modules[TELEMETRY].state
    if agent.identity is None:
        # All that it needs, from this frame: it is high up on the stack.
        from twoslot.http import documents

        documents.step(agent)  # this loads the identity, and nothing else
        return
    waits = state[T_BODY] or state[T_EVENT]
    if not agent.identity or state[T_REFUSED] or not waits:
        return _go_on(agent, state)
    if agent.request is None:
        if not agent.address or agent.server[7:].split("/")[0] != agent.address[0]:
            from twoslot import resolver

            resolver.look_up(agent, agent.server)
            return
        board = None
        if not state[T_BODY]:
            from twoslot import settings

            board = settings.load()["board"]
            drop("settings")
        from twoslot import hmac
        from twoslot.http import response, lines, connection, request, identity

        if board is not None:
            state[T_BODY] = _compose(agent, state, board)
        agent.source = response
        agent.request = request.get(
            agent, agent.server, "report", None, 0, 0, agent.identity, state[T_BODY])
    status = 200
    try:
        for _ in agent.request:
            agent.waiting = True
            return
    except LinkError as e:
        status = e.args[1] if e.args[0] in (codes.HTTP_STATUS, codes.IDENTITY_REFUSED) else 0
    agent.request = None
    if status in (200, 400, 413):
        state[T_BODY] = None  # it was taken, or will never be
    elif status in (401, 403, 404, 405, 501):
        state[T_REFUSED], state[T_BODY] = True, None
    elif status != 200:
        _go_on(agent, state)  # the same one comes in the next attempt


def _go_on(agent, state):
    if agent.source:
        agent.source.close(agent)  # its module is dropped, too
        agent.source = None
    agent.stage, state[T_NEXT] = state[T_NEXT] or STAGE_DOCUMENTS, None


def _compose(agent, state, board):
    # The next report. What is told here waits no longer.
    event, state[T_EVENT] = state[T_EVENT], 0
    state[T_NUMBER] += 1
    done, blocks = agent.blocks_in_place if event == EVENT_DOWNLOAD else (0, 0)
    more, facts = "", agent.facts
    if event != EVENT_DOWNLOAD:  # that changes the spare slot
        more = ',"board":%s' % _quoted(board.encode()[:_BOARD], 63)
        if facts["size"]:  # without a loader there are no slots
            more += ',"slot":%d,"spare":%d' % (facts["slot"], facts["spare"])
    if event == EVENT_START:
        try:
            with open("/twoslot.why", "rb") as f:
                more += ',"trace":%s' % _quoted(f.read(_TRACE), 10)
        except OSError:
            pass
    gc.collect()
    report = (
        '{"start":%d,"number":%d,"event":%d,"code":%d,"where":%d,"counter":%d,"done":%d,"blocks":%d,'
        '"free":%d,"rssi":%d,"reset":%d%s}'
    ) % (
        state[T_START], state[T_NUMBER], event, state[T_CODE], state[T_WHERE],
        agent.plan["counter"] if agent.plan else 0, done, blocks, gc.mem_free(),
        network.WLAN(network.STA_IF).status("rssi"), machine.reset_cause(), more,
    )  # fmt: skip
    state[T_CODE] = state[T_WHERE] = 0
    return report.encode()


def _quoted(raw, line):
    # A JSON string: printable ASCII, and the byte `line`.
    return json.dumps(bytes([b if 31 < b < 127 or b == line else 63 for b in raw]).decode())
