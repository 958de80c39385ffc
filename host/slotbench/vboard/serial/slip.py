"""SLIP framing (RFC 1055) as the ESP8266's ROM and esptool speak it."""

from __future__ import annotations

from typing import Final

__all__ = ["SlipReader", "pack"]

_END: Final = b"\xc0"
_ESCAPED_END: Final = b"\xdb\xdc"
_ESCAPE: Final = b"\xdb"
_ESCAPED_ESCAPE: Final = b"\xdb\xdd"


def pack(payload: bytes) -> bytes:
    """The frame around `payload`."""
    return _END + payload.replace(_ESCAPE, _ESCAPED_ESCAPE).replace(_END, _ESCAPED_END) + _END


class SlipReader:
    """Takes frames out of a stream of bytes that arrives in any pieces.

    What lies between two frames is kept in `junk` until `take_junk()`. A frame longer than
    `size_max` bytes (escaped) is dropped.
    """

    def __init__(self, size_max: int) -> None:
        self._size_max = size_max
        self._unread = bytearray()
        self._inside = False
        self._junk = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads that `data` completes; empty frames are left out."""
        self._unread += data
        frames = []
        while (end := self._unread.find(_END)) >= 0:
            part = bytes(self._unread[:end])
            del self._unread[: end + 1]
            if not self._inside:
                self._junk += part
                self._inside = True
            elif part:
                # An END right behind an END opens a frame again: both ends of a line that was
                # noisy.
                frames.append(part.replace(_ESCAPED_END, _END).replace(_ESCAPED_ESCAPE, _ESCAPE))
                self._inside = False
        if not self._inside:
            self._junk += self._unread
            self._unread.clear()
        elif len(self._unread) > self._size_max:
            self._unread.clear()
            self._inside = False
        return frames

    def take_junk(self) -> bytes:
        """The bytes outside of frames since this was asked last."""
        junk = bytes(self._junk)
        self._junk.clear()
        return junk
