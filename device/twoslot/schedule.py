# When the next check is due. It counts milliseconds down from call to call: no wrap and no set
# clock disturbs it.
import os
import time

from micropython import const

from twoslot import drop
from twoslot.constants import SPREAD_MS

_FIRST_MS = const(10000)  # after a boot the network needs a moment; a whole street may boot at once
_FIRST_TRIAL_MS = const(2000)


class Schedule:
    """One countdown: due() is called often, the others set it."""

    def __init__(self, interval_s, trial, fell_back, quiet=None):
        self.own_s = interval_s  # interval_ms may be what the signed head says (outcome.py)
        self.interval_ms = interval_s * 1000
        self.trial = trial
        self.quiet = quiet
        self.etag = None  # and expiry of the head that was accepted last: it need not be sent again
        self.failures = 0
        self.started = False  # an attempt is under way, or a person asked: quiet hours do not hold it up
        self.wait(_FIRST_TRIAL_MS if trial else _FIRST_MS + random_below(SPREAD_MS))
        if fell_back:
            # The release that just failed may be offered again at once: its owner needs the board
            # meanwhile.
            self.succeeded()

    def due(self):
        """True when it is time. Call it at least once in six days."""
        now = time.ticks_ms()
        self.left -= time.ticks_diff(now, self.last)
        self.last = now
        if self.left > 0:
            return False
        if self.quiet and not self.started and not self.trial:
            from twoslot import retained, quiet_hours

            postponed = quiet_hours.postpone(self)
            drop("quiet_hours", "retained")
            return not postponed
        return True

    def continue_now(self, gained):
        """There is more to do, at the next call.

        gained: something was downloaded, the backoff starts over.
        """
        if gained:
            self.failures = 0
        self.started = True
        self.wait(0)

    def request_within(self, ms):
        """Check within ms, if that is earlier. 0: a person asks."""
        self.due()
        if self.left > ms:
            self.wait(ms)
        if not ms:
            self.started = True

    def succeeded(self):
        """Nothing more to do: wait the interval, give or take a tenth."""
        from twoslot import backoff

        backoff.succeeded(self)

    def failed(self, retry_after=0, reached=False):
        """Wait 2 s, then twice as long each time, up to minutes; or retry_after seconds.

        reached: a signed head came before this attempt failed.
        """
        from twoslot import backoff

        backoff.failed(self, retry_after, reached)

    def wait(self, ms):
        """Be due in ms."""
        # From now on, however long ago due() was called: an attempt takes its time.
        self.last = time.ticks_ms()
        self.left = ms


def random_below(n):
    """Return a number from 0 to n - 1 (n <= 65536), from the hardware's generator."""
    return int.from_bytes(os.urandom(2), "big") * n >> 16
