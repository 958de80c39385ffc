# When the next step is due. Counts milliseconds down from call to call: no wrap and no set clock disturbs it.
import machine
import os
import time

from micropython import const

from twoslot import drop

_FIRST_MS = const(10000)  # after a boot the network needs a moment, and a whole street may boot at once
_SPREAD_MS = const(30000)
_RETRY_MS = const(2000)
_TRIAL_MS = const(30000)  # in a trial the deadline is near: the backoff ends here
_SHORTEST_S = const(60)  # what a server may ask for
_LONGEST_S = const(604800)
_KEPT = const(0x600013FC)  # byte 1: crashes in a row (FORMATS.md 4)


class Schedule:
    """One countdown: due() is asked often, the others set it."""

    def __init__(self, interval_s, trial, fell_back, quiet=None):
        self.own_s = interval_s
        self.interval_ms = interval_s * 1000
        self.trial = trial
        self.quiet = quiet
        self.failures = 0
        self.begun = False  # an attempt is under way, or a person asked: both are above quiet hours
        self._wait(_RETRY_MS if trial else _FIRST_MS + _random(_SPREAD_MS))
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
            from twoslot import quiet

            wait = quiet.left_ms(self.quiet)
            drop("quiet")
            if wait:
                # Spread, for the quiet hours of a whole street end at once.
                self._wait(wait + max(self.interval_ms // 10, _SPREAD_MS) * _random(1000) // 1000)
                _had_its_turn()
                return False
        return True

    def soon(self, gained):
        """More to do: at the next call. gained: the backoff starts over."""
        if gained:
            self.failures = 0
        self.begun = True
        self._wait(0)

    def sooner(self, ms):
        """Look within ms, if that is earlier. 0: a person asks."""
        self.due()
        if self.left > ms:
            self._wait(ms)
        if not ms:
            self.begun = True

    def every(self, seconds):
        """The server's word for the interval from now on; 0: the board's own."""
        self.interval_ms = (min(max(seconds, _SHORTEST_S), _LONGEST_S) if seconds else self.own_s) * 1000

    def done(self):
        """Nothing more to do: wait the interval, give or take a tenth."""
        self.failures = 0
        self.begun = False
        _had_its_turn()
        tenth = self.interval_ms // 10
        self._wait(self.interval_ms - tenth + 2 * tenth * _random(1000) // 1000)

    def failed(self, retry_after=0):
        """Wait 2 s, then twice as long each time, up to the interval; at least retry_after seconds."""
        longest = _TRIAL_MS if self.trial else self.interval_ms
        wait = min(_RETRY_MS << min(self.failures, 19), longest)
        self.failures += 1
        self.begun = False
        _had_its_turn()
        wait = wait // 2 + wait * _random(1000) // 1000
        self._wait(max(wait, min(retry_after * 1000, longest if self.trial else 86400000)))

    def _wait(self, ms):
        # From now on, however long ago due() was asked: an attempt takes its time.
        self.last = time.ticks_ms()
        self.left = ms


def _had_its_turn():
    # What follows is no crash loop: an update can arrive (guard.py).
    machine.mem32[_KEPT] = machine.mem32[_KEPT] & 0xFFFF00FF


def _random(below):
    # 0 to below - 1 (below <= 65536), from the hardware's generator.
    return int.from_bytes(os.urandom(2), "big") * below >> 16
