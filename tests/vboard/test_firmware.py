"""The bench's firmware: images like real ones, and what a CPU that runs them does."""

from __future__ import annotations

import zlib

import pytest

from slotbench.errors import BenchError
from slotbench import images
from slotbench.formats.image import IROM_OFFSET, parse_e9
from slotbench.vboard.firmware import DEFAULT_BYTES, SMALLEST_BYTES, Behaviour, Marker, build, marker_of
from support.vboard.flash import image


def ram(data: bytes) -> list[tuple[int, bytes]]:
    return [(segment.address, segment.data) for segment in parse_e9(data).segments]


@pytest.mark.parametrize("does", list(Behaviour))
def test_an_image_says_itself_what_it_does(does: Behaviour) -> None:
    data = image("2.0.0", does)
    marker = marker_of(ram(data), data[IROM_OFFSET:])
    assert (marker.version, marker.does) == ("2.0.0", does)


@pytest.mark.parametrize("size", [SMALLEST_BYTES, 100_001, DEFAULT_BYTES])
def test_images_are_real_ones_of_about_the_size_wanted(size: int) -> None:
    data = build("1.0", size=size)
    parsed = parse_e9(data)
    assert size - 4 <= len(data) <= size
    assert parsed.md5_ok and parsed.length_word == len(data) - 16
    assert [segment.address for segment in parsed.segments] == [0x40100000, 0x3FFE8000]
    assert 33_000 <= sum(len(segment.data) for segment in parsed.segments) <= 33_500


def test_the_filesystem_start_is_in_the_image() -> None:
    assert images.identify(build("1.0", size=SMALLEST_BYTES)).fs_start == 0x100000
    assert images.identify(build("1.0", size=SMALLEST_BYTES, fs_start=0x98000)).fs_start == 0x99000


def test_content_is_like_firmware_and_versions_share_a_third() -> None:
    one, two = build("1.0.0"), build("2.0.0")
    ratio = len(zlib.compress(one, 9)) / len(one)
    assert 0.55 < ratio < 0.8, "real ones compress to about two thirds"
    blocks = [one[i : i + 4096] == two[i : i + 4096] for i in range(0, len(one), 4096)]
    assert 0.25 < sum(blocks) / len(blocks) < 0.4


def test_images_are_reproducible() -> None:
    assert build("1.0", size=SMALLEST_BYTES) == build("1.0", size=SMALLEST_BYTES)
    assert build("1.0", size=SMALLEST_BYTES) != build("1.0", size=SMALLEST_BYTES, seed=1)


def test_ram_of_one_build_with_irom_of_another_crashes() -> None:
    one, two = image("1.0.0"), image("2.0.0")
    assert marker_of(ram(one), two[IROM_OFFSET:]).does is Behaviour.CRASH
    assert marker_of(ram(one), b"\xff" * 4096).does is Behaviour.CRASH
    torn = bytearray(two[IROM_OFFSET:])
    torn[:256] = one[IROM_OFFSET : IROM_OFFSET + 256]
    assert marker_of(ram(two), bytes(torn)).does is Behaviour.CRASH


def test_a_real_micropython_image_is_healthy() -> None:
    irom = b"\x12\x34" * 99 + b"MicroPython v1.22.1 on 2024-01-05; ESP module with ESP8266\0"
    assert marker_of([(0x40100000, b"code")], irom) == Marker(None, "1.22.1", Behaviour.HEALTHY)
    assert marker_of([(0x40100000, b"code")], b"") == Marker(None, None, Behaviour.HEALTHY)


def test_a_size_too_small_and_a_version_too_long_are_refused() -> None:
    with pytest.raises(BenchError, match="use at least"):
        build("1.0", size=40_000)
    with pytest.raises(BenchError, match="does not fit"):
        build("1" * 300, size=SMALLEST_BYTES)
