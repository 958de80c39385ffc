"""`formats.image_ea`: user images are built as esptool and gen_appbin.py build them and parsed with every check."""

from __future__ import annotations

import io
import random
import struct
import zlib

import pytest
from esptool.bin_image import ESP8266V2FirmwareImage, ImageSegment, LoadFirmwareImage
from hypothesis import strategies as st
from hypothesis import given

from slotbench.formats import FormatError
from slotbench.formats.descriptor import ImageForm
from slotbench.formats.image import parse_e9
from slotbench.formats.image_ea import LINK_ADDRESSES, build_ea, crc_word, irom_address, parse_ea
from slotbench.formats.segments import form_of
from support.samples import make_firmware

IRAM, DRAM, ENTRY = 0x40100000, 0x3FFE8000, 0x40100004
USER1, USER2_512K, USER2_1M = LINK_ADDRESSES
SMALL = [(IRAM, b"\x11" * 64), (DRAM, b"\x22" * 32)]
IROM_BYTES = 5008  # 5000 padded to 16
RAM = 16 + IROM_BYTES
SEGMENT_0, SEGMENT_1, SEGMENTS_END = RAM + 8, RAM + 8 + 8 + 64, RAM + 8 + 8 + 64 + 8 + 32
CHECKSUM = SEGMENTS_END | 15
LENGTH = CHECKSUM + 1 + 4


def small(irom: bytes = b"3" * 5000, **options: int) -> bytes:
    return build_ea(SMALL, ENTRY, irom, **options)


def patched(data: bytes, offset: int, change: bytes, *, crc: bool = True) -> bytes:
    """The image with bytes changed. With `crc` the trailer is corrected; another check must then find the change."""
    changed = data[:offset] + change + data[offset + len(change):]
    return changed[:-4] + u32(crc_word(changed[:-4])) if crc else changed


def u32(value: int) -> bytes:
    return struct.pack("<I", value)


def linked(address: int, irom_bytes: int, pointers: int = 64, *, seed: int = 1, noise: int = 0) -> bytes:
    """An irom whose only address-like words are `pointers` into itself and `noise` pointers anywhere."""
    rng = random.Random(seed)
    words = [rng.randrange(0x1000) for _ in range(irom_bytes // 4)]
    targets = [address + 4 * rng.randrange(irom_bytes // 4) for _ in range(pointers)]
    targets += [0x40200000 + 4 * rng.randrange(0x40000) for _ in range(noise)]
    for place, target in zip(rng.sample(range(len(words)), len(targets)), targets):
        words[place] = target
    return struct.pack(f"<{len(words)}I", *words)


def test_the_built_layout_is_that_of_gen_appbin() -> None:
    image = small(flash_mode=2, size_nibble=2, freq_nibble=15)

    assert image[:8] == bytes([0xEA, 4, 2, 0x2F]) + u32(ENTRY)
    assert image[8:16] == u32(0) + u32(IROM_BYTES)
    assert image[16:16 + 5000] == b"\x33" * 5000
    assert image[16 + 5000:RAM] == bytes(8)
    assert image[RAM:RAM + 8] == bytes([0xE9, 2, 2, 0x2F]) + u32(ENTRY)
    assert image[SEGMENT_0:SEGMENT_0 + 8] == u32(IRAM) + u32(64)
    assert image[CHECKSUM] == 0xEF  # an even number of equal bytes
    assert len(image) == LENGTH


@given(st.data())
def test_a_built_image_is_esptools_byte_for_byte(data: st.DataObject) -> None:
    rng = random.Random(data.draw(st.integers(0, 2**32)))
    sizes = data.draw(st.lists(st.integers(1, 3000), min_size=1, max_size=8))
    irom = rng.randbytes(data.draw(st.integers(1, 3000)))
    segments, address = [], IRAM
    for size in sizes:
        segments.append((address, rng.randbytes(size)))
        address += size + -size % 4
    theirs = ESP8266V2FirmwareImage()
    theirs.entrypoint, theirs.flash_mode, theirs.flash_size_freq = IRAM, 2, 0x20
    theirs.segments = [ImageSegment(USER1, irom), *(ImageSegment(*segment) for segment in segments)]
    for segment in theirs.segments:
        segment.pad_to_alignment(4)

    image = build_ea(segments, IRAM, irom, flash_mode=2, size_nibble=2)

    assert image == theirs.save(None)


@given(st.data())
def test_esptool_and_the_parser_agree_on_a_built_image(data: st.DataObject) -> None:
    rng = random.Random(data.draw(st.integers(0, 2**32)))
    sizes = data.draw(st.lists(st.integers(1, 3000), min_size=1, max_size=8))
    segments = [(DRAM, rng.randbytes(size)) for size in sizes] + [(IRAM, rng.randbytes(100))]
    image = build_ea(segments, IRAM, rng.randbytes(data.draw(st.integers(1, 3000))))

    ours, theirs = parse_ea(image), LoadFirmwareImage("esp8266", image)
    irom, *ram = theirs.segments

    assert isinstance(theirs, ESP8266V2FirmwareImage)
    assert theirs.checksum == theirs.calculate_checksum()
    assert theirs.entrypoint == ours.entry
    assert image[ours.irom_offset:ours.irom_offset + ours.irom_bytes] == irom.data
    assert [(s.addr, s.data) for s in ram] == [(s.address, s.data) for s in ours.segments]


@pytest.mark.parametrize(("segments", "entry", "irom", "what"), [
    ([], ENTRY, b"irom", "0 segments"),
    ([(IRAM, bytes(8))] * 17, ENTRY, b"irom", "17 segments"),
    ([(DRAM, bytes(8))], DRAM, b"irom", "entry 0x3ffe8000 is not in an instruction RAM segment"),
    ([(IRAM - 4, bytes(8))], ENTRY, b"irom", "not inside RAM"),
    (SMALL, ENTRY, b"", "irom has 0 bytes"),
    (SMALL, ENTRY, bytes(0x100000), "more than the 1 MiB"),
])
def test_an_image_that_the_chip_could_not_load_is_not_built(
    segments: list[tuple[int, bytes]], entry: int, irom: bytes, what: str,
) -> None:
    with pytest.raises(FormatError, match=what):
        build_ea(segments, entry, irom)


def test_the_trailer_is_esptools_crc32() -> None:
    from esptool.bin_image import esp8266_crc32

    rng = random.Random(5)
    samples = [rng.randbytes(40) for _ in range(64)]

    assert {zlib.crc32(data) >> 31 for data in samples} == {0, 1}, "both branches"
    assert [crc_word(data) for data in samples] == [esp8266_crc32(data) for data in samples]
    assert all(crc_word(data) <= 0x80000000 for data in samples)


def test_parsing_a_whole_image() -> None:
    image = parse_ea(small(flash_mode=2, size_nibble=2, freq_nibble=15))

    assert (image.length, image.irom_offset, image.irom_bytes) == (LENGTH, 16, IROM_BYTES)
    assert (image.entry, image.irom_address) == (ENTRY, None)
    assert (image.flash_mode, image.size_nibble, image.freq_nibble) == (2, 2, 15)
    assert [(s.address, s.data) for s in image.segments] == SMALL


@pytest.mark.parametrize(("data", "what", "offset"), [
    (b"", "0 bytes are too few", 0),
    (small()[:15], "15 bytes are too few", 15),
    (b"PK\x03\x04" + bytes(60000), "^not an EA user image: byte 0 is 0x50", 0),
    (make_firmware(50_000), "an E9 image, not an EA user image", 0),
    (patched(small(), 1, b"\x03"), "byte 1 of a user image is 4, not 3", 1),
    (patched(small(), 8, u32(USER1)), "irom has address 0x40201010, not 0", 8),
    (patched(small(), 12, u32(0)), "irom has 0 bytes", 12),
    (patched(small(), 12, u32(IROM_BYTES + 4)), "irom has 5012 bytes, not a multiple of 16", 12),
    (patched(small(), 12, u32(IROM_BYTES - 16)), "byte 5008 is 0x33, not 0xe9", RAM - 16),
    (patched(small(), 12, u32(0x10000)), "truncated inside its irom", LENGTH),
    (patched(small(), 4, u32(ENTRY + 4)), "headers disagree on the entry: 0x40100008, 0x40100004", 4),
    (patched(small(), RAM, b"\xe8"), "byte 5024 is 0xe8, not 0xe9", RAM),
    (patched(small(), RAM + 1, b"\x00"), "0 segments, not 1-16", RAM + 1),
    (patched(small(), RAM + 1, b"\x11"), "17 segments, not 1-16", RAM + 1),
    (patched(small(), RAM + 4, u32(IRAM + 64)), "entry 0x40100040 is not in", RAM + 4),
    (patched(small(), SEGMENT_0, u32(0x40108000)), "segment 0 .* is not inside RAM", SEGMENT_0),
    (patched(small(), SEGMENT_1, u32(USER1)), "segment 1 .* is not inside RAM", SEGMENT_1),
    (patched(small(), SEGMENT_1 + 4, u32(30)), "segment 1 has 30 bytes", SEGMENT_1 + 4),
    (patched(small(), SEGMENT_1 + 4, u32(0x1000)), "truncated inside segment 1", LENGTH),
    (patched(small(), CHECKSUM, b"\x00"), "checksum is 0x00, the segments give 0xef", CHECKSUM),
    (patched(small(), SEGMENT_0 + 8, b"\x12"), "checksum is 0xef, the segments give 0xec", CHECKSUM),
    (small()[:RAM + 4], "too few", RAM + 4),
    (small()[:SEGMENT_1 + 9], "truncated inside segment 1", SEGMENT_1 + 9),
    (small()[:SEGMENTS_END], "truncated before its checksum", SEGMENTS_END),
    (small()[:-1], f"truncated: image has {LENGTH - 1} bytes, not {LENGTH}", LENGTH - 4),
    (small() + b"\0", f"bytes were appended: image has {LENGTH + 1} bytes", LENGTH - 4),
    (patched(small(), 100, b"\x34", crc=False), "altered: CRC32 word is 0x", LENGTH - 4),
    (small()[:-4] + bytes(4), "altered: CRC32 word is 0x00000000", LENGTH - 4),
])
def test_a_refusal_names_the_mistake_and_its_offset(data: bytes, what: str, offset: int) -> None:
    with pytest.raises(FormatError, match=what) as caught:
        parse_ea(data)

    assert caught.value.offset == offset


@given(st.integers(0, LENGTH - 1), st.integers(1, 255))
def test_every_changed_byte_is_detected(offset: int, change: int) -> None:
    data = bytearray(small())
    data[offset] ^= change

    with pytest.raises(FormatError):
        parse_ea(bytes(data))


@given(st.integers(0, LENGTH - 1))
def test_every_cut_is_detected(length: int) -> None:
    with pytest.raises(FormatError):
        parse_ea(small()[:length])


def test_a_user_image_is_not_an_e9_image() -> None:
    with pytest.raises(FormatError, match="byte 0 is 0xea, not 0xe9"):
        parse_e9(small())


def test_the_first_byte_decides_the_form() -> None:
    assert form_of(small()) is ImageForm.EA
    assert form_of(make_firmware(50_000)) is ImageForm.E9
    with pytest.raises(FormatError, match="byte 0 is 0x7f, not 0xe9 or 0xea"):
        form_of(b"\x7fELF")
    with pytest.raises(FormatError, match="0 bytes are too few"):
        form_of(b"")


@pytest.mark.parametrize("address", LINK_ADDRESSES)
@pytest.mark.parametrize("irom_bytes", [16 * 1024, 202 * 1024, 448 * 1024])
@pytest.mark.parametrize("noise", [0, 16])
def test_the_link_address_follows_from_pointers_into_the_irom(
    address: int, irom_bytes: int, noise: int,
) -> None:
    irom = linked(address, irom_bytes, noise=noise)

    assert parse_ea(build_ea(SMALL, ENTRY, irom)).irom_address == address


def test_pointers_in_ram_count() -> None:
    """Instruction RAM calls flash through literals of its own."""
    literals = struct.pack("<8I", *(USER2_1M + 64 * i for i in range(8)))
    image = build_ea([(IRAM, bytes(64) + literals)], ENTRY, bytes(4096))

    assert parse_ea(image).irom_address == USER2_1M


@pytest.mark.parametrize(("pointers", "noise"), [(0, 0), (7, 0), (0, 200), (64, 200)])
def test_too_few_or_scattered_pointers_give_no_link_address(pointers: int, noise: int) -> None:
    irom = linked(USER1, 202 * 1024, pointers, noise=noise)

    assert parse_ea(build_ea(SMALL, ENTRY, irom)).irom_address is None


@pytest.mark.parametrize("seed", range(20))
def test_random_words_give_no_link_address(seed: int) -> None:
    """One random word in 4096 looks like an address in a megabyte of flash."""
    irom = random.Random(seed).randbytes(448 * 1024)

    assert parse_ea(build_ea(SMALL, ENTRY, irom)).irom_address is None


def test_unaligned_words_do_not_count() -> None:
    irom = b"\0" + linked(USER1, 16 * 1024)

    assert parse_ea(build_ea(SMALL, ENTRY, irom)).irom_address is None


def test_the_link_address_of_another_flash_map() -> None:
    data = build_ea(SMALL, ENTRY, linked(0x40221010, 64 * 1024))

    assert parse_ea(data).irom_address is None
    assert irom_address(data, 64 * 1024, (*LINK_ADDRESSES, 0x40221010)) == 0x40221010


def test_two_fitting_addresses_give_no_link_address() -> None:
    data = build_ea(SMALL, ENTRY, linked(USER1, 64 * 1024))

    assert irom_address(data, 64 * 1024, (USER1, USER1 + 0x1000)) is None


def test_esptool_reads_a_built_image_from_a_file() -> None:
    image = ESP8266V2FirmwareImage(io.BytesIO(small()))

    assert image.entrypoint == ENTRY
