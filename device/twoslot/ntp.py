# Sets the clock from the NTP server in the settings (RFC 4330). Nothing trusts it but the expiry of a
# head and quiet hours. This module is loaded where a server is named, and stays. It waits for
# nothing.
import machine
import network
import os
import socket
import time

import twoslot

from micropython import const

from twoslot import codes
from twoslot.constants import EPOCH_2000, NAME_MS, RETAINED_TURNS

_ANSWER_MS = const(5000)
_LOOK_MS = const(5000)
_RETRY_MS = const(15000)  # after an answer that did not come, then twice as long each time
_AGAIN_MS = const(3600000)
_EPOCH_1900 = const(3155673600)  # seconds from there to 2000


def keep_time(server, floor):
    """Have tick() set the clock. floor: seconds from 1970; it is later than that."""
    host, port = (server + ":123").split(":")[:2]
    try:
        twoslot._pollers.append(_ServerTime(host, int(port), floor).poll)
    except ValueError:
        from twoslot.errors import FlashError

        raise FlashError(codes.SETTINGS, 18)


class _ServerTime:
    # Asks one server once an hour.

    def __init__(self, host, port, floor):
        self.host, self.port, self.floor = host, port, floor
        self.sock = self.nonce = None
        self.backoff_ms = _RETRY_MS
        self.last, self.wait = time.ticks_ms(), _LOOK_MS

    def poll(self):
        """Ask, or look for the answer. For tick(): it raises nothing, and wants no check."""
        now = time.ticks_ms()
        self.wait -= time.ticks_diff(now, self.last)
        self.last = now
        try:
            if self.sock and self._receive():
                self.backoff_ms = _RETRY_MS
                self.disconnect(_AGAIN_MS)
            elif self.wait <= 0:
                if self.sock:
                    raise OSError(110)
                self._begin()
        except (OSError, MemoryError) as e:
            if self.backoff_ms == _RETRY_MS:  # once an outage
                where = e.args[0] if isinstance(e, OSError) else 0
                from twoslot import failures

                failures.log_error(ValueError(codes.NO_TIME, where))
                twoslot.drop("failures")
            self.disconnect(self.backoff_ms)
            self.backoff_ms = min(2 * self.backoff_ms, _AGAIN_MS)

    def _begin(self):
        self.wait = _LOOK_MS
        # An update needs the memory.
        if twoslot._agent or not network.WLAN(network.STA_IF).isconnected():
            return
        if not self.host.strip("0123456789."):
            address = socket.getaddrinfo(self.host, self.port)[0][-1]
        else:
            from twoslot import errors, resolver

            address = resolver.address(self.host, self.port)
            if not address:
                self.wait = NAME_MS
                return
            twoslot.drop("resolver", "errors")
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.settimeout(0)
        self.sock.connect(address)
        # Who does not see the question cannot answer it.
        self.nonce = os.urandom(8)
        self.sock.write(b"\x23" + bytes(39) + self.nonce)
        self.wait = _ANSWER_MS

    def _receive(self):
        # True: the time came. An answer that is none, or to another question, counts for nothing.
        packet = bytearray(48)
        if self.sock.readinto(packet) != 48 or packet[24:32] != self.nonce:
            return False
        if packet[0] & 7 != 4 or packet[0] >> 6 == 3 or not 0 < packet[1] < 16:
            return False
        seconds = (int.from_bytes(packet[40:44], "big") - _EPOCH_1900) & 0xFFFFFFFF
        if seconds + EPOCH_2000 < self.floor:
            raise OSError(0)  # an offline key, or the online key, signed later than that
        t = time.gmtime(seconds)
        machine.RTC().datetime((t[0], t[1], t[2], t[6], t[3], t[4], t[5], 0))
        # The time without a turn is counted on from here (retained.py).
        word = RETAINED_TURNS + 4
        machine.mem32[word] = machine.mem32[word] & 0xFFFF | (seconds // 10 & 0x1FFF) << 16
        return True

    def disconnect(self, wait):
        # The next question is asked in so many milliseconds.
        if self.sock:
            self.sock.close()
        self.sock, self.wait = None, wait
