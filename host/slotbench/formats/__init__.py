"""The host's codec of every byte named in device/FORMATS.md.

Pure functions from bytes to values and back: no files, no clock, no network. Imports the standard
library and `slotbench.errors`, nothing else. Written independently of device/twoslot; both meet at
tests/vectors.
"""

from __future__ import annotations

from slotbench.errors import BenchError

SECTOR_BYTES = 4096
"""Smallest unit the flash erases; a block of an image fills exactly one."""

BLANK = 0xFFFFFFFF
"""What an erased 32-bit word reads."""


class FormatError(BenchError):
    """Bytes that are not what FORMATS.md says.

    `offset` is the first byte that is wrong, `field` the name of the document field; either may be
    missing.
    """

    def __init__(
        self, what: str, offset: int | None = None, *, field: str = "", do: str = "",
    ) -> None:
        places = []
        if field:
            places.append(f"field {field}")
        if offset is not None:
            places.append(f"offset 0x{offset:x}")
        super().__init__(what, where=", ".join(places), do=do)
        self.offset = offset
        self.field = field

    def within(self, where: str) -> FormatError:
        """The same fault, its place named inside `where` (a file, a document)."""
        self.where = f"{where}, {self.where}" if self.where else where
        return self
