# A list that names twoslot.pack: brings that file into the place of the pack that does not run, unless it is
# the one that runs. Before anything of the program changes. A stage of an update.
import os

from binascii import unhexlify

from twoslot import codes
from twoslot.application import port, progress, folder, record as records
from twoslot.application.progress import begin, discard, hash_piece, receive, restart
from twoslot.constants import (
    APP_PACK, APP_STARTS, P_BUFFER, P_DIGEST, P_ENTRY, P_LEFT, P_NUMBER, P_PHASE, P_SOURCE, P_TARGET, PIECE,
    STAGE_APP_PREPARATION, STAGE_REQUEST, STATE_FILES, STATE_PACK,
)  # fmt: skip
from twoslot.errors import FlashError, LinkError

_BEGIN, _RUNNING, _THERE, _ROOM, _GET = None, 1, 2, 3, 4


def step(agent):
    """Do the next piece. At the end agent.plan["pack"] is 1 or 2 for the new pack, None without one."""
    p, plan = begin(agent), agent.plan
    phase, spare = p[P_PHASE], 1 - port.pack()
    if phase == _BEGIN:
        p[P_ENTRY] = unhexlify(plan["pack"][0]), plan["pack"][1]
        _open(p, 1 - spare, _RUNNING)
    elif phase == _RUNNING:
        if not p[P_SOURCE] or hash_piece(p):
            if p[P_DIGEST].digest() == p[P_ENTRY][0]:
                _finish(agent, None)
            else:
                _open(p, spare, _THERE)
    elif phase == _THERE:
        if not p[P_SOURCE] or hash_piece(p):
            if p[P_DIGEST].digest() == p[P_ENTRY][0]:
                _finish(agent, spare + 1)
            elif p[P_NUMBER]:  # it was written just now
                os.remove(_name(spare))
                raise LinkError(codes.FILE_MISMATCH, 0)
            else:
                p[P_PHASE] = _ROOM
    elif phase == _ROOM:
        try:
            _make_room(plan, p[P_ENTRY][1], spare)
        except FlashError:
            discard(p)
            raise
        restart(p, p[P_ENTRY][1])
        agent.url, agent.span = "files/%s.file" % plan["pack"][0].decode(), (0, 0)
        p[P_PHASE], p[P_BUFFER] = _GET, None  # the request needs the memory
        agent.state, agent.stage = STATE_PACK, STAGE_REQUEST
    else:
        _write(agent, p, spare)


def _open(p, number, phase):
    # Begin to read a pack, if it is there and as long as it has to be.
    p[P_PHASE] = phase
    restart(p, p[P_ENTRY][1])
    try:
        if os.stat(_name(number))[6] == p[P_ENTRY][1]:
            p[P_SOURCE] = open(_name(number), "rb")
    except OSError:
        pass


def _make_room(plan, size, spare):
    # The record must not name the file that goes away, and both applications must fit beside both packs.
    record = records.load()
    if record[APP_STARTS]:
        raise FlashError(codes.NOT_CONFIRMED, 1)
    try:
        there = folder.blocks_of(os.stat(_name(spare))[6])
    except OSError:
        there = 0
    missing = folder.blocks_of(size) - plan["blocks"] - there
    if missing > 0:
        raise FlashError(codes.NO_ROOM, missing)
    if record[APP_PACK] != 1 - spare:
        record[APP_PACK] = 1 - spare
        records.save(record)
    if there:
        os.remove(_name(spare))


def _write(agent, p, spare):
    # Write the next piece; at the end all of it is read back.
    if not p[P_TARGET]:
        p[P_TARGET] = open(_name(spare), "wb")
        p[P_BUFFER] = memoryview(bytearray(PIECE))
    view = p[P_BUFFER][: min(p[P_LEFT], PIECE)]
    if not receive(agent, view):
        return
    p[P_TARGET].write(view)
    p[P_LEFT] -= len(view)
    if p[P_LEFT]:
        return
    progress.close(p)
    if not agent.response.idle:
        agent.source.close(agent)
    agent.written += 1
    agent.tries = 0
    _open(p, spare, _THERE)
    p[P_NUMBER] = 1


def _finish(agent, pack):
    agent.plan["pack"], agent.progress = pack, None
    agent.state, agent.stage = STATE_FILES, STAGE_APP_PREPARATION


def _name(number):
    return "/twoslot.pack2"[: 13 + number]
