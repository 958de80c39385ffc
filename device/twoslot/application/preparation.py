# The spare folder: the record calls it empty, then it is emptied, and the file list comes to lie in it. A
# stage of an update.
import os

from binascii import hexlify

from twoslot import codes
from twoslot.application import progress, record as records, folder
from twoslot.application.progress import begin, discard, hash_piece, receive, restart
from twoslot.constants import (
    APP_ACTIVE, APP_COUNTER, APP_LIST, APP_STATE, LIST_PART, PIECE, P_BUFFER, P_DIGEST, P_FOLDER, P_LEFT,
    P_PHASE, P_RUNNING, P_SOURCE, P_TARGET, SLOT_EMPTY, STAGE_APP_FILES, STAGE_APP_PATCH, STAGE_REQUEST,
    STATE_UNPACK,
)  # fmt: skip
from twoslot.errors import LinkError

_BEGIN, _LOOK, _EMPTY, _GET = None, 1, 2, 3


def step(agent):
    """Do the next piece: declare it empty; unless its list is there already, empty it and get the list."""
    p, plan = begin(agent), agent.plan
    phase = p[P_PHASE]
    if phase == _BEGIN:
        p[P_FOLDER], p[P_RUNNING] = plan["folder"], plan["running"]
        declare_empty(plan)
        p[P_PHASE] = _LOOK
        try:
            p[P_SOURCE] = open(p[P_FOLDER] + "/twoslot.list", "rb")
            restart(p, plan["list_length"] + 1)
        except OSError:
            p[P_PHASE] = _EMPTY
    elif phase == _LOOK:
        if hash_piece(p):
            if p[P_LEFT] == 1 and p[P_DIGEST].digest() == plan["list"]:
                # It was written into the empty folder: what else is there was unpacked by this list.
                discard(p)
                restart(p, 0)
                p[P_PHASE], agent.state, agent.stage = None, STATE_UNPACK, STAGE_APP_FILES
                return
            os.remove(p[P_FOLDER] + "/twoslot.list")
            p[P_PHASE] = _EMPTY
    elif phase == _EMPTY:
        try:
            if folder.remove_one(p[P_FOLDER]):
                return
        except OSError as e:
            if e.args[0] != 2:
                raise
        folder.make_parents(p[P_FOLDER] + "/")
        with open(p[P_FOLDER] + "/twoslot.version", "w") as f:
            f.write(plan["version"])
        p[P_PHASE] = _GET
        restart(p, plan["list_length"])
        try:
            p[P_SOURCE] = open(LIST_PART, "rb")
        except OSError:
            # listing.py had no room for it, or this attempt goes on later.
            agent.url, agent.span = "lists/%s.list" % hexlify(plan["list"]).decode(), (0, 0)
            agent.stage = STAGE_REQUEST
    else:
        if not p[P_TARGET]:
            p[P_TARGET] = open(p[P_FOLDER] + "/twoslot.list", "wb")
        view = p[P_BUFFER][: min(p[P_LEFT], PIECE)]
        if p[P_SOURCE]:
            p[P_SOURCE].readinto(view)
        elif not receive(agent, view):
            return
        p[P_DIGEST].update(view)
        p[P_TARGET].write(view)
        p[P_LEFT] -= len(view)
        if p[P_LEFT]:
            return
        if not p[P_SOURCE]:
            agent.source.close(agent)
        discard(p)
        if p[P_DIGEST].digest() != plan["list"]:
            os.remove(p[P_FOLDER] + "/twoslot.list")
            raise LinkError(codes.FILE_MISMATCH, 0)
        restart(p, 0)
        p[P_PHASE], agent.state, agent.stage = None, STATE_UNPACK, STAGE_APP_FILES
        if plan.get("ways") and agent.pushed is None:
            agent.stage = STAGE_APP_PATCH  # once: an attempt that goes on later finds the list in place


def declare_empty(plan):
    """Have the record say that nothing in the spare folder may start: before the first file of it changes."""
    record = records.load()
    n = plan["folder"] == "/app_b"
    digest = plan["list"][:7]
    if (record[APP_STATE + n], record[APP_COUNTER + n], record[APP_LIST + n]) == (SLOT_EMPTY, 0, digest):
        return
    record[APP_STATE + n], record[APP_COUNTER + n], record[APP_LIST + n] = SLOT_EMPTY, 0, digest
    if record[APP_ACTIVE] == n:
        record[APP_ACTIVE] = 2 if plan["running"] is None else 1 - n
    records.save(record)
