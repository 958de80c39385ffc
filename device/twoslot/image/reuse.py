# Copies blocks from the running slot's image into the spare slot, where both releases have the same block at
# the same place. The running slot's block table only says where to try: the digest of what was read decides.
from twoslot.constants import BLOCK, STAGE_CHOICE, STAGE_SCAN, STATE_VERIFY, TABLE_ENTRY
from twoslot.errors import LinkError
from twoslot.flash import Flash


def step(agent):
    """Copy the next block if it is missing and the running slot has it: a stage of an update."""
    from twoslot.image import writer, download

    progress, block = agent.progress, agent.next
    if block == progress["blocks"] or not progress["left"]:
        agent.next = 0
        progress["pieces"] = None
        agent.stage = STAGE_CHOICE
        if not progress["left"]:
            agent.state, agent.stage = STATE_VERIFY, STAGE_SCAN
        return
    agent.next += 1
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
