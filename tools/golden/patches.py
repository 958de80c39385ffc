"""Golden patches: two images that look linked, what leads from one to the other, and what must be refused.

Their deflate streams are stored blocks: how a compressor compresses is not part of the format.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator

from golden.common import text_of
from slotbench.formats.patch import PatchHeader
from slotbench.patch.alignment import find_copies
from slotbench.patch.encoder import operations
from slotbench.patch.movement import Prediction, find_prediction

_FLASH = 0x40200000


def patch_files() -> dict[str, bytes]:
    """patches/: old.bin, new.bin, and patches with what they make."""
    old, new = _linked(0), _linked(8)
    files = {"patches/old.bin": old, "patches/new.bin": new}
    digest = hashlib.sha256(new).hexdigest()
    for name, data in _right(old, new):
        files[f"patches/{name}.patch"] = data
        files[f"patches/{name}.json"] = text_of({"sha256": digest})
    for name, data in _hostile(old, new):
        files[f"patches/{name}.patch"] = data
        files[f"patches/{name}.json"] = text_of({"sha256": None})
    return files


def _right(old: bytes, new: bytes) -> Iterator[tuple[str, bytes]]:
    copies = find_copies(old, new)
    header = PatchHeader(10, len(old), len(new))
    yield "edited", _packed(header, operations(old, new, copies, Prediction()))
    yield "predicted", _packed(header, operations(old, new, copies, find_prediction(old, new, copies)))
    yield "whole", _packed(PatchHeader(10, 0, len(new)), operations(b"", new, [], Prediction()))


def _hostile(old: bytes, new: bytes) -> Iterator[tuple[str, bytes]]:
    header = PatchHeader(10, len(old), len(new))
    packed = header.pack()
    some = stored(packed_numbers(0, 0, 0, 5, b"image"))
    yield "another_magic", b"2SP0" + packed[4:] + some
    yield "window_too_large", packed[:4] + b"\x0d" + packed[5:] + some
    yield "another_old_image", PatchHeader(10, len(old) - 1, len(new)).pack() + some
    yield "longer_than_the_slot", packed[:12] + (1 << 20).to_bytes(4, "little") + some
    yield "nothing_behind_the_header", packed
    yield "no_deflate_stream", packed + b"\xff\xff\xff"
    yield "endless_empty_blocks", packed + b"\0\0\0\xff\xff" * 2000
    for name, numbers in (
        ("map_too_long", (129,)),
        ("key_too_large", (1, 1 << 24, 0)),
        ("shift_too_large", (1, 0, (1 << 26) - 1)),
        ("too_many_flags", (0, 999)),
        ("unknown_flag", (0, 1, b"\4")),
        ("long_number", (b"\x80\x80\x80\x80\0",)),
        ("empty_operation", (0, 0, 0, 0)),
        ("empty_operations", (0, 0, bytes(60_000))),
        ("literals_behind_the_end", (0, 0, 0, len(new) + 1, bytes(100))),
        ("copy_behind_the_end", (0, 0, len(new), 1, 0, 0)),
        ("before_the_old_image", (0, 0, 10, 0, 1, 0)),
        ("behind_the_old_image", (0, 0, 10, 0, 2 * (len(old) - 9), 0)),
        ("too_many_edits", (0, 0, 10, 0, 0, 11, bytes(99))),
        ("edit_behind_the_copy", (0, 0, 10, 0, 0, 1, 9 << 2 | 1, b"\1\1")),
        ("edit_over_the_end_of_a_block", (0, 0, 5000, 0, 0, 1, 4095 << 2 | 1, b"\1\1")),
        ("cut", (0, 0, 10, 0, 0, 0)),
    ):
        yield name, packed + stored(packed_numbers(*numbers))


def packed_numbers(*numbers: int | bytes) -> bytes:
    """Numbers as a patch has them, and bytes as they are."""
    made = bytearray()
    for number in numbers:
        if isinstance(number, bytes):
            made += number
            continue
        while number > 0x7F:
            made.append(number & 0x7F | 0x80)
            number >>= 7
        made.append(number)
    return bytes(made)


def _packed(header: PatchHeader, stream: bytes) -> bytes:
    return header.pack() + stored(stream)


def stored(stream: bytes) -> bytes:
    """A deflate stream of one stored block."""
    length = len(stream)
    return b"\1" + length.to_bytes(2, "little") + (length ^ 0xFFFF).to_bytes(2, "little") + stream


def _linked(inserted: int) -> bytes:
    """40 functions with pointers and calls to one another; `inserted` bytes of code are in the tenth."""
    rng = random.Random(22)
    bodies = [rng.randbytes(rng.randrange(20, 40) * 4) for _ in range(40)]
    uses = [[rng.randrange(40) for _ in range(3)] for _ in range(40)]
    bodies[10] += bytes(range(1, inserted + 1))
    places = [sum(8 + len(body) for body in bodies[:index]) for index in range(40)]
    image = bytearray()
    for place, body, used in zip(places, bodies, uses):
        code = bytearray(body)
        words = places[used[2]] - (place + 8) - 4 >> 2 & 0x3FFFF
        code[:3] = (words << 6 | 5).to_bytes(3, "little")
        image += b"".join((_FLASH + places[to]).to_bytes(4, "little") for to in used[:2]) + code
    return bytes(image)
