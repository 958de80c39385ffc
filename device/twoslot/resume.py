# Where an attempt goes on that broke off: a connection was lost, or somebody pressed Ctrl-C. A document is
# asked for again; of the image, the blocks that are in place stay in place.
from twoslot.constants import (
    PHASE_GET, STAGE_APP_LISTING, STAGE_APP_PREPARATION, STAGE_CHOICE, STAGE_FACTS, STAGE_HOOK_LINE,
    STAGE_SCAN, STAGE_SPARE, STATE_ACTIVATE, STATE_APP, STATE_DONE, STATE_DOWNLOAD, STATE_HEAD, STATE_LIST,
    STATE_PACK, STATE_TABLE,
)  # fmt: skip


def step(agent):
    """Set the stage that fits the agent's state."""
    # A response that stopped inside a block or a document is of no use.
    agent.request = agent.text = agent.views = agent.url = agent.address = None
    if agent.source:
        agent.source.close(agent)
    if agent.state >= STATE_LIST:
        # Of an application, the files that are whole stay.
        if agent.progress:
            from twoslot.application import progress

            progress.close(agent.progress)
            agent.progress = None
        if agent.state == STATE_PACK:
            agent.state = STATE_LIST
        agent.stage = STAGE_APP_LISTING if agent.state == STATE_LIST else STAGE_APP_PREPARATION
    elif agent.state < STATE_TABLE or agent.state == STATE_APP:
        agent.phase, agent.etag, agent.stage = PHASE_GET, None, STAGE_FACTS
        agent.state, agent.key_epoch, agent.refusal = STATE_HEAD, 0, None
    elif agent.state == STATE_DONE:
        agent.stage = None
    elif not agent.place:
        agent.stage = STAGE_HOOK_LINE  # the spare slot is not touched before boot.py was looked at
    elif agent.state == STATE_ACTIVATE:
        agent.stage = STAGE_SPARE
    else:
        agent.stage = STAGE_CHOICE if agent.state == STATE_DOWNLOAD else STAGE_SCAN
