# Downloads the block table of an image into the spare slot.
from twoslot import codes
from twoslot.constants import STAGE_SCAN, STATE_SCAN, TABLE_ENTRY
from twoslot.errors import LinkError
from twoslot.flash import Flash


def step(agent):
    """Download the next piece: a stage of an update."""
    from twoslot.image import writer, download

    progress = agent.progress
    n = progress["blocks"] * TABLE_ENTRY
    writer.allocate(progress, n)
    if not download.is_whole(agent, n):
        return
    if agent.response.got != n or writer.digest(progress, n) != agent.plan["blocks"]:
        raise LinkError(codes.TABLE_MISMATCH, 0)
    _compare(progress, writer.views(progress, n))
    writer.write(progress, progress["table"], n)
    progress["pieces"] = None
    agent.next, agent.state, agent.stage = 0, STATE_SCAN, STAGE_SCAN


def _compare(progress, pieces):
    # A block that has another entry in the table that lies there is missing: it need not be hashed to know
    # that. Should it be there all the same, it is made once more. A blank entry says nothing.
    flash, at, block = Flash(), progress["table"], 0
    for piece in pieces:
        before = bytearray(len(piece))
        flash.read(at, before)
        for i in range(0, len(piece), TABLE_ENTRY):
            entry = before[i : i + TABLE_ENTRY]
            if entry != piece[i : i + TABLE_ENTRY] and entry != b"\xff" * TABLE_ENTRY:
                progress["missing"][block >> 3] |= 1 << (block & 7)
                progress["left"] += 1
            block += 1
        at += len(piece)
