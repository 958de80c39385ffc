# The agent: one check or update. What must outlive a reset is in the journal. Its stages leave numbers
# and dicts to one another: an object would keep its class, a class its module.
import sys
import time

import twoslot

from twoslot import drop
from twoslot.constants import (
    PHASE_GET, POLL_MS, STAGE_FACTS, STAGE_RESUME, STAGE_TRIAL, STATE_HEAD, STATE_IDLE,
)  # fmt: skip


class Agent:
    """What the stages of an update share.

    A stage is a module whose step() does the next piece and says in `stage` what follows: the next
    stage, or None at the end. Only one is in memory. In their order: boot/facts, http/documents,
    trust/verify, boot/head, hook_line, boot/spare, image/scan, image/request, image/table,
    image/download, boot/trial; and resume, where one broke off.

    Documents and image come from `source`: its get() sets the response that is to be read, its
    close() ends it. It is http/response.py unless a PushSource (push/upload.py) was set.
    """

    def __init__(self):
        from twoslot import settings

        s = settings.load()
        self.server, self.product, self.channel = s["server"], s["product"], s["channel"]
        self.attempts, self.auto = s["attempts"], s["confirm"] == "auto"
        self.slice = s["step_ms"] // 5
        drop("settings")
        self.source = self.response = self.etag = None
        self.running = 0  # counter of the running release, once a head was checked
        self.end()

    def begin(self, force=False, download=True, etag=None):
        """Start over with the head. download=False stops once the release was checked."""
        self.end()
        self.force, self.download, self.etag = force, download, etag
        self.accepted = False  # the head of this attempt is signed, and this board accepts it
        self.interval_s = self.offered = None  # what that head says
        self.unproven = False  # memory that is missing may be a stranger's doing
        self.state = STATE_HEAD
        self.stage, self.ended = STAGE_FACTS, False  # ended: what ends a trial was done

    def step(self, schedule=None):
        """Do the next piece, which takes a fifth of a second at most.

        For the schedule of tick(): pieces for about a tenth of a second, and what ends a trial.
        True while there is more. After an error outcome.break_off() says whether there is more.
        """
        start = time.ticks_ms()
        try:
            while self.stage:
                stage, self.waiting = self.stage, False  # waiting: for somebody else
                name = "twoslot." + stage
                # Both from this frame: each call costs 280 bytes of the chip's stack, an import 1,700
                # (memory.md).
                if name in sys.modules:
                    sys.modules[name].step(self)
                else:
                    __import__(name)
                if self.stage != stage:
                    drop(stage.split(".")[0])  # its whole folder
                if self.waiting:
                    time.sleep_ms(POLL_MS)
                if not schedule:
                    return self.stage is not None
                if not self.stage and not self.state and not self.ended:
                    self.ended = True
                    if schedule.trial or twoslot.deadline:
                        self.stage = STAGE_TRIAL
                twoslot.feed()
                # Somebody who answers late is waited for in slices, too: a whole update would take one
                # call for each answer otherwise.
                passed = time.ticks_diff(time.ticks_ms(), start)
                if self.stage and passed >= (3 * self.slice if self.waiting else self.slice):
                    schedule.continue_now(self.written)
                    return True
        except KeyboardInterrupt:
            self.stage = STAGE_RESUME
            raise
        return False

    def end(self):
        """Forget this attempt. What the spare slot holds by now serves the next one."""
        if self.source:
            self.source.close(self)
        self.stage, self.state = None, STATE_IDLE
        self.identity = None  # what proves to the server which board asks; False without a secret
        self.keys = None  # keys of a later epoch, verified: (document, what the journal must know)
        self.phase = PHASE_GET  # what is done for the document
        self.request = None  # a request under way, which is asked again and again
        self.text = self.trusted = self.seal = self.refusal = None  # of the document
        self.key_epoch = 0  # of the keys that are wanted before the head
        self.source = self.facts = self.head = self.news = self.plan = self.place = None
        self.progress = self.sha = self.url = self.span = self.views = None
        self.tries = self.next = self.until = self.written = self.bytes = self.scans = self.epochs = 0
        self.blocks_in_place = 0, 0  # and how many the image has
        drop("http", "connection", "image", "trust", "flash", "boot", "hook_line", "resume")
