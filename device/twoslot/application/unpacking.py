# Brings the files of the list into the spare folder, one after another: those that are there stay, those that
# the running application has are copied, all others are downloaded. A stage of an update.
import os

from binascii import unhexlify

from twoslot import codes
from twoslot.application import progress, file_list, folder
from twoslot.application.progress import hash_piece, receive, restart
from twoslot.constants import (
    PACK_FILE, PIECE, P_BUFFER, P_DIGEST, P_ENTRY, P_FILLED, P_FOLDER, P_LEFT, P_NUMBER, P_PHASE, P_PREVIOUS,
    P_RUNNING, P_SOURCE, P_TARGET, STAGE_APP_VERIFICATION, STAGE_REQUEST,
)  # fmt: skip
from twoslot.errors import LinkError, ReleaseError

_NEXT, _THERE, _RUNNING, _COPY, _ASK, _GET = None, 1, 2, 3, 4, 5


def step(agent):
    """Do the next piece of the next file."""
    p = agent.progress
    phase = p[P_PHASE]
    if phase == _NEXT:
        _next_file(agent, p)
    elif phase == _THERE or phase == _RUNNING:
        if hash_piece(p):
            same = p[P_DIGEST].digest() == unhexlify(p[P_ENTRY][0])
            if phase == _THERE:
                if same:
                    p[P_PHASE] = _NEXT
                else:
                    _open(p, p[P_RUNNING], _RUNNING, _ASK)
            elif same:
                _open(p, p[P_RUNNING], _COPY, _ASK)
            else:
                p[P_PHASE] = _ASK
    elif phase == _ASK and not p[P_ENTRY][1]:
        p[P_PHASE] = _GET  # an empty file: there is nothing to ask for
        _restart_file(p)
    elif phase == _ASK:
        agent.url, agent.span = "files/%s.file" % p[P_ENTRY][0].decode(), (0, 0)
        p[P_PHASE] = _GET
        _restart_file(p)
        p[P_BUFFER] = None  # the request needs the memory
        agent.stage = STAGE_REQUEST
    else:
        _put(agent, p, phase == _COPY)


def _next_file(agent, p):
    with open(p[P_FOLDER] + "/twoslot.list", "rb") as f:  # an open file takes memory
        f.seek(p[P_FILLED])
        line = f.readline()
    p[P_FILLED] += len(line)
    if not line:
        agent.blocks_in_place = p[P_NUMBER], p[P_NUMBER]
        agent.stage = STAGE_APP_VERIFICATION
        return
    p[P_NUMBER] += 1
    agent.blocks_in_place = p[P_NUMBER] - 1, agent.plan["files"]
    entry = p[P_ENTRY] = file_list.parse(line[:-1], p[P_PREVIOUS])
    if not entry:
        raise ReleaseError(codes.FILE_LIST, p[P_NUMBER])
    p[P_PREVIOUS] = entry[2]
    if entry[2] == PACK_FILE:
        return
    if not _open(p, p[P_FOLDER], _THERE, _NEXT):
        _open(p, p[P_RUNNING], _RUNNING, _ASK)


def _open(p, where, phase, otherwise):
    # Open the file of the entry below a folder, if it is there and as long as it has to be.
    try:
        if where:
            name = where + "/" + p[P_ENTRY][2].decode()
            if os.stat(name)[6] == p[P_ENTRY][1]:
                p[P_SOURCE] = open(name, "rb")
                _restart_file(p)
                p[P_PHASE] = phase
                return True
    except OSError:
        pass
    p[P_PHASE] = otherwise
    return False


def _restart_file(p):
    place = p[P_NUMBER], p[P_PREVIOUS], p[P_FILLED]
    restart(p, p[P_ENTRY][1])
    p[P_NUMBER], p[P_PREVIOUS], p[P_FILLED] = place


def _put(agent, p, copy):
    # Write the next piece, from the running application or from the server.
    name = p[P_FOLDER] + "/" + p[P_ENTRY][2].decode()
    if not p[P_TARGET]:
        folder.make_parents(name)
        p[P_TARGET] = open(name, "wb")
    if not p[P_BUFFER]:
        p[P_BUFFER] = memoryview(bytearray(PIECE))
    view = p[P_BUFFER][: min(p[P_LEFT], PIECE)]
    if copy:
        n = p[P_SOURCE].readinto(view) if view else 0
        view = view[:n]
        if not n:
            p[P_LEFT] = 0
    elif view and not receive(agent, view):
        return
    p[P_DIGEST].update(view)
    p[P_TARGET].write(view)
    p[P_LEFT] -= len(view)
    if p[P_LEFT] > 0:
        return
    p[P_TARGET].close()
    p[P_TARGET] = None
    if copy:
        p[P_SOURCE].close()
        p[P_SOURCE] = None
    elif agent.response and not agent.response.idle:
        agent.source.close(agent)  # it sends more than the file has, or ends with the connection
    agent.written += 1
    agent.tries = 0
    p[P_PHASE] = _NEXT
    if p[P_DIGEST].digest() != unhexlify(p[P_ENTRY][0]):
        if not copy:
            os.remove(name)
            raise LinkError(codes.FILE_MISMATCH, p[P_NUMBER])
        p[P_PHASE] = _ASK
