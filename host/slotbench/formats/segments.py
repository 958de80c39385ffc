"""The RAM part of an ESP8266 image: header, segments and checksum. E9 and EA images share its layout.

Header (Espressif's "version 1"): magic 0xE9, number of segments, flash mode, size and frequency
nibbles, entry as u32. A segment is address and size as u32, then its bytes. Behind the last one
follow zeros, and the xor of all segment bytes with 0xEF as the last byte of a 16-byte line.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import xor

from slotbench.formats import FormatError
from slotbench.formats.descriptor import ImageForm

E9_MAGIC = 0xE9
EA_MAGIC = 0xEA
SEGMENTS_MAX = 16
WINDOW_END = 0x100000
"""The SDK maps one megabyte of flash; the irom of an image ends below that."""

IRAM = range(0x40100000, 0x40100000 + 32 * 1024)
DRAM = range(0x3FFE8000, 0x3FFE8000 + 80 * 1024)
IROM_MAP_START = 0x40200000
"""The CPU address of the first byte of the mapped megabyte."""

GET_IT_AGAIN = "get the file again"

HEADER = struct.Struct("<BBBBI")
SEGMENT = struct.Struct("<II")

_CHECKSUM_SEED = 0xEF
_LINE_BYTES = 16


@dataclass(frozen=True, slots=True)
class Segment:
    """A RAM segment: the address that the ROM loads it to, and its bytes."""

    address: int
    data: bytes

    @property
    def end(self) -> int:
        """Address of the first byte behind the segment."""
        return self.address + len(self.data)


@dataclass(frozen=True, slots=True, kw_only=True)
class RamPart:
    """The header and the segments. `end` is the offset behind the checksum."""

    entry: int
    segments: tuple[Segment, ...]
    flash_mode: int
    size_nibble: int
    freq_nibble: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """The facts that both forms of image have. Sizes and offsets are in bytes."""

    length: int
    entry: int
    segments: tuple[Segment, ...]
    flash_mode: int
    size_nibble: int
    freq_nibble: int
    irom_offset: int
    irom_bytes: int


def form_of(data: bytes) -> ImageForm:
    """The form of an image, from its first byte. Raises FormatError if it is not an ESP8266 image."""
    forms = {E9_MAGIC: ImageForm.E9, EA_MAGIC: ImageForm.EA}
    if not data:
        raise FormatError("0 bytes are too few for an ESP8266 image", 0)
    if data[0] not in forms:
        what = f"not an ESP8266 image: byte 0 is 0x{data[0]:02x}, not 0xe9 or 0xea"
        raise FormatError(what, 0, cure="give a firmware .bin")
    return forms[data[0]]


def read_ram_part(data: bytes, start: int, limit: int) -> RamPart:
    """The RAM part that begins at offset `start`. Its segments end before offset `limit`.

    The checksum may lie behind `limit` but not behind `data`. Raises FormatError with the offset of the
    mistake.
    """
    segments, end = _segments(data, start, limit)
    offset = start + ((end - start) | _LINE_BYTES - 1)
    if offset >= len(data):
        raise FormatError("truncated before its checksum", len(data), cure=GET_IT_AGAIN)
    want = checksum(segments)
    if data[offset] != want:
        raise FormatError(
            f"altered: checksum is 0x{data[offset]:02x}, the segments give 0x{want:02x}",
            offset, cure=GET_IT_AGAIN)
    _, _, mode, size_freq, entry = HEADER.unpack_from(data, start)
    return RamPart(
        entry=entry, segments=segments, flash_mode=mode, size_nibble=size_freq >> 4,
        freq_nibble=size_freq & 15, end=offset + 1)


def check_entry(ram: RamPart, offset: int) -> None:
    """Raise FormatError with `offset` unless the entry lies in an instruction RAM segment."""
    if not any(ram.entry in range(code.address, code.end) for code in ram.segments if code.address in IRAM):
        raise FormatError(f"entry 0x{ram.entry:08x} is not in an instruction RAM segment", offset)


def pack_ram_part(
    segments: Sequence[tuple[int, bytes]], entry: int, *, flash_mode: int, size_freq: int,
) -> bytes:
    """The header, the segments (address, bytes) and the checksum.

    Segments are padded with 0 to a multiple of 4, as esptool does.
    """
    out = bytearray(HEADER.pack(E9_MAGIC, len(segments), flash_mode, size_freq, entry))
    padded = [Segment(address, content + bytes(-len(content) % 4)) for address, content in segments]
    for segment in padded:
        out += SEGMENT.pack(segment.address, len(segment.data)) + segment.data
    out += bytes(_LINE_BYTES - 1 - len(out) % _LINE_BYTES)
    out.append(checksum(padded))
    return bytes(out)


def checksum(segments: Iterable[Segment]) -> int:
    """The checksum byte of these segments."""
    return reduce(xor, b"".join(segment.data for segment in segments), _CHECKSUM_SEED)


def _segments(data: bytes, start: int, limit: int) -> tuple[tuple[Segment, ...], int]:
    """The RAM segments, and the offset behind the last one."""
    if len(data) < start + HEADER.size:
        raise FormatError(f"{len(data)} bytes are too few for an ESP8266 image", len(data))
    magic, count = data[start], data[start + 1]
    if magic != E9_MAGIC:
        what = f"not an ESP8266 image: byte {start} is 0x{magic:02x}, not 0xe9"
        raise FormatError(what, start, cure="give a firmware .bin")
    if not 1 <= count <= SEGMENTS_MAX:
        raise FormatError(f"{count} segments, not 1-{SEGMENTS_MAX}", start + 1)
    segments = []
    offset = start + HEADER.size
    for number in range(count):
        if offset + SEGMENT.size > limit:
            raise FormatError(f"segment {number} begins behind the RAM part of the image", offset)
        if offset + SEGMENT.size > len(data):
            raise FormatError(f"truncated before segment {number}", len(data), cure=GET_IT_AGAIN)
        address, size = SEGMENT.unpack_from(data, offset)
        if not any(ram.start <= address <= address + size <= ram.stop for ram in (IRAM, DRAM)):
            raise FormatError(
                f"segment {number} ({size} bytes for 0x{address:08x}) is not inside RAM", offset)
        if address % 4:
            raise FormatError(f"segment {number} has address 0x{address:08x}, not a multiple of 4", offset)
        if size % 4:
            raise FormatError(f"segment {number} has {size} bytes, not a multiple of 4", offset + 4)
        offset += SEGMENT.size
        if offset + size >= limit:
            raise FormatError(f"segment {number} reaches behind the RAM part of the image", offset)
        if offset + size > len(data):
            raise FormatError(f"truncated inside segment {number}", len(data), cure=GET_IT_AGAIN)
        segments.append(Segment(address, data[offset:offset + size]))
        offset += size
    return tuple(segments), offset
