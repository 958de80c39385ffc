# Downloads the blocks that are missing into the spare slot. table.py got the block table.
from twoslot import codes
from twoslot.constants import BLOCK, STAGE_REQUEST, STAGE_SCAN, STATE_VERIFY
from twoslot.errors import LinkError
from twoslot.image import writer


def is_whole(agent, size):
    """Get size bytes into the buffer. False while some are missing."""
    if agent.views is None:
        agent.response.wait_ms(size)
        agent.views = writer.views(agent.progress, size)
    if not agent.response.fill(agent.views):
        agent.waiting = True
        return False
    agent.views = None
    return True


def step(agent):
    """Download the next piece of the image: a stage of an update. True behind a block."""
    progress, response, block = agent.progress, agent.response, agent.next
    if response is None or block >= agent.until:
        first, agent.until = writer.next_missing_run(progress)
        agent.next = first
        agent.url = agent.plan["url"]
        agent.span = first * BLOCK, min(agent.until * BLOCK, progress["length"])
        progress["pieces"] = None
        agent.stage = STAGE_REQUEST
        return
    writer.allocate(progress, BLOCK)
    size = writer.bytes_of_block(progress, block)
    whole = False
    try:
        if not is_whole(agent, size):
            whole = True
            return
        n = response.got
        if n != size:
            raise LinkError(codes.CONNECTION_CLOSED, n)
        if writer.is_missing(progress, block):
            writer.write_block(progress, block)
            agent.blocks_in_place = progress["blocks"] - progress["left"], progress["blocks"]
            agent.written += 1
            agent.tries = 0
        agent.next += 1
        whole = True
    finally:
        # Also after Ctrl-C: a response that stopped inside a block is of no use.
        if not whole:
            agent.views = None
            agent.source.close(agent)
    if not progress["left"]:
        agent.source.close(agent)
        progress["pieces"] = None
        agent.next, agent.state, agent.stage = 0, STATE_VERIFY, STAGE_SCAN
    return True
