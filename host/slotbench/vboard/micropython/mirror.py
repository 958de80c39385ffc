"""What a VM sees of the board's filesystem without asking: its blocks, and the time for what it writes.

A file in memory that bench and VM share. The VM can only read it. Reading files costs no call of the host,
and no time of the board.
"""

from __future__ import annotations

import mmap
import os
import struct
from typing import Final

__all__ = ["BLOCKS_AT", "CLOCK_CODE_AT", "FlashMirror"]

ADDRESS: Final = 0x20000000
"""Where it lies in the VM: a small int, and nothing else lies there."""
CLOCK_CODE_AT: Final = ADDRESS
BLOCKS_AT: Final = ADDRESS + mmap.PAGESIZE
_TIME: Final = 64
_CLOCK_CODE: Final = (
    b"\x8b\x44\x24\x04"  # mov eax, [esp + 4]: where the time goes
    b"\xb9" + struct.pack("<I", ADDRESS + _TIME)  # mov ecx, where it is
    + b"\x8b\x11\x89\x10\x8b\x51\x04\x89\x50\x04"  # seconds and microseconds
    b"\x31\xc0\xc3")  # return 0
"""gettimeofday() as the VM's port calls it, of the board's clock."""
_UNIX_2000: Final = 946_684_800


class FlashMirror:
    """A copy of `size` bytes of flash. `descriptor` is for the VM, which maps it at ADDRESS; the host's copy
    of it is closed by `hand_over`.
    """

    def __init__(self, size: int) -> None:
        self.descriptor = os.memfd_create("slotbench")
        self.size = size
        os.ftruncate(self.descriptor, mmap.PAGESIZE + size)
        self._bytes = mmap.mmap(self.descriptor, mmap.PAGESIZE + size)
        self._bytes[: len(_CLOCK_CODE)] = _CLOCK_CODE

    def hand_over(self) -> None:
        """The VM has the file by now."""
        os.close(self.descriptor)

    def put(self, offset: int, data: bytes) -> None:
        """These bytes are in the flash at this offset by now."""
        self._bytes[mmap.PAGESIZE + offset : mmap.PAGESIZE + offset + len(data)] = data

    def set_time(self, us: int) -> None:
        """It is so many microseconds after 2000."""
        seconds, rest = divmod(us, 1_000_000)
        struct.pack_into("<II", self._bytes, _TIME, (seconds + _UNIX_2000) & 0xFFFFFFFF, rest)
