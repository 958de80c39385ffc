"""The module that stands for `socket` and `network` on a board whose firmware has no netif that is found.

Its sockets are hypercalls (`hypercall.py`) with the manners of modlwip.c. `select` does not know them: they
are no streams of the firmware's, and asyncio streams do not work on them.
"""

from __future__ import annotations

from typing import Final

from slotbench.vboard.chip.network import station

__all__ = ["HEAP_BYTES", "SOURCE"]

HEAP_BYTES: Final = 3_424
"""What it takes of MicroPython's heap (measured on official 1.22.1, 1.24.0 and 1.26.0)."""

_SOCKETS: Final = """\
import time
from machine import mem32
from uctypes import addressof
AF_INET, SOCK_STREAM, SOL_SOCKET, SO_REUSEADDR = 2, 1, 1, 4
def _call(do, a=0, b=0, c=0):
    mem32[0x6000FE04] = a
    mem32[0x6000FE08] = b
    mem32[0x6000FE0C] = c
    mem32[0x6000FE00] = do
    e = mem32[0x6000FE24]
    if e == 267:
        return
    if e:
        raise OSError(e - 256)
    return mem32[0x6000FE20]
def getaddrinfo(host, port, *more):
    h = host.encode()
    _call(1, addressof(h), len(h))
    return [(2, 1, 0, "", (host, port))]
class socket:
    h = t = None
    def __init__(self, *more):
        pass
    def settimeout(self, s):
        self.t = s if s is None else int(s * 1000)
    def setblocking(self, on):
        self.t = None if on else 0
    def setsockopt(self, *more):
        pass
    def makefile(self, *more):
        return self
    def connect(self, to):
        h = to[0].encode()
        self.h = _call(2, addressof(h), len(h), to[1])
    def bind(self, to):
        self.p = to[1]
    def listen(self, n=1):
        self.h = _call(3, self.p)
    def _wait(self, do, a=0, b=0):
        if not self.h:
            raise OSError(9)
        begun = time.ticks_ms()
        while True:
            n = _call(do, self.h, a, b)
            if n is not None or self.t == 0:
                return n
            if self.t and time.ticks_diff(time.ticks_ms(), begun) >= self.t:
                raise OSError(110)
            time.sleep_ms(1)
    def accept(self):
        h = self._wait(4)
        if h is None:
            raise OSError(11)
        s = socket()
        s.h = h
        return s, ("192.168.4.2", 0)
    def recv(self, n):
        b = bytearray(n)
        n = self._wait(5, addressof(b), n)
        if n is None:
            raise OSError(11)
        return bytes(memoryview(b)[:n])
    def readinto(self, b, n=None):
        n, k = len(b) if n is None else n, 0
        while k < n:
            i = self._wait(5, addressof(b) + k, n - k)
            if i is None:
                return k or None
            if not i:
                break
            k += i
        return k
    def read(self, n=-1):
        if n < 0:
            s = b""
            while True:
                b = self.read(256)
                if not b:
                    return s or b
                s += b
        b = bytearray(n)
        k = self.readinto(b)
        return k if k is None else bytes(memoryview(b)[:k])
    def readline(self):
        s = b""
        while s[-1:] != b"\\n":
            b = self.read(1)
            if not b:
                return s or b
            s += b
        return s
    def send(self, b):
        return self._wait(6, addressof(b), len(b))
    def write(self, b):
        k = 0
        while k < len(b):
            k += self.send(memoryview(b)[k:])
        return k
    def sendall(self, b):
        self.write(b)
    def close(self):
        if self.h:
            _call(7, self.h)
        self.h = 0
sys.modules["socket"] = sys.modules["usocket"] = sys.modules[__name__]
"""

SOURCE: Final = station.SOURCE + _SOCKETS
"""`network` as the station's module has it, and `socket`."""
