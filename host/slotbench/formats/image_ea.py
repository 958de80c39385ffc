"""EA images, Espressif's "version 2" user images (user1.bin, user2.bin): parsing with every check, building.

Layout (esptool bin_image.py, ESP8266V2FirmwareImage; Espressif's gen_appbin.py): 8 bytes of header
(0xEA, 4, flash mode, size and frequency nibbles, entry), the irom as a segment with address 0 padded
to 16 bytes, then header, RAM segments and checksum as in an E9 image, then a CRC32 over all of it.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from slotbench.formats import FormatError
from slotbench.formats.segments import (
    E9_MAGIC,
    EA_MAGIC,
    GET_IT_AGAIN,
    HEADER,
    IROM_MAP_START,
    SEGMENT,
    WINDOW_END,
    ImageFacts,
    check_entry,
    pack_ram_part,
    read_ram_part,
)

VERSION_BYTE = 4
"""Byte 1 of the header. An E9 image has its number of segments there."""

IROM_OFFSET = HEADER.size + SEGMENT.size
LINK_ADDRESSES = (0x40201010, 0x40241010, 0x40281010)
"""The irom addresses of user1, of user2 in 512 KB (256+256), and of user2 in 1 MB (512+512)."""

_IROM_LINE_BYTES = 16
_CRC = struct.Struct("<I")
_POINTERS_MIN = 8
_POINTERS_SHARE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class UserImage(ImageFacts):
    """The facts in the bytes of an EA image.

    `irom_address` is the CPU address that the irom was linked for, from the function `irom_address`;
    None if the image does not show it.
    """

    irom_address: int | None


def parse_ea(data: bytes) -> UserImage:
    """Parse and check a user image. Raises FormatError with the offset of the mistake."""
    irom_bytes = _irom_bytes(data)
    if len(data) > WINDOW_END:
        raise FormatError(f"image has {len(data)} bytes, more than the 1 MiB the chip maps", WINDOW_END)
    start = IROM_OFFSET + irom_bytes
    ram = read_ram_part(data, start, WINDOW_END)
    check_entry(ram, start + 4)
    first_entry: int = HEADER.unpack_from(data)[4]
    if first_entry != ram.entry:
        raise FormatError(f"its headers disagree on the entry: 0x{first_entry:08x}, 0x{ram.entry:08x}", 4)
    if len(data) != ram.end + _CRC.size:
        what = "truncated" if len(data) < ram.end + _CRC.size else "bytes were appended"
        raise FormatError(
            f"{what}: image has {len(data)} bytes, not {ram.end + _CRC.size}", ram.end, cure=GET_IT_AGAIN)
    found, want = _CRC.unpack_from(data, ram.end)[0], crc_word(data[:ram.end])
    if found != want:
        raise FormatError(
            f"altered: CRC32 word is 0x{found:08x}, the bytes give 0x{want:08x}", ram.end, cure=GET_IT_AGAIN)
    return UserImage(
        length=len(data), entry=ram.entry, segments=ram.segments, flash_mode=ram.flash_mode,
        size_nibble=ram.size_nibble, freq_nibble=ram.freq_nibble, irom_offset=IROM_OFFSET,
        irom_bytes=irom_bytes, irom_address=irom_address(data, irom_bytes))


def irom_address(data: bytes, irom_bytes: int, candidates: Iterable[int] = LINK_ADDRESSES) -> int | None:
    """The one of `candidates` that the irom was linked for; None if the image does not show it.

    No field of the file holds it: the irom segment has address 0. Evidence: code and tables hold absolute
    addresses of the image's own irom as aligned 32-bit words (function pointers, and literals of calls from
    instruction RAM, which a relative call cannot reach). They lie in [link address, link address + irom).
    Assumption: a word that looks like a flash address is one. Code bytes look like addresses by chance too,
    spread over the whole megabyte. A candidate therefore counts when its range holds at least 8 such words,
    and three times as many as lie outside. The result is the only candidate that counts. An image with few
    pointers gives None; then only its author knows the slot.
    """
    whole = len(data) & ~3
    words = struct.unpack_from(f"<{whole // 4}I", data)
    pointers = [word for word in words if IROM_MAP_START <= word < IROM_MAP_START + WINDOW_END]

    def counts(address: int) -> bool:
        inside = sum(1 for pointer in pointers if address <= pointer < address + irom_bytes)
        return inside >= _POINTERS_MIN and inside >= _POINTERS_SHARE * (len(pointers) - inside)

    found = [address for address in sorted(set(candidates)) if counts(address)]
    return found[0] if len(found) == 1 else None


def build_ea(
    segments: Sequence[tuple[int, bytes]], entry: int, irom: bytes, *,
    flash_mode: int = 0, size_nibble: int = 0, freq_nibble: int = 0,
) -> bytes:
    """The image that esptool's `elf2image --version 2` would write for these RAM segments and this irom.

    `segments` are (address, bytes). The irom is padded with 0 to a multiple of 16. Raises FormatError when
    `parse_ea` would refuse the result.
    """
    size_freq = size_nibble << 4 | freq_nibble
    padded = irom + bytes(-len(irom) % _IROM_LINE_BYTES)
    out = HEADER.pack(EA_MAGIC, VERSION_BYTE, flash_mode, size_freq, entry)
    out += SEGMENT.pack(0, len(padded)) + padded
    out += pack_ram_part(segments, entry, flash_mode=flash_mode, size_freq=size_freq)
    image = out + _CRC.pack(crc_word(out))
    parse_ea(image)
    return image


def crc_word(data: bytes) -> int:
    """The last word of an image: the CRC32 of all bytes before, inverted if bit 31 is set, else plus one."""
    crc = zlib.crc32(data)
    return crc ^ 0xFFFFFFFF if crc >> 31 else crc + 1


def _irom_bytes(data: bytes) -> int:
    """The size of the irom in bytes, from the first header."""
    if len(data) < IROM_OFFSET:
        raise FormatError(f"{len(data)} bytes are too few for an ESP8266 image", len(data))
    if data[0] != EA_MAGIC:
        what = "an E9 image, not" if data[0] == E9_MAGIC else "not"
        raise FormatError(f"{what} an EA user image: byte 0 is 0x{data[0]:02x}, not 0xea", 0)
    if data[1] != VERSION_BYTE:
        raise FormatError(f"byte 1 of a user image is 4, not {data[1]}", 1)
    address, size = SEGMENT.unpack_from(data, HEADER.size)
    if address:
        raise FormatError(f"irom has address 0x{address:08x}, not 0", HEADER.size)
    if not size or size % _IROM_LINE_BYTES:
        raise FormatError(f"irom has {size} bytes, not a multiple of 16 above 0", HEADER.size + 4)
    if IROM_OFFSET + size > len(data):
        raise FormatError("truncated inside its irom", len(data), cure=GET_IT_AGAIN)
    return int(size)
