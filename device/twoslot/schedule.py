# When the next step is due. Counts milliseconds down from call to call: no wrap and no set clock disturbs it.
import os
import time

from micropython import const

from twoslot import drop

_FIRST_MS = const(10000)  # after a boot the network needs a moment, and a whole street may boot at once
_SPREAD_MS = const(30000)
_RETRY_MS = const(2000)
_TRIAL_MS = const(30000)  # in a trial the deadline is near: the backoff ends here


class Schedule:
    """One countdown: due() is asked often, the others set it."""

    def __init__(self, interval_s, trial, fell_back, quiet=None):
        self.own_s = interval_s  # interval_ms may be the server's word (outcome.py)
        self.interval_ms = interval_s * 1000
        self.trial = trial
        self.quiet = quiet
        self.failures = 0
        self.begun = False  # an attempt is under way, or a person asked: both are above quiet hours
        self.wait(_RETRY_MS if trial else _FIRST_MS + draw(_SPREAD_MS))
        if fell_back:
            # The release that just failed may be offered again at once: its owner needs the board meanwhile.
            self.done()

    def due(self):
        """True when it is time. Call at least once in six days."""
        now = time.ticks_ms()
        self.left -= time.ticks_diff(now, self.last)
        self.last = now
        if self.left > 0:
            return False
        if self.quiet and not self.begun and not self.trial:
            from twoslot import quiet_hours

            put_off = quiet_hours.put_off(self)
            drop("quiet_hours")
            return not put_off
        return True

    def soon(self, gained):
        """More to do: at the next call. gained: the backoff starts over."""
        if gained:
            self.failures = 0
        self.begun = True
        self.wait(0)

    def sooner(self, ms):
        """Look within ms, if that is earlier. 0: a person asks."""
        self.due()
        if self.left > ms:
            self.wait(ms)
        if not ms:
            self.begun = True

    def done(self):
        """Nothing more to do: wait the interval, give or take a tenth."""
        self.failures = 0
        self.begun = False
        tenth = self.interval_ms // 10
        self.wait(self.interval_ms - tenth + 2 * tenth * draw(1000) // 1000)

    def failed(self, retry_after=0):
        """Wait 2 s, then twice as long each time, up to the interval; at least retry_after seconds."""
        longest = _TRIAL_MS if self.trial else self.interval_ms
        wait = min(_RETRY_MS << min(self.failures, 19), longest)
        self.failures += 1
        self.begun = False
        wait = wait // 2 + wait * draw(1000) // 1000
        self.wait(max(wait, min(retry_after * 1000, longest if self.trial else 86400000)))

    def wait(self, ms):
        """Be due in ms."""
        # From now on, however long ago due() was asked: an attempt takes its time.
        self.last = time.ticks_ms()
        self.left = ms


def draw(below):
    """0 to below - 1 (below <= 65536), from the hardware's generator."""
    return int.from_bytes(os.urandom(2), "big") * below >> 16
