# Reads the file list from the server, line by line: whether it is the signed one, and whether there is room
# for its files. Nothing is written but the list, where there is room for that. A stage of an update.
import os

from binascii import hexlify

from twoslot import codes
from twoslot.application import progress, file_list, folder
from twoslot.application.progress import begin, close, discard, receive, restart
from twoslot.constants import (
    LIST_PART, PACK_FILE, P_BLOCKS, P_BUFFER, P_DIGEST, P_ENTRY, P_FILLED, P_LEFT, P_NUMBER, P_PREVIOUS,
    P_RUNNING, P_SIZE, P_TARGET, STAGE_APP_PACK, STAGE_APP_PREPARATION, STAGE_REQUEST, STATE_FILES,
)  # fmt: skip
from twoslot.errors import FlashError, ReleaseError, TwoslotError

_RESERVE = 6  # blocks that stay free: for the records, and for littlefs to move its own


def step(agent):
    """Read the next piece of the list."""
    plan = agent.plan
    if agent.response is None:
        agent.progress = None
        restart(begin(agent), plan["list_length"])
        agent.url, agent.span = "lists/%s.list" % hexlify(plan["list"]).decode(), (0, 0)
        agent.stage = STAGE_REQUEST
        return
    p = agent.progress
    if agent.views is None and not p[P_NUMBER]:
        discard(p)
        if _free() > folder.blocks_of(plan["list_length"]) + _RESERVE:
            p[P_TARGET] = open(LIST_PART, "wb")  # else it comes once more
    filled = p[P_FILLED]
    view = p[P_BUFFER][filled : min(filled + p[P_LEFT], len(p[P_BUFFER]))]
    if not receive(agent, view):
        return
    p[P_DIGEST].update(view)
    if p[P_TARGET]:
        p[P_TARGET].write(view)
    p[P_LEFT] -= len(view)
    try:
        _read_lines(p, filled + len(view))
        if p[P_LEFT]:
            return
        agent.source.close(agent)
        if p[P_DIGEST].digest() != plan["list"] or p[P_FILLED]:
            raise ReleaseError(codes.FILE_LIST, 0)
        if (p[P_NUMBER], p[P_SIZE]) != (plan["files"], plan["length"]) or not p[P_ENTRY]:
            raise ReleaseError(codes.FILE_LIST, 0)
        kept = folder.blocks_of(plan["list_length"]) if p[P_TARGET] else 0
        close(p)
        _check_room(agent, p[P_BLOCKS] + 4 - kept)
    except TwoslotError:
        discard(p)
        raise
    agent.plan["pack"] = pack = agent.plan["pack"] and p[P_RUNNING]
    agent.progress = None
    agent.state, agent.stage = STATE_FILES, STAGE_APP_PACK if pack else STAGE_APP_PREPARATION


def _free():
    # Return the free blocks of 4 KB.
    s = os.statvfs("/")
    return s[3] * s[0] // 4096


def _read_lines(p, end):
    # Check the whole lines in the buffer; what is left of it comes to its start.
    text, at = bytes(p[P_BUFFER][:end]), 0
    while True:  # ends with the last line break
        stop = text.find(b"\n", at)
        if stop < 0:
            break
        p[P_NUMBER] += 1
        entry = file_list.parse(text[at:stop], p[P_PREVIOUS])
        if not entry:
            raise ReleaseError(codes.FILE_LIST, p[P_NUMBER])
        _add(p, entry)
        at = stop + 1
    if end - at == len(p[P_BUFFER]):
        raise ReleaseError(codes.FILE_LIST, p[P_NUMBER] + 1)
    p[P_BUFFER][: end - at] = text[at:]
    p[P_FILLED] = end - at


def _add(p, entry):
    # A folder that the file before did not need takes two blocks.
    path, before = entry[2], p[P_PREVIOUS]
    p[P_SIZE] += entry[1]
    p[P_PREVIOUS] = path
    if path == PACK_FILE:
        p[P_RUNNING] = entry  # of twoslot: it does not come into the folder (pack.py)
        return
    at = path.find(b"/")
    while at > 0:
        if not before.startswith(path[: at + 1]):
            p[P_BLOCKS] += 2
        at = path.find(b"/", at + 1)
    p[P_BLOCKS] += folder.blocks_of(entry[1])
    if path == b"main.py":
        p[P_ENTRY] = True


def _check_room(agent, blocks):
    # Both applications must fit; what lies in the spare folder goes away first.
    missing = blocks + _RESERVE - _free() - folder.count(agent.plan["folder"])[1]
    agent.plan["blocks"] = -missing  # that stay free
    if missing > 0:
        raise FlashError(codes.NO_ROOM, missing)
