"""deflate: inflating from a stream, as MicroPython 1.21 and later have it."""

from __future__ import annotations

import errno
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from slotbench.vboard.runtime import Runtime
from slotbench.vboard.signals import DeviceOSError

__all__ = ["MODULES"]

_AUTO, _RAW, _ZLIB, _GZIP = range(4)
_WINDOW_BITS: Final[Mapping[int, Callable[[int], int]]] = {
    _AUTO: lambda bits: 32 + bits, _RAW: lambda bits: -bits, _ZLIB: lambda bits: bits,
    _GZIP: lambda bits: 16 + bits,
}


class _DeflateIO:
    """A stream of what another one has deflated. It takes one byte at a time, as on the port."""

    def __init__(self, stream: Any, form: int = _AUTO, wbits: int = 8, close: bool = False) -> None:
        if not 8 <= (wbits or 8) <= 15:
            raise ValueError("wbits")
        self._stream = stream
        self._inflater = zlib.decompressobj(_WINDOW_BITS[form](max(wbits, 9)))
        self._rest = b""

    def readinto(self, buffer: Any) -> int:
        done = 0
        while done < len(buffer) and not self._inflater.eof:
            wanted = len(buffer) - done
            try:
                part = self._inflater.decompress(self._rest, wanted)
                self._rest = self._inflater.unconsumed_tail
            except zlib.error:
                raise DeviceOSError(errno.EINVAL) from None
            buffer[done:done + len(part)] = part
            done += len(part)
            if len(part) < wanted and not self._inflater.eof:
                self._rest = self._stream.read(1)
                if not self._rest:
                    raise EOFError
        return done

    def read(self, count: int) -> bytes:
        buffer = bytearray(count)
        return bytes(buffer[:self.readinto(buffer)])


def _deflate(runtime: Runtime) -> Mapping[str, Any]:
    return {"DeflateIO": _DeflateIO, "AUTO": _AUTO, "RAW": _RAW, "ZLIB": _ZLIB, "GZIP": _GZIP}


MODULES = {"deflate": _deflate}
