"""The ESP8266 image of an ELF file: header, a segment for each loadable one, checksum (FORMATS, E9).

Flash mode DIO, 2 MB, 40 MHz: what most boards have. Whoever flashes a board sets these bytes for it.
"""

from __future__ import annotations

import struct
import sys
from functools import reduce
from operator import xor
from pathlib import Path

_PT_LOAD = 1


def image_of(elf: bytes) -> bytes:
    """The bytes of the image."""
    entry, headers_at = struct.unpack_from("<II", elf, 24)
    size, count = struct.unpack_from("<HH", elf, 42)
    segments = []
    for at in range(headers_at, headers_at + count * size, size):
        kind, offset, _, address, file_bytes = struct.unpack_from("<5I", elf, at)
        if kind == _PT_LOAD and file_bytes:
            content = elf[offset : offset + file_bytes]
            segments.append((address, content + bytes(-file_bytes % 4)))
    out = struct.pack("<4BI", 0xE9, len(segments), 2, 0x30, entry)
    for address, content in segments:
        out += struct.pack("<II", address, len(content)) + content
    out += bytes(15 - len(out) % 16)
    return out + bytes([reduce(xor, b"".join(content for _, content in segments), 0xEF)])


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    target.write_bytes(image_of(source.read_bytes()))
