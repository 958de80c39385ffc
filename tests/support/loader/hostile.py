"""Images that a right digest vouches for and that no loader may start."""

from __future__ import annotations

import random
import struct

from slotbench.boards import BoardProfile
from slotbench.formats.image import IROM_OFFSET
from slotbench.formats.segments import DRAM, IRAM, Segment, checksum
from slotbench.vboard.flash.nor import NorFlash
from support.loader.bench import bare, image_for, put

_STACK, _ROM_DATA, _ROM, _LOADER, _CACHE = 0x3FFFFE00, 0x3FFFC000, 0x40000000, 0x4010E000, 0x40108000
_WINDOW, _PERIPHERALS = 0x40200000, 0x60000900
_ENTRY = IRAM.start + 0x20

Segments = tuple[tuple[int, int, bytes], ...]
"""Address, length as the header says it, and the bytes that are there."""

NAMED: dict[str, tuple[Segments, int]] = {
    "over the stack": (((IRAM.start, 64, bytes(64)), (_STACK, 64, bytes(64))), _ENTRY),
    "over the ROM's data": (((IRAM.start, 64, bytes(64)), (_ROM_DATA, 64, bytes(64))), _ENTRY),
    "up to the ROM's data and over it": (((IRAM.start, 64, bytes(64)), (_ROM_DATA - 32, 64, bytes(64))), _ENTRY),
    "over the loader": (((IRAM.start, 64, bytes(64)), (_LOADER, 64, bytes(64))), _ENTRY),
    "over its buffers": (((IRAM.start, 64, bytes(64)), (_CACHE, 64, bytes(64))), _ENTRY),
    "up to its buffers and over them": (((IRAM.start, 64, bytes(64)), (_CACHE - 32, 64, bytes(64))), _ENTRY),
    "below data RAM": (((IRAM.start, 64, bytes(64)), (DRAM.start - 4, 64, bytes(64))), _ENTRY),
    "into the ROM": (((IRAM.start, 64, bytes(64)), (_ROM, 64, bytes(64))), _ENTRY),
    "into the flash window": (((IRAM.start, 64, bytes(64)), (_WINDOW, 64, bytes(64))), _ENTRY),
    "into registers": (((IRAM.start, 64, bytes(64)), (_PERIPHERALS, 64, bytes(64))), _ENTRY),
    "at 0": (((IRAM.start, 64, bytes(64)), (0, 64, bytes(64))), _ENTRY),
    "a length that wraps to before it": (((IRAM.start, 64, bytes(64)), (DRAM.start, 0xFFFFFFFC, bytes(64))), _ENTRY),
    "a length that wraps into IRAM": (((IRAM.start, 0xFFFFFFC0, bytes(64)),), _ENTRY),
    "a length of half the memory": (((IRAM.start, 0x80000000, bytes(64)),), _ENTRY),
    "a length longer than the image": (((IRAM.start, 0x7000, bytes(64)), (DRAM.start, 0x9000, bytes(64))), _ENTRY),
    "a length that is no word": (((IRAM.start, 62, bytes(64)),), _ENTRY),
    "an address that is no word": (((IRAM.start + 2, 64, bytes(64)),), IRAM.start + 0x22),
    "an entry behind its segment": (((IRAM.start, 64, bytes(64)),), IRAM.start + 64),
    "an entry before its segment": (((IRAM.start + 64, 64, bytes(64)),), IRAM.start),
    "an entry in data RAM": (((IRAM.start, 64, bytes(64)), (DRAM.start, 64, bytes(64))), DRAM.start),
    "an entry in the loader": (((IRAM.start, 64, bytes(64)),), _LOADER),
    "an entry in the ROM": (((IRAM.start, 64, bytes(64)),), 0x40000080),
    "an entry at 0": (((IRAM.start, 64, bytes(64)),), 0),
    "no code": (((DRAM.start, 64, bytes(64)),), _ENTRY),
    "no segment": ((), _ENTRY),
}  # fmt: skip


def ram_part(segments: Segments, entry: int, count: int | None = None) -> bytes:
    """Header and segments as they say they are, with the checksum of the bytes that are there."""
    out = bytearray(struct.pack("<BBBBI", 0xE9, len(segments) if count is None else count, 2, 0x30, entry))
    for address, length, data in segments:
        out += struct.pack("<II", address, length) + data
    out += bytes(15 - len(out) % 16)
    out.append(checksum(Segment(address, data) for address, _, data in segments))
    return bytes(out)


def image_with(board: BoardProfile, ram: bytes) -> bytes:
    """An image of the board's form around a RAM part, right in all else."""
    if board.in_place:
        irom = bytes(range(256)) * 16
        return struct.pack("<BBBBIII", 0xEA, 4, 2, 0x30, _ENTRY, 0, len(irom)) + irom + ram + bytes(4)
    head = ram[: IROM_OFFSET - 4].ljust(IROM_OFFSET - 4, b"\xff")
    return head + struct.pack("<I", IROM_OFFSET + 4096) + bytes(range(256)) * 16


def flash_with(board: BoardProfile, hostile: bytes) -> NorFlash:
    """The hostile image is in B, described, confirmed and newest; an honest one is in A."""
    flash = bare(board)
    put(board, flash, 0, image_for(board, "1.0.0", 0), 1, confirmed=True)
    put(board, flash, 1, hostile, 2, confirmed=True)
    return flash


def random_image(board: BoardProfile, seed: int) -> bytes:
    """Mostly honest segments; some number is from where it hurts. It may happen to be right."""
    rng = random.Random(f"hostile {seed}")
    edges = (
        IRAM.start, IRAM.stop, DRAM.start, DRAM.stop, _STACK, _ROM_DATA, _ROM, _LOADER, _CACHE, _WINDOW,
        _PERIPHERALS, 0, 0x80000000, 0x100000000)
    lengths = (0, 4, 64, 60, 0x7FFC, 0x8000, 0x8004, 0x14000, 0x80000000, 0xFFFFFFFC, 0xFFFFFFC0, 0x3FF00000)
    segments = []
    for number in range(rng.choice((1, 2, 2, 3, 16))):
        size = 4 * rng.randrange(1, 24)
        ram = IRAM if number == 0 else rng.choice((IRAM, DRAM))
        address, length, data = ram.start + 96 * number, size, rng.randbytes(size)
        if rng.random() < 0.4:
            address = (rng.choice(edges) + rng.choice((-size, -4, -2, 0, 2, 4, size))) & 0xFFFFFFFF
        if rng.random() < 0.2:
            length = rng.choice(lengths) + rng.choice((0, 0, 0, 1, 2)) & 0xFFFFFFFF
        if not any(address < start + len(it) and start < address + size for start, _, it in segments):
            segments.append((address, length, data))
    entry = rng.choice((_ENTRY, _ENTRY, segments[0][0], rng.choice(edges) & 0xFFFFFFFF, rng.getrandbits(32)))
    count = rng.choice((None, None, None, 0, 1, 17, 255))
    part = bytearray(ram_part(tuple(segments), entry, count))
    if rng.random() < 0.2:
        part[rng.randrange(len(part))] ^= 1 << rng.randrange(8)
    return image_with(board, bytes(part))
