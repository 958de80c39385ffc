# Downloads the block table of an image into the spare slot.
from twoslot import codes
from twoslot.constants import STAGE_SCAN, STATE_SCAN, TABLE_ENTRY
from twoslot.errors import LinkError


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
    writer.write(progress, progress["table"], n)
    progress["pieces"] = None
    agent.next, agent.state, agent.stage = 0, STATE_SCAN, STAGE_SCAN
