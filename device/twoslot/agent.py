# The agent: one check or update. What must outlive a reset is in the journal. The parts of an update
# leave numbers and dicts to one another: an object would keep its class, a class its module.
import gc
import machine
import sys
import time

from micropython import const

import twoslot

from twoslot import drop
from twoslot.constants import (
    ACTION_ACTIVATE_SPARE, ACTION_END_TRIAL, ACTION_INVALIDATE_SPARE, ACTION_REMEMBER, BLOCK, PHASE_GET,
    POLL_MS,
    STATE_ACTIVATE, STATE_DONE, STATE_DOWNLOAD, STATE_HEAD, STATE_IDLE, STATE_TABLE,
)  # fmt: skip
from twoslot.errors import LinkError, TwoslotError

_TRIES = const(8)  # lost connections in a row, without a block gained, before this attempt ends


class Agent:
    """What the steps of an update share. The steps are in http, trust, image and boot/actions.py.

    Documents and image come from `source`: its get() sets the response that is to be read, its
    close() ends it. It is http/response.py unless a PushSource (push/upload.py) was set.
    """

    def __init__(self):
        self.product = self.source = self.response = self.etag = None
        self.running = 0  # counter of the running release, once a head was checked
        self.retry_after = 0
        self.interval_s = None
        self.end()

    def begin(self, force=False, download=True, etag=None):
        """Start over with the head. download=False stops once the release was checked."""
        self.end()
        self.read_settings()
        self.force, self.download, self.etag = force, download, etag
        self.accepted = False  # the head of this attempt is signed, and this board accepts it
        self.interval_s = self.offered = None  # what that head says
        self.state, self.first = STATE_HEAD, False

    def read_settings(self):
        """Read the settings once."""
        if self.product is None:
            from twoslot import settings

            s = settings.load()
            self.server, self.product, self.channel = s["server"], s["product"], s["channel"]
            self.attempts, self.auto = s["attempts"], s["confirm"] == "auto"
            self.slice = s["step_ms"] // 5
            drop("settings")

    def attempt(self, schedule):
        """Go on with an attempt, or make one, for about a tenth of a second. True when it goes on later.

        What it comes to is the schedule's (outcome.py). MemoryError is left to the caller.
        """
        error = None
        try:
            if self.first and not self.ended:
                self.begin(etag=schedule.etag)
                schedule.continue_now(0)
                return True
            start = time.ticks_ms()
            while not self.ended and self.step():
                twoslot.feed()
                passed = time.ticks_diff(time.ticks_ms(), start)
                # Somebody who answers late is waited for in slices, too: a whole update would take
                # one call for each answer otherwise.
                if passed >= (3 * self.slice if self.waiting else self.slice):
                    schedule.continue_now(self.written)
                    return True
            if self.state:
                if twoslot._restart_hook:
                    from twoslot import restart
                    if restart.put_off(schedule):
                        return False
                machine.reset()  # into the trial; here, where nothing more needs to be loaded
            if not self.ended or (schedule.trial or twoslot.deadline) and not self.load():
                self.ended = True
                return True
            if schedule.trial or twoslot.deadline:
                self.boot_action(ACTION_END_TRIAL)
        except (TwoslotError, MemoryError) as e:
            error = e
        from twoslot import retained, outcome

        try:
            return outcome.conclude(self, schedule, error)
        except TwoslotError as e:
            twoslot.log_error(e)
            schedule.failed()

    def step(self):
        """Do the next piece, which takes a fifth of a second at most.

        True while there is more. After a LinkError there is more while state is set.
        """
        self.waiting = False
        state = self.state
        try:
            # All from this frame, and what needs no others first: each call costs 272 bytes of the
            # chip's stack, an import 688 (memory.md).
            if self.action is not None:
                if self.load():
                    action, self.action = self.action, None
                    from twoslot.boot import actions

                    try:
                        if action == ACTION_REMEMBER:
                            actions.commit(self)
                        else:
                            actions.run(self, action)
                    finally:
                        actions = None
                        drop("boot", "flash", "trust")
            elif self.state < STATE_TABLE:
                from twoslot import document_steps

                document_steps.step(self)
                document_steps = None
                if self.state >= STATE_TABLE:
                    drop("document_steps")
            elif self.state < STATE_ACTIVATE:
                # A piece of the block table or of the image: scan it, download it, verify it.
                if self.progress is None and self.place is None:
                    self.head = self.facts = None
                    __import__("twoslot.recovery.boot_file").recovery.boot_file.require_hook()
                    self.action = ACTION_INVALIDATE_SPARE
                    return True
                if self.source is None:
                    from twoslot.http import response

                    self.source = response
                if self.url or self.request:
                    self._request()
                else:
                    from twoslot import flash

                    # Only scan or download is in memory: each request drops both, and so does each
                    # change of state.
                    if state == STATE_DOWNLOAD or state == STATE_TABLE and self.response:
                        from twoslot.image import writer, download

                        self.state = download.step(self)
                    else:
                        from twoslot.image import scan

                        self.state = scan.step(self)
                    if self.state != state:
                        self.progress["pieces"] = None
                        drop("image")
            else:
                self.source.close(self)
                self.progress = self.sha = self.source = None
                drop("image", "flash", "http")
                self.action = ACTION_ACTIVATE_SPARE
        except LinkError as e:
            self.request = self.views = None
            if self.source:
                self.source.close(self)
            self.retry_after = e.args[2] if len(e.args) > 2 else 0
            self.tries += 1
            # Nothing was written yet, or enough was tried: the schedule makes the next attempt.
            if self.state < STATE_TABLE or self.tries > _TRIES:
                self.end()
            raise
        except TwoslotError:
            self.end()
            raise
        except KeyboardInterrupt:
            # What it broke off cannot go on where it was: the document is asked for again, and a
            # response that stopped inside a block is of no use.
            self.request = self.text = self.views = None
            if self.action is None:
                self.stage = PHASE_GET
            if self.source:
                self.source.close(self)
            raise
        if self.waiting:
            time.sleep_ms(POLL_MS)
        self.first = not self.state and self.stage == PHASE_GET
        return not self.first and self.state != STATE_DONE

    def end(self):
        """Forget this attempt. What the spare slot holds by now serves the next one."""
        if self.source:
            self.source.close(self)
        self.state = STATE_IDLE
        # first: the next step begins an attempt; ended: it came to its end without an error
        self.first, self.ended = True, False
        self.identity = None  # what proves to the server which board asks; False without a secret
        self.keys = None  # keys of a later epoch, verified: (document, what the journal must know)
        self.stage = PHASE_GET  # what is done for the document
        self.action = None  # on the boot journal: the next step
        self.request = None  # a request under way, which is asked again and again
        self.text = self.trusted = self.seal = self.refusal = None  # of the document
        self.key_epoch = 0  # of the keys that are wanted before the head
        # waiting: for somebody else; unproven: memory that is missing may be a stranger's doing
        self.waiting = self.unproven = False
        self.source = self.facts = self.head = self.news = self.plan = self.place = None
        self.progress = self.sha = self.url = self.span = self.views = None
        self.tries = self.next = self.until = self.written = self.bytes = self.scans = self.epochs = 0
        drop("http", "connection", "image", "trust", "flash", "document_steps")

    @property
    def blocks_in_place(self):
        """(blocks in place, blocks of the image), or (0, 0) while that is not known."""
        p = self.progress
        return (p["blocks"] - p["left"], p["blocks"]) if p and self.state >= STATE_DOWNLOAD else (0, 0)

    def load(self):
        """Load `boot`, for the action that is the next step. True when it is loaded already."""
        if "twoslot.boot.control" in sys.modules:
            return True
        drop("document_steps")
        # The leaves first, all from this frame: on the chip an import inside another costs 688
        # bytes of stack.
        from twoslot import flash
        from twoslot.boot import page, journal, slots, control, actions

        return False

    def boot_action(self, action):
        """Carry out an action on the boot journal (boot/actions.py), then drop all of `boot`."""
        self.read_settings()
        self.load()
        from twoslot.boot import actions

        try:
            return actions.run(self, action)
        finally:
            drop("boot", "flash", "trust")

    def _request(self):
        # With nothing of the download in memory, not even its buffer.
        if self.url:
            url, self.url = self.url, None
            self.progress["pieces"] = None
            drop("image", "flash")
            self.request = self.source.get(self, url, None, self.span)
        for _ in self.request:
            self.waiting = True
            return
        self.request = None
        drop("http.request", "http.identity", "connection", "secret", "hmac")
        r = self.response
        if r.status == 200 and self.span[1]:
            # A server without ranges sends everything: the blocks that are in place are read and
            # skipped.
            self.next, self.until = 0, self.progress["blocks"]
        elif r.status == 206 and r.start < self.span[0]:
            # It begins earlier than it was asked to: from the next block on.
            self.next = (r.start + BLOCK - 1) // BLOCK
            r.skip = self.next * BLOCK - r.start
