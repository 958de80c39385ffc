# The board: flash, boot record, clock, network, reset. The only module that imports the chip's modules.
import esp
import machine
import network
import os
import socket
import time

from hashlib import sha256
from micropython import const

from twoslot.errors import FlashError, LinkError

_CHIP_SIZE = const(0x3FFFC71C)  # flashchip->chip_size in the ROM's data: it bounds every ROM flash call
_TAIL = 0x600013E0  # the last 32 bytes of RTC memory: what the loader did (FORMATS.md 4)
_NOTE = 0x600013F8
_EPOCH_2000 = 946684800
_CLOCK_SET = 600000000  # January 2019, counted from 2000: an earlier clock was never set
_CONNECT_S = const(10)


class Tail:
    """What the loader left in the RTC memory at this boot."""

    def __init__(self, raw):
        self.slot, self.trial, self.attempts_left, self.why = raw[4], raw[5], raw[6], raw[7]
        self.reason = raw[12]
        self.note = raw[24]


class Port:
    """Flash by byte address, time, network and reset of the board it runs on."""

    def __init__(self, chip_bytes):
        self.chip_bytes = chip_bytes
        real = 1 << (esp.flash_id() >> 16 & 0xFF)  # the JEDEC id's capacity byte: the only honest size
        if real < chip_bytes:
            raise FlashError(66, real)

    def read(self, addr, buf):
        """Fill buf from flash."""
        self._call(esp.flash_read, addr, buf, addr + len(buf))

    def write(self, addr, buf):
        """Program buf; it lies in RAM and is a multiple of 4 long."""
        self._call(esp.flash_write, addr, buf, addr + len(buf))

    def erase(self, addr):
        """Erase the 4096-byte sector that starts at addr."""
        self._call(esp.flash_erase, addr >> 12, None, addr + 4096)

    def _call(self, call, place, buf, end):
        # The slots lie above the chip_size that runs normally. It is raised around this one call: the SDK
        # computes from it where its own parameters go, and must not find it raised at any other time.
        mem = machine.mem32
        usual = mem[_CHIP_SIZE]
        try:
            if end > usual:
                mem[_CHIP_SIZE] = self.chip_bytes
            if buf is None:
                call(place)
            else:
                call(place, buf)
        except OSError as e:
            raise FlashError(62, e.args[0])
        finally:
            mem[_CHIP_SIZE] = usual

    def tail(self):
        """Return the loader's word about this boot, or None when there is none."""
        raw = bytearray(32)
        for i in range(0, 32, 4):
            w = machine.mem32[_TAIL + i] & 0xFFFFFFFF
            raw[i : i + 4] = w.to_bytes(4, "little")
        if raw[:4] != b"2SR1" or raw[4] > 1 or raw[16:24] != sha256(raw[:16]).digest()[:8]:
            return None
        return Tail(raw)

    def note(self, code):
        """Leave a word for the loader and for the hook after a soft reset (FORMATS.md 4)."""
        machine.mem32[_NOTE] = code

    def reset(self):
        """Restart through the loader."""
        machine.reset()

    def ticks(self):
        """Milliseconds that wrap; compare with since()."""
        return time.ticks_ms()

    def since(self, start):
        """Milliseconds since an earlier ticks()."""
        return time.ticks_diff(time.ticks_ms(), start)

    def after(self, start, ms):
        """The ticks() that come ms after start."""
        return time.ticks_add(start, ms)

    def sleep_ms(self, ms):
        """Wait; the SDK's tasks run meanwhile."""
        time.sleep_ms(ms)

    def now(self):
        """Unix seconds, or 0 while the clock was never set."""
        t = time.time()
        return t + _EPOCH_2000 if t > _CLOCK_SET else 0

    def random(self, below):
        """A number from 0 to below - 1 (below <= 65536) of the hardware's generator."""
        return int.from_bytes(os.urandom(2), "big") * below >> 16

    def device_id(self):
        """The chip's id in hex."""
        return machine.unique_id().hex()

    def connect(self, host, port):
        """Return a connected socket; its writes wait up to 10 s, its reads never."""
        if not network.WLAN(network.STA_IF).isconnected():
            raise LinkError(1, 0)
        try:
            address = socket.getaddrinfo(host, port)[0][-1]
        except OSError as e:
            raise LinkError(2, e.args[0])
        s = socket.socket()
        try:
            s.settimeout(_CONNECT_S)
            s.connect(address)
        except OSError as e:
            s.close()
            raise LinkError(3, e.args[0])
        return s
