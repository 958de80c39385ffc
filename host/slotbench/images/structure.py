"""The structure of E9 images for Espressif chips, whole or not, as far as it can be read.

`formats.image` and `formats.image_ea` parse the two forms that twoslot starts, and refuse every mistake.
Here other firmware is read too, only to name it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from slotbench.formats.segments import DRAM, E9_MAGIC, EA_MAGIC, HEADER, IROM_MAP_START, SEGMENT, WINDOW_END

__all__ = ["E9Structure", "chip_name", "has_image", "read_structure"]

_SEGMENTS_MAX: Final = 16
_IRAM: Final = range(0x40100000, 0x40110000)
"""All of the instruction RAM; loaders use the part that is cache later."""
_IROM: Final = range(IROM_MAP_START, IROM_MAP_START + WINDOW_END)
_EBOOT: Final = range(0x4010F000, 0x40110000)
_EXTENDED: Final = struct.Struct("<H")
_CHIP_AT: Final = 12
_EXTENDED_BYTES: Final = 16
_CHIPS: Final = {
    0: "ESP32", 2: "ESP32-S2", 5: "ESP32-C3", 9: "ESP32-S3", 12: "ESP32-C2", 13: "ESP32-C6", 16: "ESP32-H2",
    18: "ESP32-P4", 23: "ESP32-C5",
}
_FIRST_OF_ESP32: Final = 0x1000
"""The flash offset of an ESP32's boot loader. An image of a whole flash is blank below."""


@dataclass(frozen=True, slots=True)
class E9Structure:
    """Segments as (address, size in bytes), the entry, and the offset behind the checksum."""

    entry: int
    segments: tuple[tuple[int, int], ...]
    end: int

    @property
    def is_eboot(self) -> bool:
        """Whether it is Arduino's boot loader, which alone runs from the end of the instruction RAM."""
        return self.entry in _EBOOT

    @property
    def has_irom(self) -> bool:
        """Whether a segment is executed from flash."""
        return any(address in _IROM for address, _ in self.segments)


def read_structure(data: bytes, start: int = 0) -> E9Structure | None:
    """The E9 image for an ESP8266 at offset `start`; None if there is none. Its checksum is not verified."""
    if len(data) < start + HEADER.size or data[start] != E9_MAGIC:
        return None
    _, count, _, _, entry = HEADER.unpack_from(data, start)
    if not 1 <= count <= _SEGMENTS_MAX or entry not in _IRAM:
        return None
    at, segments = start + HEADER.size, []
    for _ in range(count):
        if at + SEGMENT.size > len(data):
            return None
        address, size = SEGMENT.unpack_from(data, at)
        if not any(address in part for part in (_IRAM, DRAM, _IROM)) or at + size > len(data):
            return None
        segments.append((address, size))
        at += SEGMENT.size + size
    return E9Structure(entry, tuple(segments), (at | 15) + 1)


def has_image(data: bytes, start: int) -> bool:
    """Whether an E9 or EA image begins at offset `start`."""
    return read_structure(data, start) is not None or data[start : start + 2] == bytes([EA_MAGIC, 4])


def chip_name(data: bytes) -> str | None:
    """The name of the ESP32 chip that an image is for; None if it is for none of them.

    Their header has 16 bytes more than an ESP8266's, with a number of the chip, and their entry lies in RAM
    that an ESP8266 does not have. In an image of a whole flash the first one begins at 0x1000.
    """
    for start in (0, _FIRST_OF_ESP32):
        if start and data[:start].strip(b"\xff"):
            break
        if len(data) < start + HEADER.size + _EXTENDED_BYTES or data[start] != E9_MAGIC:
            continue
        entry = HEADER.unpack_from(data, start)[4]
        if entry in _IRAM or not 0x40000000 <= entry < 0x50000000:
            continue
        number = _EXTENDED.unpack_from(data, start + _CHIP_AT)[0]
        return _CHIPS.get(number, "ESP32")
    return None
