# When the next check is due. It counts milliseconds down from call to call: no wrap and no set
# clock disturbs it.
import os
import time

from twoslot import drop


class Schedule:
    """One countdown: due() is called often, the others set it."""

    # What is known of the head that was decided about last: a tuple (http/known_head.py), True: it is in a
    # file, None: it is to be sent again.
    etag = True

    def __init__(self, interval_s, trial, quiet, first_ms):
        self.own_s = interval_s  # interval_ms may be what the signed head says (outcome.py)
        self.interval_ms = interval_s * 1000
        self.trial = trial
        self.quiet = quiet
        self.failures = 0
        self.started = False  # an attempt is under way, or a person asked: quiet hours do not hold it up
        self.wait(first_ms)

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

    def wait(self, ms):
        """Be due in ms."""
        # From now on, however long ago due() was called: an attempt takes its time.
        self.last = time.ticks_ms()
        self.left = ms


def random_below(n):
    """Return a number from 0 to n - 1 (n <= 65536), from the hardware's generator."""
    return int.from_bytes(os.urandom(2), "big") * n >> 16
