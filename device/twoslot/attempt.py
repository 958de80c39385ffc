# The beginning of an attempt: everything that its stages leave to one another. Loaded for that only.
import gc
import micropython

from micropython import const

import twoslot

from twoslot import settings
from twoslot.constants import PHASE_GET, STAGE_FACTS, STATE_HEAD

_STAGES = const(18000)  # bytes that the stages need from here on, those of a patch too
# Where modules.py has room: bytes of the heap, with a push beside it too, and of the stack in use at most. It
# takes some 600 more of the stack.
_ROOM = const(22000)
_STACK = const(5600)


def begin(agent, force, download, etag):
    """Have an Agent start over with the head."""
    if agent.source:
        agent.source.close(agent)
    if agent.pushed is not None:
        agent.pushed = None  # an attribute more costs 96 bytes
    # Collections take time. Where there is room beside the stages they need not come at each half kilobyte.
    free = gc.mem_free()
    gc.threshold(max(512, free - _STAGES))
    if free > _ROOM and micropython.stack_use() < _STACK and twoslot.__path__ == "/twoslot":
        from twoslot import modules

        modules.begin()
    s = settings.load()
    agent.server, agent.product, agent.channel = s["server"], s["product"], s["channel"]
    agent.attempts, agent.auto = s["attempts"], s["confirm"] == "auto"
    agent.slice = s["step_ms"] // 5
    agent.force, agent.download, agent.etag = force, download, etag
    agent.accepted = False  # the head of this attempt is signed, and this board accepts it
    agent.interval_s = agent.offered = None  # what that head says
    agent.running = 0
    agent.unproven = False  # memory that is missing may be a stranger's doing
    agent.ended = False  # what ends a trial was done
    agent.stage, agent.state = STAGE_FACTS, STATE_HEAD
    agent.identity = None  # what proves to the server which board asks; False without a secret
    agent.keys = None  # keys of a later epoch, verified: (document, what the journal must know)
    agent.phase = PHASE_GET  # what is done for the document
    agent.text = agent.seal = agent.refusal = None  # of the document
    agent.key_epoch = 0  # of the keys that are wanted before the head
    agent.address = None  # of the server, once it is known
    agent.request = None  # a request under way, which is asked again and again
    agent.source = agent.response = agent.url = agent.span = agent.views = None
    agent.facts = agent.head = agent.news = agent.plan = agent.place = agent.progress = None
    agent.tries = agent.next = agent.until = agent.written = agent.epochs = 0
    agent.blocks_in_place = 0, 0
