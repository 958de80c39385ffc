# The agent: one check or update. What must outlive a reset is in the journal. Its stages leave numbers
# and dicts to one another: an object would keep its class, a class its module.
import machine
import sys
import time

import twoslot

from micropython import const

from twoslot import drop
from twoslot.constants import POLL_MS, STAGE_RESUME, STAGE_TRIAL

_LATER_MS = const(1000)
_PIECE_MS = const(240)  # of an image: receive, check, erase and write a block, while the SDK writes its own
_FAST_HZ = const(160000000)


class Agent:
    """What the stages of an update share.

    A stage is a module whose step() does the next piece and says in `stage` what follows: the next
    stage, or None at the end. Only one is in memory. In their order: boot/facts, http/report
    (telemetry.py), http/documents, trust/verify, boot/head, hook_line, boot/spare, image/scan, image/request,
    image/table, patch/choice, patch/blocks, image/download, boot/trial; and resume, where one broke off.

    Documents and image come from `source`: its get() sets the response that is to be read, its
    close() ends it. It is http/response.py, or push/upload.py for a release that is pushed.
    """

    # Until begin():
    stage = source = response = etag = interval_s = None
    pushed = None  # of a release that was pushed: the keys that may sign it beside the pinned ones, a tuple
    state = tries = retry_after = 0
    accepted = unproven = False
    running = 0  # counter of the running release, once a head was checked
    blocks_in_place = 0, 0  # and how many the image has
    slice: int

    def begin(self, force=False, download=True, etag=None):
        """Start over with the head. download=False stops once the release was checked."""
        from twoslot import settings, attempt

        attempt.begin(self, force, download, etag)
        drop("attempt", "modules", "settings")

    def step(self, schedule=None):
        """Do the next piece, which takes a fifth of a second at most, at the chip's higher speed.

        For the schedule of tick(): pieces for about a tenth of a second, or of an image for as long as the
        program took since the last call; what ends a trial, and the restart into one. True while there is
        more. After an error outcome.break_off() says whether there is more.
        """
        start = time.ticks_ms()
        if schedule:
            if self.pushed is not None:
                return schedule.wait(_LATER_MS) or True  # push/intake.py goes on; a check comes later
            most = max(self.slice, min(-schedule.left, 5 * self.slice - _PIECE_MS))
        hz = machine.freq()
        try:
            machine.freq(_FAST_HZ)
            while self.stage:
                stage, self.waiting, of_image = self.stage, False, None  # waiting: for somebody else
                # Both from this frame: each call costs 280 bytes of the chip's stack, an import 1,700
                # (memory.md).
                if stage in sys.modules:
                    of_image = sys.modules[stage].step(self)
                else:
                    __import__(stage)
                if self.stage != stage:
                    of_image = None
                    drop(stage.split(".")[1])  # its whole folder
                if self.waiting:
                    time.sleep_ms(POLL_MS)
                if not schedule:
                    return self.stage is not None
                if not self.stage and not self.state and not self.ended:
                    self.ended = True
                    if schedule.trial or twoslot.deadline:
                        self.stage = STAGE_TRIAL
                if twoslot._wdt:
                    twoslot._wdt.feed()
                # Somebody who answers late is waited for in slices, too: a whole update would take one
                # call for each answer otherwise.
                passed = time.ticks_diff(time.ticks_ms(), start)
                if self.stage and passed >= (
                        3 * self.slice if self.waiting else most if of_image else self.slice):
                    schedule.continue_now(self.written)
                    return True
        except KeyboardInterrupt:
            self.stage = STAGE_RESUME
            if self.source:
                self.source.close(self)
            raise
        finally:
            machine.freq(hz)  # the application's
        if schedule and self.state:
            # The update is verified: into its trial, when the application's function agrees.
            if twoslot._restart_hook:
                from twoslot import settings, restart

                if restart.put_off(schedule):
                    twoslot.unload()
                    return True
            machine.reset()
        return False
