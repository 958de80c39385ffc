# Downloads into the spare slot: the block table, then the blocks that are missing.
from twoslot import codes
from twoslot.constants import BLOCK, STATE_DOWNLOAD, STATE_SCAN, STATE_TABLE, STATE_VERIFY, TABLE_ENTRY
from twoslot.errors import LinkError
from twoslot.image import writer


def step(agent):
    """Download the next piece; return the agent's next state.

    It sets agent.url when it must ask for it first, and agent.waiting when nothing came.
    """
    writer.allocate(agent.progress)
    return (_download_block if agent.state == STATE_DOWNLOAD else _download_table)(agent, agent.progress)


def _is_whole(agent, size):
    # Get size bytes into the buffer: False while some are missing.
    if agent.views is None:
        agent.response.wait_ms(size)
        agent.views = writer.views(agent.progress, size)
    if not agent.response.fill(agent.views):
        agent.waiting = True
        return False
    agent.views = None
    return True


def _download_table(agent, progress):
    n = progress["blocks"] * TABLE_ENTRY
    if not _is_whole(agent, n):
        return STATE_TABLE
    if agent.response.got != n:
        raise LinkError(codes.TABLE_MISMATCH, 0)
    writer.write_table(progress, agent.plan["blocks"])
    agent.next = 0
    return STATE_SCAN


def _download_block(agent, progress):
    response, block = agent.response, agent.next
    if response is None or block >= agent.until:
        first, agent.until = writer.next_missing_run(progress)
        agent.next = first
        agent.url = agent.plan["url"]
        agent.span = first * BLOCK, min(agent.until * BLOCK, progress["length"])
        return STATE_DOWNLOAD
    size = writer.block_size(progress, block)
    whole = False
    try:
        if not _is_whole(agent, size):
            whole = True
            return STATE_DOWNLOAD
        n = response.got
        agent.bytes += n
        if n != size:
            raise LinkError(codes.CONNECTION_CLOSED, n)
        if writer.is_missing(progress, block):
            writer.write_block(progress, block)
            agent.written += 1
            agent.tries = 0
        agent.next += 1
        whole = True
    finally:
        # Also after Ctrl-C: a response that stopped inside a block is of no use.
        if not whole:
            agent.views = None
            agent.source.close(agent)
    if progress["left"]:
        return STATE_DOWNLOAD
    agent.source.close(agent)
    agent.next = 0
    return STATE_VERIFY
