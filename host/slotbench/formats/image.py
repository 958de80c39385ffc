"""E9 images, as MicroPython's ESP8266 port publishes them: parsing with every check, and building.

Layout (ports/esp8266/makeimg.py; Espressif's E9 header): header and RAM segments from 0, checksum,
0xFF up to 0x9000 with the total length as u32 at 0x8FFC, irom from 0x9000, then 16 bytes of MD5
over [4, total). The MD5 leaves out the first 4 bytes because flashing tools rewrite them.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from slotbench.formats import BLANK, FormatError
from slotbench.formats.segments import (
    DRAM,
    E9_MAGIC,
    GET_IT_AGAIN,
    IRAM,
    SEGMENTS_MAX,
    WINDOW_END,
    ImageFacts,
    Segment,
    check_entry,
    pack_ram_part,
    read_ram_part,
)

__all__ = [
    "DRAM", "E9_MAGIC", "IRAM", "IROM_OFFSET", "LENGTH_WORD_OFFSET", "SEGMENTS_MAX", "WINDOW_END", "Image",
    "Segment", "build_e9", "parse_e9",
]

IROM_OFFSET = 0x9000
LENGTH_WORD_OFFSET = 0x8FFC

_RAM_PART_END = LENGTH_WORD_OFFSET & ~15
"""The RAM part ends at a 16-byte line. The last line before the irom holds the length word."""

_WORD = struct.Struct("<I")
_MD5_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Image(ImageFacts):
    """The facts in the bytes of an E9 image.

    `length_word` and `md5_ok` are None when the image has none, as in builds without makeimg. A wrong
    MD5 trailer is a FormatError, so `md5_ok` is never False. `irom_bytes` counts every byte from 0x9000
    on, including the trailer, as the exec window holds them. `slotbench.images` says what firmware it is.
    """

    length_word: int | None
    md5_ok: bool | None


def parse_e9(data: bytes) -> Image:
    """Parse and check an image with irom at 0x9000. Raises FormatError with the offset of the mistake."""
    ram = read_ram_part(data, 0, _RAM_PART_END)
    if len(data) <= IROM_OFFSET:
        raise FormatError("truncated before its irom at 0x9000", len(data), cure=GET_IT_AGAIN)
    if len(data) > WINDOW_END:
        raise FormatError(f"image has {len(data)} bytes, more than the 1 MiB the chip maps", WINDOW_END)
    length_word = _length_word(data)
    check_entry(ram, 4)
    return Image(
        length=len(data), entry=ram.entry, segments=ram.segments,
        flash_mode=ram.flash_mode, size_nibble=ram.size_nibble, freq_nibble=ram.freq_nibble,
        irom_offset=IROM_OFFSET, irom_bytes=len(data) - IROM_OFFSET,
        length_word=length_word, md5_ok=_md5_ok(data, length_word),
    )


def build_e9(
    segments: Sequence[tuple[int, bytes]], entry: int, irom: bytes, *,
    flash_mode: int = 0, size_nibble: int = 2, freq_nibble: int = 0, md5: bool = True,
) -> bytes:
    """The image that makeimg.py would write for these RAM segments (address, bytes) and this irom.

    Segments are padded with 0 to a multiple of 4, as esptool does. The header defaults are those of
    MicroPython's published files (QIO, 1 MB, 40 MHz); a slot never uses them. Raises FormatError when
    `parse_e9` would refuse the result.
    """
    out = bytearray(
        pack_ram_part(segments, entry, flash_mode=flash_mode, size_freq=size_nibble << 4 | freq_nibble))
    if len(out) > LENGTH_WORD_OFFSET:
        raise FormatError(f"RAM part has {len(out)} bytes, more than fit", LENGTH_WORD_OFFSET)
    out += b"\xff" * (LENGTH_WORD_OFFSET - len(out))
    out += _WORD.pack(IROM_OFFSET + len(irom)) + irom
    if md5:
        out += hashlib.md5(out[4:], usedforsecurity=False).digest()
    image = bytes(out)
    parse_e9(image)
    return image


def _length_word(data: bytes) -> int | None:
    length: int = _WORD.unpack_from(data, LENGTH_WORD_OFFSET)[0]
    if length == BLANK:
        return None
    if len(data) not in (length, length + _MD5_BYTES):
        what = "truncated" if len(data) < length else "altered, or bytes were appended"
        raise FormatError(
            f"{what}: image has {len(data)} bytes, its length word says {length}",
            LENGTH_WORD_OFFSET, cure=GET_IT_AGAIN)
    return length


def _md5_ok(data: bytes, length_word: int | None) -> bool | None:
    if length_word is None or len(data) == length_word:
        return None
    if hashlib.md5(data[4:length_word], usedforsecurity=False).digest() != data[length_word:]:
        raise FormatError("altered: MD5 at the end does not match", length_word, cure=GET_IT_AGAIN)
    return True
