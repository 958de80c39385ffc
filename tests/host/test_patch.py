"""slotbench.patch and formats.patch: every pair of images comes back byte for byte, and nothing hostile is obeyed."""

from __future__ import annotations

import random
import zlib

import pytest

from golden.patches import packed_numbers
from slotbench.formats import FormatError
from slotbench.formats.patch import HEADER_BYTES, PatchHeader, apply_patch
from slotbench.patch import make_patch, pack_image
from support.relinked import relinked

OLD = relinked()


def bytes_of(seed: int, length: int) -> bytes:
    return random.Random(seed).randbytes(length)


def pack(old_length: int, new_length: int, *numbers: int | bytes, bits: int = 10) -> bytes:
    """A patch of any content."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, -bits, 9)
    packed = deflater.compress(packed_numbers(*numbers)) + deflater.flush()
    return PatchHeader(bits, old_length, new_length).pack() + packed


@pytest.mark.parametrize("new", [
    OLD, relinked(20), relinked(4, changed=1), relinked(20, changed=500), relinked(2000), relinked(seed=2),
    OLD[:5000], OLD[5000:], OLD + OLD, OLD[:8191] + b"\x40" + OLD[8192:], b"\x40", bytes(50_000), bytes_of(1, 9000),
    OLD[::-1],
], ids=range(14))
@pytest.mark.parametrize("predict", [True, False])
def test_each_pair_comes_back(new: bytes, predict: bool) -> None:
    patch = make_patch(OLD, new, predict=predict)

    assert apply_patch(OLD, patch) == new
    assert len(patch) < len(new) * 1.02 + 64


@pytest.mark.parametrize("length", [1, 2, 7, 8, 9, 511, 512, 513, 1023, 1025, 4095, 4096, 4097])
def test_short_images_come_back(length: int) -> None:
    old, new = bytes_of(2, length), bytes_of(2, length)[: length // 2] + bytes_of(3, 40)
    assert apply_patch(old, make_patch(old, new)) == new
    assert apply_patch(b"", pack_image(new)) == new


def test_prediction_makes_a_relink_small() -> None:
    """What moved is said once, not at each pointer and call."""
    new = relinked(20)
    edited, predicted = make_patch(OLD, new, predict=False), make_patch(OLD, new)

    assert len(predicted) < len(edited) / 3 and len(predicted) < 400
    assert len(make_patch(OLD, OLD)) < 40


@pytest.mark.parametrize("bits", [9, 10, 11, 12])
def test_the_window_is_the_one_that_the_header_names(bits: int) -> None:
    packed = pack_image(OLD, bits)
    assert PatchHeader.unpack(packed).window_bits == bits
    zlib.decompressobj(-bits).decompress(packed[HEADER_BYTES:])


def test_a_bomb_makes_no_more_than_the_image() -> None:
    """10 MB of operations in a few KB: it ends where the image does, or with the first that makes nothing."""
    literal = pack(0, 1000, 0, 0, 0, 1000, bytes(10_000_000))
    assert apply_patch(b"", literal) == bytes(1000)
    with pytest.raises(FormatError, match="operation of 0"):
        apply_patch(b"", pack(0, 1000, 0, 0, bytes(10_000_000)))


def test_endless_empty_deflate_blocks_are_refused() -> None:
    """Stored blocks without a byte in them."""
    with pytest.raises(FormatError, match="ends too early"):
        apply_patch(b"", PatchHeader(10, 0, 10).pack() + b"\0\0\0\xff\xff" * 50_000)


@pytest.mark.parametrize("seed", range(20))
def test_any_damage_is_refused_or_makes_another_image(seed: int) -> None:
    rng = random.Random(seed)
    patch = bytearray(make_patch(OLD[:20_000], relinked(20, changed=9)[:20_000]))
    for _ in range(30):
        damaged = bytearray(patch)
        for _ in range(rng.randrange(1, 4)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        try:
            made = apply_patch(OLD[:20_000], bytes(damaged))
        except FormatError:
            continue
        assert len(made) == PatchHeader.unpack(bytes(damaged)).new_length
