"""A write to the board's flash as the download mode does it: sectors erased on the way, bits only
cleared.
"""

from __future__ import annotations

from typing import Final

from slotbench.vboard.flash.nor import SECTOR, NorFlash

__all__ = ["DownloadWrite", "Refused", "erase"]

_ACTOR: Final = "download"
_FAILED_SPI: Final = 0xC4
_TOO_MUCH_DATA: Final = 0xC9


class Refused(Exception):
    """A command failed; `code` is the second byte of its status."""

    def __init__(self, code: int) -> None:
        super().__init__(f"0x{code:02x}")
        self.code = code


def erase(flash: NorFlash, sector: int) -> None:
    """Erase a sector on behalf of the host."""
    flash.erase(sector, _ACTOR)


class DownloadWrite:
    """`size` bytes to flash offset `start`, arriving in pieces; `left` is how many are still
    missing.

    With `erases` each sector is erased when the first byte for it arrives, as the stub does it.
    What was never erased keeps the bits that are 0 already, as the part does.
    """

    def __init__(self, flash: NorFlash, start: int, size: int, *, erases: bool) -> None:
        if start % 4 or start + size > flash.size:
            raise Refused(_FAILED_SPI)
        self._flash = flash
        self._at = start
        self._part = b""
        self._erase_next = start // SECTOR if erases else flash.size // SECTOR
        self.left = size

    def add(self, data: bytes) -> None:
        """Program whole words; the rest waits for the next piece, and the last is filled up with
        0xFF.
        """
        if len(data) > self.left:
            raise Refused(_TOO_MUCH_DATA)
        self.left -= len(data)
        data = self._part + data
        if not self.left:
            data += b"\xff" * (-len(data) % 4)
        whole = len(data) & ~3
        self._part = data[whole:]
        self._program(data[:whole])

    def _program(self, data: bytes) -> None:
        if not data:
            return
        while self._erase_next * SECTOR < self._at + len(data):
            erase(self._flash, self._erase_next)
            self._erase_next += 1
        old = self._flash.peek(self._at, len(data))
        if old.count(0xFF) != len(old):
            both = int.from_bytes(old, "little") & int.from_bytes(data, "little")
            data = both.to_bytes(len(old), "little")
        self._flash.write(self._at, data, _ACTOR)
        self._at += len(data)
