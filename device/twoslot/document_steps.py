# The steps of a document: the head, the release, new keys. Get it, check it, write down what is new.
# Loaded until the image begins: the buffer of a block needs the room.
from twoslot import drop
from twoslot.constants import (
    ACTION_REMEMBER, ACTION_SNAPSHOT, PHASE_END, PHASE_GET, PHASE_NOTE, PHASE_READ, PHASE_SUMS,
)  # fmt: skip


def step(agent):
    """Do the next step of the agent's stage."""
    stage = agent.stage
    if agent.facts is None:
        agent.action = ACTION_SNAPSHOT
    elif stage == PHASE_NOTE:
        agent.stage = PHASE_END
        if agent.news or agent.keys:
            agent.action = ACTION_REMEMBER
    elif stage == PHASE_END:
        refusal, agent.refusal, agent.stage = agent.refusal, None, PHASE_GET
        if refusal:
            raise refusal
    else:
        try:
            if stage == PHASE_GET:
                from twoslot.http import documents

                documents.step(agent)
            else:
                from twoslot.trust import verify

                verify.step(agent)
        finally:
            # A module that is dropped must not be held either: it holds its constants.
            documents = verify = None
            if agent.stage != stage and (stage, agent.stage) != (PHASE_READ, PHASE_SUMS):
                drop("http", "connection", "trust", "settings", "secret", "hmac")
