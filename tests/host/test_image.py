"""`formats.image`: E9 images are built as makeimg.py builds them and parsed with every check."""

from __future__ import annotations

import hashlib
import random
import struct
from typing import Any

import pytest
from esptool.bin_image import LoadFirmwareImage
from hypothesis import strategies as st
from hypothesis import given

from slotbench.formats import FormatError
from slotbench.formats.image import build_e9, parse_e9
from support.samples import make_firmware

IRAM, DRAM, ENTRY = 0x40100000, 0x3FFE8000, 0x40100004
SMALL = [(IRAM, b"\x11" * 64), (DRAM, b"\x22" * 32)]
SEGMENT_0, SEGMENT_1, SEGMENTS_END = 8, 8 + 8 + 64, 8 + 8 + 64 + 8 + 32


def small(irom: bytes = b"3" * 5000, **options: Any) -> bytes:
    return build_e9(SMALL, ENTRY, irom, **options)


def patched(data: bytes, offset: int, change: bytes) -> bytes:
    return data[:offset] + change + data[offset + len(change):]


def u32(value: int) -> bytes:
    return struct.pack("<I", value)


def test_the_built_layout_is_that_of_makeimg() -> None:
    image = small()

    assert image[:8] == bytes([0xE9, 2, 0, 0x20]) + u32(ENTRY)
    assert image[8:16] == u32(IRAM) + u32(64)
    assert image[SEGMENTS_END | 15] == 0xEF ^ 0  # an even number of equal bytes
    end = (SEGMENTS_END | 15) + 1
    assert image[end:0x8FFC] == b"\xff" * (0x8FFC - end)
    assert image[0x8FFC:0x9000] == u32(0x9000 + 5000)
    assert image[0x9000:0x9000 + 5000] == b"\x33" * 5000
    assert image[0x9000 + 5000:] == hashlib.md5(image[4:0x9000 + 5000]).digest()


@given(st.data())
def test_esptool_and_the_parser_agree_on_a_built_image(data: st.DataObject) -> None:
    rng = random.Random(data.draw(st.integers(0, 2**32)))
    sizes = data.draw(st.lists(st.integers(1, 3000), min_size=1, max_size=8))
    segments, address = [], IRAM
    for size in sizes:
        segments.append((address, rng.randbytes(size)))
        address += size + -size % 4
    image = build_e9(segments, IRAM, rng.randbytes(data.draw(st.integers(1, 3000))))

    ours, theirs = parse_e9(image), LoadFirmwareImage("esp8266", image)

    assert theirs.checksum == theirs.calculate_checksum()
    assert theirs.entrypoint == ours.entry == IRAM
    assert [(s.addr, s.data) for s in theirs.segments] == [(s.address, s.data) for s in ours.segments]
    assert [s.data[:len(content)] for s, (_, content) in zip(ours.segments, segments)] == [
        content for _, content in segments]


def test_header_options() -> None:
    parsed = parse_e9(small(flash_mode=2, size_nibble=3, freq_nibble=15))

    assert (parsed.flash_mode, parsed.size_nibble, parsed.freq_nibble) == (2, 3, 15)


@pytest.mark.parametrize(("segments", "entry", "what"), [
    ([], ENTRY, "0 segments"),
    ([(IRAM, bytes(8))] * 17, ENTRY, "17 segments"),
    ([(DRAM, bytes(8))], DRAM, "entry 0x3ffe8000 is not in an instruction RAM segment"),
    ([(IRAM, bytes(0x8000)), (DRAM, bytes(0x2000))], ENTRY, "RAM part has .* more than fit"),
    ([(IRAM - 4, bytes(8))], ENTRY, "not inside RAM"),
])
def test_an_image_that_the_chip_could_not_load_is_not_built(
    segments: list[tuple[int, bytes]], entry: int, what: str,
) -> None:
    with pytest.raises(FormatError, match=what):
        build_e9(segments, entry, b"irom")


def test_parsing_a_whole_image() -> None:
    data = make_firmware(641_964)

    image = parse_e9(data)

    assert (image.length, image.irom_offset, image.irom_bytes) == (641_964, 0x9000, 605_100)
    assert (image.length_word, image.md5_ok) == (641_948, True)
    assert image.entry == 0x40100420
    assert [(s.address, s.end) for s in image.segments] == [
        (IRAM, IRAM + 0x7000), (DRAM, DRAM + 1004)]


def test_parsing_an_image_without_a_trailer() -> None:
    assert parse_e9(small(md5=False)).md5_ok is None


def test_without_a_length_word_the_end_is_not_checked() -> None:
    image = parse_e9(patched(small(), 0x8FFC, b"\xff" * 4)[:-7])

    assert (image.length_word, image.md5_ok) == (None, None)


@pytest.mark.parametrize(("data", "what", "offset"), [
    (b"", "0 bytes are too few", 0),
    (b"\xe9\x01\x00", "3 bytes are too few", 3),
    (b"PK\x03\x04" + bytes(60000), "not an ESP8266 image: byte 0 is 0x50", 0),
    (patched(small(), 1, b"\x00"), "0 segments, not 1-16", 1),
    (patched(small(), 1, b"\x11"), "17 segments, not 1-16", 1),
    (patched(small(), 4, u32(IRAM + 64)), "entry 0x40100040 is not in", 4),
    (patched(small(), SEGMENT_0, u32(0x40108000)), "segment 0 .* is not inside RAM", SEGMENT_0),
    (patched(small(), SEGMENT_0, u32(0x40107FC4)), "segment 0 .* is not inside RAM", SEGMENT_0),
    (patched(small(), SEGMENT_1, u32(0x3FFFBFE4)), "segment 1 .* is not inside RAM", SEGMENT_1),
    (patched(small(), SEGMENT_1, u32(0x40210000)), "segment 1 .* is not inside RAM", SEGMENT_1),
    (patched(small(), SEGMENT_1 + 4, u32(30)), "segment 1 has 30 bytes", SEGMENT_1 + 4),
    (patched(small(), SEGMENT_1 + 4, u32(0xA000)), "segment 1 reaches behind", SEGMENT_1 + 8),
    (small()[:12], "truncated before segment 0", 12),
    (small()[:SEGMENT_1 + 9], "truncated inside segment 1", SEGMENT_1 + 9),
    (small()[:SEGMENTS_END], "truncated before its checksum", SEGMENTS_END),
    (patched(small(), 40, b"\x12"), "checksum is 0xef, the segments give 0xec", SEGMENTS_END | 15),
    (patched(small(), SEGMENTS_END | 15, b"\x00"), "checksum is 0x00", SEGMENTS_END | 15),
    (small()[:0x9000], "truncated before its irom", 0x9000),
    (small()[:0x9000 + 4999], "truncated: image has 41863 bytes, its length word says 41864", 0x8FFC),
    (small()[:-1], "41879 bytes, its length word says 41864", 0x8FFC),
    (small() + b"\0", "bytes were appended", 0x8FFC),
    (patched(small(), 0x9100, b"\x34"), "MD5 at the end does not match", 41864),
    (patched(small(), 3000, b"\x00"), "MD5 at the end does not match", 41864),
    (small()[:-1] + b"\0", "MD5 at the end does not match", 41864),
    (b"\xe9" + bytes([16]) + bytes(6) + (u32(DRAM) + u32(0x4000) + bytes(0x4000)) * 2
     + (u32(DRAM) + u32(0xFCC) + bytes(0xFCC)), "segment 3 begins behind the RAM part", 0x8FEC),
    (b"\xe9" + bytes([3]) + bytes(6) + (u32(DRAM) + u32(0x4000) + bytes(0x4000)) * 2
     + (u32(DRAM) + u32(0xFD0) + bytes(0x1000)), "segment 2 reaches behind the RAM part", 0x8020),
])
def test_a_refusal_names_the_mistake_and_its_offset(data: bytes, what: str, offset: int) -> None:
    with pytest.raises(FormatError, match=what) as caught:
        parse_e9(data)

    assert caught.value.offset == offset


def test_the_first_four_bytes_are_outside_the_md5() -> None:
    """Flashing tools rewrite these bytes."""
    assert parse_e9(patched(small(), 2, b"\x02\x30")).md5_ok


def test_an_image_larger_than_the_window_is_refused() -> None:
    irom = bytes(0x100000 - 0x9000)
    assert parse_e9(build_e9(SMALL, ENTRY, irom, md5=False)).length == 0x100000

    with pytest.raises(FormatError, match="more than the 1 MiB"):
        build_e9(SMALL, ENTRY, irom)


@given(st.integers(0, 41879), st.integers(1, 255))
def test_every_changed_byte_is_detected(offset: int, change: int) -> None:
    data = bytearray(small())
    data[offset] ^= change

    if offset in (2, 3):
        parse_e9(bytes(data))
    elif 0x8FFC <= offset < 0x9000 and data[0x8FFC:0x9000] == b"\xff" * 4:
        pytest.fail("one byte cannot blank the length word")
    else:
        with pytest.raises(FormatError):
            parse_e9(bytes(data))


@given(st.integers(0, 41879))
def test_every_cut_except_that_of_the_trailer_is_detected(length: int) -> None:
    data = small()[:length]

    if length == 41864:
        assert parse_e9(data).md5_ok is None
    else:
        with pytest.raises(FormatError):
            parse_e9(data)
