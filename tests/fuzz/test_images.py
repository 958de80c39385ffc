"""Firmware images: the bench refuses with FormatError only, and takes exactly what the loader can start."""

from __future__ import annotations

import struct
from functools import cache, reduce
from operator import xor

from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from slotbench.formats import FormatError
from slotbench.formats.descriptor import ImageForm
from slotbench.formats.image import IROM_OFFSET, LENGTH_WORD_OFFSET, build_e9
from slotbench.formats.image_ea import build_ea, crc_word
from slotbench.formats.segments import DRAM, IRAM
from support.fuzz import checks as fuzz_checks
from support.fuzz.checks import taken_by_the_bench, taken_by_the_loader
from support.fuzz.strategies import bent, edited
from support.sampling import examples
from support.vboard.flash import image

RAM = [(IRAM.start, bytes(range(256)) * 4), (DRAM.start, b"data" * 20)]
STAMPED = image("1.0.0")
UNSTAMPED = build_e9(RAM, IRAM.start + 0x20, b"\xff" * 100, md5=False)
USER = build_ea(RAM, IRAM.start + 0x20, b"irom" * 40)
RAM_PART_END = LENGTH_WORD_OFFSET & ~15
"""The 16-byte line of the length word has no room for a checksum."""


forms = st.sampled_from(ImageForm)
like_an_image: SearchStrategy[bytes] = st.sampled_from([STAMPED, UNSTAMPED, USER]).flatmap(
    lambda data: st.one_of(bent(data), edited(data), bent(data[:64]).map(lambda head: head + data[64:])))


@examples(200)
@given(data=like_an_image | st.binary(max_size=200), form=forms)
@example(data=b"", form=ImageForm.E9)
@example(data=b"\xe9", form=ImageForm.E9)
@example(data=STAMPED + b"\xff", form=ImageForm.E9)
@example(data=USER + b"\0", form=ImageForm.EA)
def test_any_bytes(data: bytes, form: ImageForm) -> None:
    fuzz_checks.image(data, form)


wrong = st.sampled_from(["", "", "magic", "count", "address", "length", "entry", "checksum"])
lengths = st.sampled_from([0, 4, 64, 1000, 0x1000])


@st.composite
def ram_parts(draw: DrawFn, end: int) -> bytes:
    """Header, segments and checksum, right or wrong in one way; sometimes about up to offset `end`."""
    way = draw(wrong)
    code = (IRAM.start, b"\x55" * draw(st.sampled_from([4, 64, 1000])))
    segments = [(draw(st.sampled_from([IRAM.start + 0x1000, DRAM.start, DRAM.stop - 0x1000])), b"\xa5" * draw(lengths))
                for _ in range(draw(st.integers(0, 2)))]
    segments.insert(draw(st.integers(0, len(segments))), code)
    if way == "address":
        at = draw(st.sampled_from([IRAM.start - 4, IRAM.stop - 4, IRAM.stop, DRAM.stop - 4, 0]) | st.integers(0, 2**32 - 1))
        segments.append((at, b"\xa5" * draw(lengths)))
    elif way == "length":
        segments.append((DRAM.start, b"\xa5" * draw(st.sampled_from([1, 65, 0x8000]))))
    if draw(st.integers(0, 3)) == 0:
        # What is left is shared by two segments, for one of the RAMs would be too small; +-: around the end.
        fill = end - 8 - sum(8 + len(content) for _, content in segments) - 16 + 4 * draw(st.integers(-6, 6))
        half = fill // 2 & ~3
        segments += [(IRAM.start, b"\x11" * half), (DRAM.start, b"\x22" * (fill - half))] if half > 0 else []
    count = draw(st.integers(0, 255)) if way == "count" else len(segments)
    entry = code[0]
    if way == "entry":
        entry = draw(st.sampled_from([IRAM.start - 1, IRAM.start + len(code[1]), DRAM.start]) | st.integers(0, 2**32 - 1))
    out = bytearray(struct.pack("<BBBBI", 0xEA if way == "magic" else 0xE9, count, 0, 0, entry))
    for address, content in segments:
        out += struct.pack("<II", address, len(content)) + content
    checksum = reduce(xor, b"".join(content for _, content in segments), 0xEF) ^ (way == "checksum")
    return bytes(out) + b"\0" * (15 - len(out) % 16) + bytes([checksum])


@cache
def _irom(length: int) -> bytes:
    return b"\xff" * length


@st.composite
def e9_images(draw: DrawFn) -> bytes:
    """Without a length word, so that neither length nor MD5 speaks: only what the loader looks at too."""
    ram = draw(ram_parts(RAM_PART_END))
    data = ram.ljust(IROM_OFFSET, b"\xff")
    if len(ram) <= LENGTH_WORD_OFFSET:
        data = data[:LENGTH_WORD_OFFSET] + b"\xff" * 4 + data[LENGTH_WORD_OFFSET + 4 :]
    return data + _irom(draw(st.sampled_from([4, 4, 4, 100, 1, 0])))


@st.composite
def ea_images(draw: DrawFn) -> bytes:
    """With the right CRC, and both headers of one mind: the loader asks for neither."""
    ram = draw(ram_parts(0x400))
    irom = _irom(draw(st.sampled_from([16, 160, 0x1000])))
    magic, version, address, size = 0xEA, 4, 0, len(irom)
    match draw(st.sampled_from(["", "", "", "magic", "version", "address", "size", "no irom", "odd irom"])):
        case "magic":
            magic = 0xE9
        case "version":
            version = draw(st.integers(0, 255))
        case "address":
            address = 0x40201010
        case "size":
            size = draw(st.sampled_from([0, 15, len(irom) + 16, 0xFFFFFFF0]))
        case "no irom":
            irom, size = b"", 0
        case "odd irom":
            irom, size = irom + b"x", len(irom) + 1
    first = struct.pack("<BBH", magic, version, 0) + ram[4:8] + struct.pack("<II", address, size)
    data = first + irom + ram
    return data + struct.pack("<I", crc_word(data))


@examples(300)
@given(data=e9_images())
@example(data=UNSTAMPED)
def test_the_loader_takes_no_other_e9_image(data: bytes) -> None:
    assert taken_by_the_loader(ImageForm.E9, data) == taken_by_the_bench(ImageForm.E9, data)


@examples(300)
@given(data=ea_images())
@example(data=USER)
def test_the_loader_takes_no_other_ea_image(data: bytes) -> None:
    assert taken_by_the_loader(ImageForm.EA, data) == taken_by_the_bench(ImageForm.EA, data)


segments_to_build = st.lists(
    st.tuples(st.integers(0, 0x3FFC).map(lambda at: IRAM.start + (at & ~3)), st.binary(max_size=40)), max_size=18)


@given(segments=segments_to_build, entry=st.integers(0, 0x4000), irom=st.binary(max_size=100), form=forms)
@example(segments=RAM, entry=0x20, irom=b"irom", form=ImageForm.E9)
@example(segments=RAM, entry=0x20, irom=b"irom", form=ImageForm.EA)
def test_what_is_built_parses_back(
    segments: list[tuple[int, bytes]], entry: int, irom: bytes, form: ImageForm
) -> None:
    """Building gives an image with this content or says why not; never one that would be refused."""
    try:
        data = {ImageForm.E9: build_e9, ImageForm.EA: build_ea}[form](segments, IRAM.start + entry, irom)
    except FormatError:
        assert segments is not RAM
        return
    found = taken_by_the_bench(form, data)
    assert found is not None and found == taken_by_the_loader(form, data)
    assert [(address, content) for address, content in found.segments] == [
        (address, content + bytes(-len(content) % 4)) for address, content in segments]
    assert found.entry == IRAM.start + entry and data[found.irom_offset :].startswith(irom)
