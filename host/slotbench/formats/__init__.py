"""The host's codec of every byte named in device/FORMATS.md.

Pure functions between bytes and values: no files, no clock, no network. Imports only the standard
library and `slotbench.errors`. Written independently of device/twoslot. Both are tested against the
same files in tests/vectors.
"""

from __future__ import annotations

from slotbench.errors import BenchError

SECTOR_BYTES = 4096
"""The smallest unit the flash erases, in bytes. A block of an image fills exactly one sector."""

BLANK = 0xFFFFFFFF
"""The value of an erased 32-bit word."""


class FormatError(BenchError):
    """The bytes do not follow FORMATS.md.

    `offset` is the first wrong byte; `field` is the name of the document field. Either may be missing.
    """

    def __init__(
        self, what: str, offset: int | None = None, *, field: str = "", cure: str = "",
    ) -> None:
        places = []
        if field:
            places.append(f"field {field}")
        if offset is not None:
            places.append(f"offset 0x{offset:x}")
        super().__init__(what, where=", ".join(places), cure=cure)
        self.offset = offset
        self.field = field

    def within(self, where: str) -> FormatError:
        """Add the file or document `where` to the place of this error; return the error."""
        self.where = f"{where}, {self.where}" if self.where else where
        return self
