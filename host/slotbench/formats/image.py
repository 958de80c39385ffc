"""E9 images as MicroPython's ESP8266 port publishes them: parsing with every check, building.

Layout (ports/esp8266/makeimg.py; Espressif's E9 header): header and RAM segments from 0, checksum,
0xFF up to 0x9000 with the total length as u32 at 0x8FFC, irom from 0x9000, then 16 bytes of MD5
over [4, total). The first 4 bytes are left out because flashing tools rewrite them.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import xor

from slotbench.formats import BLANK, SECTOR_BYTES, FormatError

E9_MAGIC = 0xE9
SEGMENTS_MAX = 16
IROM_OFFSET = 0x9000
LENGTH_WORD_OFFSET = 0x8FFC
WINDOW_END = 0x100000
"""The SDK maps one megabyte of flash; the irom of an image ends below that."""

IRAM = range(0x40100000, 0x40100000 + 32 * 1024)
DRAM = range(0x3FFE8000, 0x3FFE8000 + 80 * 1024)

_RAM_PART_END = LENGTH_WORD_OFFSET & ~15
"""The checksum ends a 16-byte line, and the length word is in the last one."""

_CHECKSUM_SEED = 0xEF
_HEADER = struct.Struct("<BBBBI")
_SEGMENT = struct.Struct("<II")
_WORD = struct.Struct("<I")
_MD5_BYTES = 16
_AGAIN = "get the file again"
_BANNER = re.compile(rb"v(\d+\.\d+(?:\.\d+)?[-\w.]*) on \d{4}-\d\d-\d\d")


@dataclass(frozen=True, slots=True)
class Segment:
    """A RAM segment: where the ROM puts it, and its bytes."""

    address: int
    data: bytes

    @property
    def end(self) -> int:
        """Address of the first byte behind the segment."""
        return self.address + len(self.data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What the bytes of an image say. All sizes in bytes.

    `length_word` and `md5_ok` are None when the image has none (builds that did not go through
    makeimg); a trailer that is there and wrong is a FormatError, never False. `irom_bytes` counts
    all that follows 0x9000, the trailer included: what the exec window holds. `micropython` is the
    version in the banner. `fs_start` is derived by `filesystem_start`.
    """

    length: int
    entry: int
    segments: tuple[Segment, ...]
    flash_mode: int
    size_nibble: int
    freq_nibble: int
    irom_offset: int
    irom_bytes: int
    length_word: int | None
    md5_ok: bool | None
    micropython: str | None
    fs_start: int | None


@dataclass(frozen=True, slots=True)
class _Layout:
    """A link layout of MicroPython's port: `_firmware_size`, and where flashbdev.py mounts."""

    firmware_size: int
    fs_start: int


# boards/esp8266_1MiB.ld and esp8266_2MiB.ld; below 1 MB flashbdev.py leaves one sector to native
# code.
_LAYOUTS = (_Layout(0x98000, 0x99000), _Layout(0x100000, 0x100000))


def parse_e9(data: bytes) -> Image:
    """Parse and check an image with irom at 0x9000.

    Raises FormatError with the offset of what is wrong.
    """
    segments, end = _segments(data)
    _check_checksum(data, segments, end)
    if len(data) <= IROM_OFFSET:
        raise FormatError("truncated before its irom at 0x9000", len(data), do=_AGAIN)
    if len(data) > WINDOW_END:
        raise FormatError(f"image has {len(data)} bytes, more than the 1 MiB the chip maps", WINDOW_END)
    length_word = _length_word(data)
    _, _, mode, size_freq, entry = _HEADER.unpack_from(data)
    if not any(entry in range(code.address, code.end) for code in segments if code.address in IRAM):
        raise FormatError(f"entry 0x{entry:08x} is not in an instruction RAM segment", 4)
    banner = _BANNER.search(data, IROM_OFFSET) or _BANNER.search(data)
    return Image(
        length=len(data), entry=entry, segments=segments,
        flash_mode=mode, size_nibble=size_freq >> 4, freq_nibble=size_freq & 15,
        irom_offset=IROM_OFFSET, irom_bytes=len(data) - IROM_OFFSET,
        length_word=length_word, md5_ok=_md5_ok(data, length_word),
        micropython=banner.group(1).decode() if banner else None,
        fs_start=filesystem_start(data),
    )


def filesystem_start(data: bytes) -> int | None:
    """Flash offset where this firmware has its filesystem, when the bytes tell; else None.

    `esp.flash_user_start()` returns the link-time symbol `_firmware_size`; nothing in the file is
    reserved for it. Evidence: an image that returns the address of a symbol must hold that value as
    an aligned 32-bit literal (the lx106 has no other way to load a relocated constant), and the
    linker refuses an image longer than the size. Inference: that the image is one of MicroPython's
    own two layouts (FLASH_1M: 0x98000, the default 2 MiB build and ROMFS: 0x100000) and not a
    custom link whose constant happens to be absent here. So a layout is a candidate when its
    literal is present and the image fits it; the answer is given only when exactly one is left. A
    FLASH_1M image that also holds 0x100000 for another reason stays undecided: then the caller has
    to be told.
    """
    candidates = [
        layout for layout in _LAYOUTS
        if len(data) <= layout.firmware_size + _MD5_BYTES and _has_literal(data, layout.firmware_size)
    ]
    return candidates[0].fs_start if len(candidates) == 1 else None


def may_start_at(data: bytes, fs_start: int) -> bool:
    """Whether the image holds the literal that firmware with its filesystem at `fs_start` needs."""
    firmware_size = fs_start if fs_start >= WINDOW_END else fs_start - SECTOR_BYTES
    return _has_literal(data, firmware_size)


def build_e9(
    segments: Sequence[tuple[int, bytes]], entry: int, irom: bytes, *,
    flash_mode: int = 0, size_nibble: int = 2, freq_nibble: int = 0, md5: bool = True,
) -> bytes:
    """The image that makeimg.py would write for these RAM segments (address, bytes) and this irom.

    Segments are padded with 0 to a multiple of 4, as esptool does. Header defaults are those of
    MicroPython's published files (QIO, 1 MB, 40 MHz: never read in a slot). Raises FormatError when
    `parse_e9` would not take the result.
    """
    size_freq = size_nibble << 4 | freq_nibble
    out = bytearray(_HEADER.pack(E9_MAGIC, len(segments), flash_mode, size_freq, entry))
    padded = [Segment(address, content + bytes(-len(content) % 4)) for address, content in segments]
    for segment in padded:
        out += _SEGMENT.pack(segment.address, len(segment.data)) + segment.data
    out += bytes(15 - len(out) % 16)
    out.append(_checksum(padded))
    if len(out) > LENGTH_WORD_OFFSET:
        raise FormatError(f"RAM part has {len(out)} bytes, more than fit", LENGTH_WORD_OFFSET)
    out += b"\xff" * (LENGTH_WORD_OFFSET - len(out))
    out += _WORD.pack(IROM_OFFSET + len(irom)) + irom
    if md5:
        out += hashlib.md5(out[4:], usedforsecurity=False).digest()
    image = bytes(out)
    parse_e9(image)
    return image


def _segments(data: bytes) -> tuple[tuple[Segment, ...], int]:
    """The RAM segments and the offset behind the last one."""
    if len(data) < _HEADER.size:
        raise FormatError(f"{len(data)} bytes are too few for an ESP8266 image", len(data))
    magic, count = data[0], data[1]
    if magic != E9_MAGIC:
        raise FormatError(
            f"not an ESP8266 image: byte 0 is 0x{magic:02x}, not 0xe9", 0, do="give a firmware .bin")
    if not 1 <= count <= SEGMENTS_MAX:
        raise FormatError(f"{count} segments, not 1-{SEGMENTS_MAX}", 1)
    segments = []
    offset = _HEADER.size
    for number in range(count):
        if offset + _SEGMENT.size > _RAM_PART_END:
            raise FormatError(f"segment {number} begins behind the RAM part of the image", offset)
        if offset + _SEGMENT.size > len(data):
            raise FormatError(f"truncated before segment {number}", len(data), do=_AGAIN)
        address, size = _SEGMENT.unpack_from(data, offset)
        if not any(ram.start <= address <= address + size <= ram.stop for ram in (IRAM, DRAM)):
            raise FormatError(
                f"segment {number} ({size} bytes for 0x{address:08x}) is not inside RAM", offset)
        if size % 4:
            raise FormatError(f"segment {number} has {size} bytes, not a multiple of 4", offset + 4)
        offset += _SEGMENT.size
        if offset + size >= _RAM_PART_END:
            raise FormatError(f"segment {number} reaches behind the RAM part of the image", offset)
        if offset + size > len(data):
            raise FormatError(f"truncated inside segment {number}", len(data), do=_AGAIN)
        segments.append(Segment(address, data[offset:offset + size]))
        offset += size
    return tuple(segments), offset


def _checksum(segments: Iterable[Segment]) -> int:
    return reduce(xor, b"".join(segment.data for segment in segments), _CHECKSUM_SEED)


def _check_checksum(data: bytes, segments: Iterable[Segment], end: int) -> None:
    """The ROM wants the xor of the segments at the end of the 16-byte line behind them."""
    offset = end | 15
    if offset >= len(data):
        raise FormatError("truncated before its checksum", len(data), do=_AGAIN)
    want = _checksum(segments)
    if data[offset] != want:
        raise FormatError(
            f"altered: checksum is 0x{data[offset]:02x}, the segments give 0x{want:02x}",
            offset, do=_AGAIN)


def _length_word(data: bytes) -> int | None:
    length: int = _WORD.unpack_from(data, LENGTH_WORD_OFFSET)[0]
    if length == BLANK:
        return None
    if len(data) not in (length, length + _MD5_BYTES):
        what = "truncated" if len(data) < length else "altered, or something is appended"
        raise FormatError(
            f"{what}: image has {len(data)} bytes, its length word says {length}",
            LENGTH_WORD_OFFSET, do=_AGAIN)
    return length


def _md5_ok(data: bytes, length_word: int | None) -> bool | None:
    if length_word is None or len(data) == length_word:
        return None
    if hashlib.md5(data[4:length_word], usedforsecurity=False).digest() != data[length_word:]:
        raise FormatError("altered: MD5 at the end does not match", length_word, do=_AGAIN)
    return True


def _has_literal(data: bytes, value: int) -> bool:
    """Whether the image holds the aligned 32-bit word `value`; the length word does not count."""
    word = _WORD.pack(value)
    at = data.find(word)
    while at >= 0:
        if at % 4 == 0 and at != LENGTH_WORD_OFFSET:
            return True
        at = data.find(word, at + 1)
    return False
