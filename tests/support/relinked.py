"""Small images that look linked: functions with pointers and calls to one another, as a linker places them."""

from __future__ import annotations

import functools
import random

from slotbench.formats import image
from slotbench.formats.image import IROM_OFFSET

_FLASH = 0x40200000
_FACTS = b"slotbench firmware \0v1.28.0 on 2025-12-16\0\0\0" + (0x100000).to_bytes(4, "little")


@functools.cache
def relinked(inserted: int = 0, *, seed: int = 1, functions: int = 150, changed: int = 0) -> bytes:
    """An image of about 28 KB of functions. `inserted` bytes (a multiple of 4) of new code in one of them move all
    that lie behind it. `changed` bytes of each image are others.
    """
    rng = random.Random(seed)
    bodies = [code_like(rng, rng.randrange(30, 60) * 4) for _ in range(functions)]
    uses = [[rng.randrange(functions) for _ in range(5)] for _ in range(functions)]
    ram = bytearray(code_like(rng, 0x7E00))
    new = random.Random(inserted)
    bodies[functions // 3] += new.randbytes(inserted)
    places, at = [], IROM_OFFSET + len(_FACTS)
    for body in bodies:
        places.append(at)
        at += 12 + len(body)
    irom = bytearray(_FACTS)
    for place, body, used in zip(places, bodies, uses):
        literals = b"".join((_FLASH + places[to]).to_bytes(4, "little") for to in used[:3])
        code = bytearray(body)
        for index, to in enumerate(used[3:]):
            put_call(code, 8 + 12 * index, place + 12, places[to])
        irom += literals + code
    for index, used in enumerate(uses):
        ram[8 * index:8 * index + 4] = (_FLASH + places[used[0]]).to_bytes(4, "little")
    for _ in range(changed):
        irom[new.randrange(len(_FACTS), len(irom))] = new.randrange(256)
    return image.build_e9([(0x40100000, bytes(ram))], 0x40100420, bytes(irom))


def code_like(rng: random.Random, length: int) -> bytes:
    """Bytes of which a compressor saves about a third."""
    idioms = [rng.randbytes(6) for _ in range(9)]
    made = bytearray()
    while len(made) < length:
        made += rng.choice(idioms) if rng.random() < 0.5 else rng.randbytes(4)
    return bytes(made[:length])


def put_call(code: bytearray, at: int, base: int, target: int) -> None:
    """Write a CALL0 into code[at:] that lies at `base` of the image."""
    words = target - (base + at & ~3) - 4 >> 2 & 0x3FFFF
    code[at:at + 3] = (words << 6 | 5).to_bytes(3, "little")
