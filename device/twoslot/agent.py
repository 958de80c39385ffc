# The agent: one check or update. What must outlive a reset is in the journal. The parts of an update
# leave numbers and dicts to one another: an object would keep its class, a class its module.
import gc
import machine
import time

from micropython import const

import twoslot

from twoslot import drop
from twoslot.constants import (
    ACTION_ACTIVATE_SPARE, ACTION_INVALIDATE_SPARE, ACTION_REMEMBER, ACTION_SNAPSHOT, STATE_ACTIVATE,
    STATE_DONE, STATE_DOWNLOAD, STATE_HEAD, STATE_IDLE, STATE_TABLE,
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
        self.state = STATE_HEAD

    def read_settings(self):
        """Read the settings once."""
        if self.product is None:
            from twoslot import settings

            s = settings.load()
            self.server, self.product, self.channel = s["server"], s["product"], s["channel"]
            self.attempts, self.auto = s["attempts"], s["confirm"] == "auto"
            drop("settings")

    def attempt(self, schedule):
        """Go on with an attempt, or make one, for about a tenth of a second. True when it goes on later.

        What it comes to is the schedule's (outcome.py). MemoryError is left to the caller.
        """
        error = None
        try:
            if not self.state:
                self.begin(etag=schedule.etag)
            start = time.ticks_ms()
            while self.step():
                if time.ticks_diff(time.ticks_ms(), start) > 100:
                    schedule.continue_now(self.written)
                    return True
            if self.state:
                if twoslot._restart_hook:
                    from twoslot import restart
                    if restart.put_off(schedule):
                        return False
                machine.reset()  # into the trial; here, where nothing more needs to be loaded
        except (TwoslotError, MemoryError) as e:
            error = e
        from twoslot import retained, outcome

        try:
            return outcome.conclude(self, schedule, error)
        except TwoslotError as e:
            twoslot.log_error(e)
            schedule.failed()

    def step(self):
        """Do the next piece.

        True while there is more. After a LinkError there is more while state is set.
        """
        try:
            if self.state < STATE_TABLE:
                # The head or the release: get it, check it, write down what is new.
                if self.facts is None:
                    self.boot_action(ACTION_SNAPSHOT)
                    if self.state == STATE_DONE:
                        return False
                try:
                    from twoslot.http import documents

                    text = documents.get_next(self)
                    documents = None
                    drop("http")
                    from twoslot.trust import verify

                    self.state = verify.check_document(self, text)
                finally:
                    # A module that is dropped must not be held either: it holds its constants.
                    documents = verify = text = None
                    drop("http", "trust", "settings")
                    if self.news or self.keys:
                        self.boot_action(ACTION_REMEMBER)
            elif self.state < STATE_ACTIVATE:
                # A piece of the block table or of the image: scan it, download it, verify it.
                if self.progress is None:
                    self.head = self.facts = None
                    __import__("twoslot.recovery.boot_file").recovery.boot_file.require_hook()
                    self.boot_action(ACTION_INVALIDATE_SPARE)
                    from twoslot import flash

                    gc.collect()
                if self.source is None:
                    from twoslot.http import response

                    self.source = response
                if self.url:
                    self._request()
                    gc.collect()
                # Only scan or download is in memory: a request, or another state, drops both.
                state = self.state
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
                self.boot_action(ACTION_ACTIVATE_SPARE)
                self.state = STATE_DONE
        except LinkError as e:
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
        return self.state not in (STATE_IDLE, STATE_DONE)

    def end(self):
        """Forget this attempt. What the spare slot holds by now serves the next one."""
        if self.source:
            self.source.close(self)
        self.state = STATE_IDLE
        self.identity = None  # what proves to the server which board asks; False without a secret
        self.keys = None  # keys of a later epoch, verified: (document, what the journal must know)
        self.source = self.facts = self.head = self.news = self.plan = self.place = None
        self.progress = self.sha = self.url = self.span = None
        self.tries = self.next = self.until = self.written = self.bytes = self.scans = self.epochs = 0
        drop("http", "image", "trust", "flash")

    @property
    def blocks_in_place(self):
        """(blocks in place, blocks of the image), or (0, 0) while that is not known."""
        p = self.progress
        return (p["blocks"] - p["left"], p["blocks"]) if p and self.state >= STATE_DOWNLOAD else (0, 0)

    def boot_action(self, action):
        """Carry out an action on the boot journal (boot/actions.py), then drop all of `boot`."""
        self.read_settings()
        # The leaves first, from this frame: on the chip an import in another costs 688 bytes of stack.
        from twoslot import flash
        from twoslot.boot import page, journal, slots, control, actions

        try:
            return actions.run(self, action)
        finally:
            drop("boot", "flash", "trust")

    def _request(self):
        # With nothing of the download in memory, not even its buffer.
        url, self.url = self.url, None
        self.progress["pieces"] = None
        drop("image", "flash")
        try:
            if self.source.get(self, url, None, self.span).status == 200 and self.span[1]:
                # A server without ranges sends everything: blocks in place are read past.
                self.next, self.until = 0, self.progress["blocks"]
        finally:
            from twoslot import flash
