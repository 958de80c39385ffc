# Reads all of the spare folder back, and compares it with the list; then the record says what it holds. A
# stage of an update.
import os

from binascii import unhexlify

from twoslot import codes
from twoslot.application import progress, file_list, folder, record as records
from twoslot.application.progress import hash_piece, restart
from twoslot.constants import (
    APP_ABI, APP_COUNTER, APP_DATA, APP_FIRMWARE, APP_NEXT_FLOOR, PACK_FILE, PHASE_GET, P_DIGEST, P_ENTRY,
    P_FOLDER, P_LIST, P_NUMBER, P_PHASE, P_PREVIOUS, P_RUNNING, P_SOURCE, STAGE_APP_ACTIVATION,
    STAGE_DOCUMENTS, STATE_RELEASE,
)  # fmt: skip
from twoslot.errors import LinkError

_OWN = 2  # files of twoslot in the folder: the list, the version


def step(agent):
    """Read the next piece back."""
    p = agent.progress
    if p[P_SOURCE]:
        if hash_piece(p) and p[P_DIGEST].digest() != unhexlify(p[P_ENTRY][0]):
            _refuse(p, p[P_NUMBER])
        return
    if not p[P_LIST]:
        restart(p, 0)
        p[P_LIST], p[P_RUNNING] = open(p[P_FOLDER] + "/twoslot.list", "rb"), p[P_DIGEST]
    line = p[P_LIST].readline()
    if line:
        p[P_RUNNING].update(line)
        p[P_NUMBER] += 1
        number, entry = p[P_NUMBER], file_list.parse(line[:-1], p[P_PREVIOUS])
        if not entry:
            _refuse(p, number)
        p[P_PREVIOUS] = entry[2]
        if entry[2] == PACK_FILE:
            p[P_PHASE] = 1  # a line whose file is not in the folder
            return
        try:
            name = p[P_FOLDER] + "/" + entry[2].decode()
            if os.stat(name)[6] != entry[1]:
                _refuse(p, number)
            p[P_SOURCE] = open(name, "rb")
        except OSError:
            _refuse(p, number)
        restart(p, entry[1])
        p[P_NUMBER], p[P_PREVIOUS], p[P_ENTRY] = number, entry[2], entry
        return
    p[P_LIST].close()
    plan, number = agent.plan, p[P_NUMBER]
    elsewhere = p[P_PHASE] or 0
    if p[P_RUNNING].digest() != plan["list"] or folder.count(p[P_FOLDER])[0] != number + _OWN - elsewhere:
        _refuse(p, 0)
    agent.progress = p = None
    describe(plan)
    agent.blocks_in_place = number, number
    if agent.head["next"]:
        # The firmware that it comes with is next.
        agent.head["mpy_abi"] = plan["mpy_abi"]
        agent.state, agent.stage, agent.phase = STATE_RELEASE, STAGE_DOCUMENTS, PHASE_GET
        agent.plan = None
    else:
        agent.stage = STAGE_APP_ACTIVATION


def describe(plan):
    """Have the record say what is in the spare folder, whole. It does not start yet."""
    record = records.load()
    n = plan["folder"] == "/app_b"
    record[APP_COUNTER + n], record[APP_DATA + n] = plan["counter"], plan["data"]
    record[APP_ABI + n] = plan["mpy_abi"]
    record[APP_FIRMWARE + 2 * n] = plan["firmware_low"]
    record[APP_FIRMWARE + 2 * n + 1] = plan["firmware_high"]
    record[APP_NEXT_FLOOR] = plan["floor"]
    records.save(record)


def _refuse(p, number):
    # Without its list the folder is emptied, and all of it brought anew.
    progress.close(p)
    os.remove(p[P_FOLDER] + "/twoslot.list")
    raise LinkError(codes.FILE_MISMATCH, number)
