"""Board files of native firmware: the two maps load, and every mistake in an in-place map is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from slotbench import boards
from slotbench.boards import NOWHERE, Layout, Region, SlotMap
from slotbench.formats.image_ea import LINK_ADDRESSES
from support.board_files import Write, board_text, refusal, writer
from support.guides.page import section

FORMATS = Path(__file__).parents[2] / "device" / "FORMATS.md"
README = Path(__file__).parents[2] / "boards" / "README.md"
NATIVE = board_text("native_512k")
NAMES = ("native_512k", "native_1m")


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a board file: native_512k with replacements, or a text of its own."""
    return writer(tmp_path, NATIVE)


def test_the_articles_map() -> None:
    """512 KB: loader 4K, user1 236K at 0x1000, parameters 16K, 4K, user2 236K at 0x41000, SDK 16K."""
    board = boards.load("native_512k")

    assert (board.layout, board.size_nibble) == (Layout.IN_PLACE, 0)
    assert (board.chip_bytes, board.visible_bytes) == (0x80000, 0x80000)
    assert board.loader == Region(0, 0x1000)
    assert board.journal == Region(0x3C000, 0x2000)
    assert board.slots == (
        SlotMap(Region(0x3E000, 0xF00), Region(0x3EF00, 0x100), Region(0x1000, 236 * 1024)),
        SlotMap(Region(0x3F000, 0xF00), Region(0x3FF00, 0x100), Region(0x41000, 236 * 1024)),
    )
    assert board.sdk == Region(0x7C000, 16 * 1024)


def test_its_larger_one() -> None:
    board = boards.load("native_1m")

    assert (board.layout, board.size_nibble) == (Layout.IN_PLACE, 2)
    assert (board.chip_bytes, board.visible_bytes) == (0x100000, 0x100000)
    assert board.journal == Region(0x7C000, 0x2000)
    assert board.slots == (
        SlotMap(Region(0x7E000, 0xF00), Region(0x7EF00, 0x100), Region(0x1000, 492 * 1024)),
        SlotMap(Region(0x7F000, 0xF00), Region(0x7FF00, 0x100), Region(0x81000, 492 * 1024)),
    )
    assert board.sdk == Region(0xFC000, 16 * 1024)


@pytest.mark.parametrize("name", NAMES)
def test_what_both_have_in_common(name: str) -> None:
    board = boards.load(name)

    assert board.in_place and board.bench_only and not board.verified_on_hardware
    assert boards.BENCH_ONLY == "bench only: no on-device updater exists for this map"
    assert f"# {boards.BENCH_ONLY}" in board_text(name)
    assert (board.window, board.window_log, board.filesystem, board.identity) == (NOWHERE,) * 4
    assert set(board.regions()) == {
        "regions.loader", "regions.journal", "regions.sdk_parameters",
        *(f"slot_{letter}.{key}" for letter in "ab" for key in ("table", "descriptor", "image")),
    }
    assert (board.fs_start, board.irom_offset) == (0, 16)
    assert set(board.sources) == {"chip", "loader_header", "regions", "slot_a", "slot_b"}


def test_link_addresses_are_those_of_the_sdk() -> None:
    addresses = [[boards.load(name).irom_address(slot) for slot in (0, 1)] for name in NAMES]

    assert addresses == [[0x40201010, 0x40241010], [0x40201010, 0x40281010]]
    assert {address for pair in addresses for address in pair} == set(LINK_ADDRESSES)
    assert [boards.load("generic_4m").irom_address(slot) for slot in (0, 1)] == [0x40209000] * 2


def test_the_device_map_has_0_for_what_is_not_there() -> None:
    assert boards.load("native_512k").device_map() == [
        0x3C000, 0, 0x3E000, 0x3EF00, 0x3F000, 0x3FF00, 0x1000, 0x41000, 0x3B000, 0, 0,
        0, 0x80000, 0x80000, 16,
    ]


@pytest.mark.parametrize("name", NAMES)
def test_newer_sdks_keep_rf_calibration_inside_user2_and_the_file_says_so(name: str) -> None:
    board = boards.load(name)
    sector = board.visible_bytes - boards.SDK_BYTES

    assert sector in board.slots[1].image
    assert f"(0x{sector:X})" in board_text(name)


@pytest.mark.parametrize("name", NAMES)
def test_the_maps_are_those_of_formats_md(name: str) -> None:
    text = section(FORMATS, "Flash map")
    starts = {int(text, 16) for text in re.findall(r"0x([0-9A-F]{6})(?=[-, |])", text)}

    regions = boards.load(name).regions().values()
    assert {region.start for region in regions} <= starts
    assert all(region.end - 1 in starts for region in regions)


def test_windows_are_not_bench_only(tmp_path: Path) -> None:
    generic = board_text("generic_4m")
    path = tmp_path / "mine.toml"
    path.write_text("bench_only = true\n" + generic, encoding="utf-8")

    assert not boards.load("generic_4m").bench_only
    assert "true with layout window" in refusal(path)


TABLE_A = "table = { start_offset = 0x03E000, size_bytes = 0xF00 }"
DESCRIPTOR_A = "descriptor = { start_offset = 0x03EF00, size_bytes = 0x100 }"
IMAGE_A = "image = { start_offset = 0x001000, size_bytes = 0x3B000 }"
IMAGE_B = "image = { start_offset = 0x041000, size_bytes = 0x3B000 }"
JOURNAL = "journal = { start_offset = 0x03C000, size_bytes = 0x2000 }"
SDK = "sdk_parameters = { start_offset = 0x07C000, size_bytes = 0x4000 }"


@pytest.mark.parametrize(("old", "new", "what"), [
    ("bench_only = true\n", "",
     "bench_only is false with layout in_place; only in-place maps are bench only: no on-device updater exists "
     "for this map: {}, field bench_only"),
    ("bench_only = true", "bench_only = false", "false with layout in_place"),
    ("bench_only = true", "bench_only = 1", "1 is not true or false: {}, field bench_only"),
    (TABLE_A, TABLE_A.replace("0xF00", "0x1000"), "overlaps slot_a.table"),
    (TABLE_A, TABLE_A.replace("0xF00", "0xE00"), "0xe00 bytes, not 0xf00: {}, field slot_a.table.size_bytes"),
    (TABLE_A, TABLE_A.replace("0x03E000", "0x03DF00"), "overlaps regions.journal"),
    (TABLE_A, TABLE_A.replace("0x03E000", "0x040100"),
     "0x40100 is not a multiple of 4096: {}, field slot_a.table.start_offset"),
    (DESCRIPTOR_A, DESCRIPTOR_A.replace("0x03EF00", "0x040000"),
     "is not the last page of the table's sector: {}, field slot_a.descriptor.start_offset; use 0x03ef00"),
    (DESCRIPTOR_A, DESCRIPTOR_A.replace("0x100", "0x1000"), "overlaps slot_a.descriptor"),
    (IMAGE_A, IMAGE_A.replace("0x001000", "0x001100"),
     "0x1100 is not a multiple of 4096: {}, field slot_a.image.start_offset"),
    (IMAGE_A, IMAGE_A.replace("0x3B000", "0x3C000"), "overlaps slot_a.image"),
    (IMAGE_B, IMAGE_B.replace("0x3B000", "0x3A000"),
     "slots differ in size: {}, field slot_b.image.size_bytes"),
    (IMAGE_B, IMAGE_B.replace("0x3B000", "0x3C000"), "overlaps slot_b.image"),
    (SDK, SDK.replace("0x07C000, size_bytes = 0x4000", "0x07D000, size_bytes = 0x3000"),
     "is not the last 16 KB of visible_size_bytes: {}, field regions.sdk_parameters"),
    (JOURNAL, JOURNAL.replace("0x2000", "0x1000"), "0x1000 bytes, not 0x2000"),
    (JOURNAL, JOURNAL + "\nwindow_log = { start_offset = 0x040000, size_bytes = 0x1000 }",
     "field is not known: {}, field regions.window_log"),
    (JOURNAL, JOURNAL + "\nfilesystem = { start_offset = 0x040000, size_bytes = 0x1000 }",
     "field is not known: {}, field regions.filesystem"),
    ("loader = { start_offset = 0x000000", "loader = { start_offset = 0x040000",
     "the ROM starts the code at offset 0"),
    ("visible_size_bytes = 0x80000", "visible_size_bytes = 0x40000",
     "ends behind visible_size_bytes (0x40000): {}, field regions.sdk_parameters"),
    ('layout = "in_place"', 'layout = "window"', "field is missing: {}, field regions.window_log"),
])
def test_a_wrong_file_is_refused_with_file_and_key(write: Write, old: str, new: str, what: str) -> None:
    path = write((old, new))

    line = refusal(path)

    assert what.format(path) in line
    assert str(path) in line


LARGE = (
    board_text("native_1m")
    .replace("0x100000", "0x200000").replace("0x0FC000", "0x1FC000"))
"""The same map on a chip of 2 MB."""


def test_the_first_megabyte_is_all_there_is_to_run_from(write: Write) -> None:
    path = write(("image = { start_offset = 0x081000", "image = { start_offset = 0x101000"), text=LARGE)

    assert "0x101000-0x17bfff ends behind the first megabyte" in refusal(path)


def test_a_slot_is_no_longer_than_its_block_table(write: Write) -> None:
    moved = LARGE.replace("0x07C000", "0x140000").replace("0x07E", "0x142").replace("0x07F", "0x143")
    path = write(
        ("image = { start_offset = 0x001000, size_bytes = 0x7B000 }",
         "image = { start_offset = 0x001000, size_bytes = 0xF1000 }"),
        text=moved.replace("image = { start_offset = 0x081000", "image = { start_offset = 0x180000"))

    assert "0xf1000 bytes are more than the block table takes (0xf0000)" in refusal(path)


def test_the_map_may_lie_on_a_larger_chip(write: Write) -> None:
    path = write(("[chip]\nsize_bytes = 0x80000", "[chip]\nsize_bytes = 0x400000"))

    board = boards.load(path)

    assert board.chip_bytes == 0x400000
    assert board.regions() == boards.load("native_512k").regions()


def test_a_board_based_on_a_native_one_is_bench_only_too(write: Write) -> None:
    board = boards.load(write(
        text='based_on = "native_1m"\ntitle = "T"\ndevelopment = false\nverified_on_hardware = false\n'))

    assert board.in_place and board.bench_only
    assert board.device_map() == boards.load("native_1m").device_map()


def test_nowhere() -> None:
    assert not NOWHERE and Region(0, 1)
    assert 0 not in NOWHERE and not NOWHERE.overlaps(Region(0, 0x1000))


def test_the_readme_lists_every_key() -> None:
    text = README.read_text(encoding="utf-8")

    assert "`bench_only`" in text and '`"in_place"`' in text and boards.BENCH_ONLY in text
