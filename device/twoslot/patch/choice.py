# Where the missing blocks come from. First from the running slot, which has some of them at the same place;
# then from a patch of the running image, from the whole image deflated, or from the image itself. What fails
# is not tried again in this attempt, and what comes next in that order takes its place.
from twoslot import codes, drop
from twoslot.constants import (
    BLOCK, PATCH_TRIES, STAGE_DOWNLOAD, STAGE_PATCH, STAGE_SCAN, STATE_VERIFY, TABLE_ENTRY,
)  # fmt: skip
from twoslot.errors import LinkError
from twoslot.flash import Flash


def step(agent):
    """Copy the next block, or ask for a patch and go on with it if it is shorter: a stage of an update."""
    ways, progress = agent.plan["encodings"], agent.progress
    if progress["tries"] is None:
        from twoslot.image import writer, download

        if agent.next < progress["blocks"] and progress["left"]:
            copy(agent, progress, agent.next, writer)
            agent.next += 1
        else:
            agent.next = progress["tries"] = 0
            progress["pieces"] = writer = None
            drop("image")
        return
    if not progress["left"]:
        agent.next, agent.state, agent.stage = 0, STATE_VERIFY, STAGE_SCAN
        return
    if not ways or agent.pushed is not None:
        agent.stage = STAGE_DOWNLOAD
        return
    if agent.request is None:
        if progress["tries"] == PATCH_TRIES:
            remove(agent)
            return
        progress["tries"] += 1
    try:
        if agent.request is None:
            # All that a request needs, from this frame: it is high up on the stack.
            from twoslot import connection
            from twoslot.http import response, lines, request

            if agent.identity:
                from twoslot import hmac
                from twoslot.http import identity
            agent.source = response
            new, old = [sha[:16].hex() for sha in (agent.plan["sha256"], agent.place[4])]
            name = "patches/%s-%s.patch" if ways[0] == "patch" else "patches/%s.patch"
            agent.request = response.get(agent, name % ((new, old) if ways[0] == "patch" else new))
        for _ in agent.request:
            agent.waiting = True
            return
    except (LinkError, MemoryError) as e:
        if isinstance(e, LinkError) and e.args[0] not in (codes.HTTP_STATUS, codes.REDIRECT):
            raise
        remove(agent)  # there is none
        return
    finally:
        if not agent.waiting:
            drop("http.request", "http.identity", "connection", "hmac")
    agent.request = None
    if agent.response.unsized or agent.response.left >= progress["left"] * BLOCK:
        remove(agent)
    else:
        agent.stage = STAGE_PATCH


def copy(agent, progress, block, writer):
    """Copy the block if it is missing and the running slot has it.

    The running slot's block table only says where to try: the digest of what was read decides.
    """
    if not writer.is_missing(progress, block):
        return
    flash, new, old = Flash(), bytearray(TABLE_ENTRY), bytearray(TABLE_ENTRY)
    flash.read(progress["table"] + block * TABLE_ENTRY, new)
    flash.read(agent.place[3] + block * TABLE_ENTRY, old)
    if new != old:
        return
    writer.allocate(progress, BLOCK)
    at = agent.place[2] + block * BLOCK
    # flash_read stores whole words.
    for view in writer.views(progress, writer.block_size(progress, block) + 3 & ~3):
        flash.read(at, view)
        at += len(view)
    try:
        writer.write_block(progress, block)
    except LinkError:
        return  # it is not what the table says: it stays missing
    agent.blocks_in_place = progress["blocks"] - progress["left"], progress["blocks"]
    agent.written += 1


def remove(agent):
    """Remove the first way: it is of no use."""
    agent.plan["encodings"].pop(0)
    agent.progress["tries"] = 0
    agent.request = None
    if agent.source:
        agent.source.close(agent)
