"""Board files: the ones that come with the bench load, and every mistake in one is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from slotbench import boards
from slotbench.boards import Layout, Region, SlotMap
from support.board_files import Write, board_text, refusal, writer
from support.guides.page import section

README = Path(__file__).parents[2] / "boards" / "README.md"
FORMATS = Path(__file__).parents[2] / "device" / "FORMATS.md"
GENERIC = board_text("generic_4m")


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a board file: the generic one with replacements, or a text of its own."""
    return writer(tmp_path, GENERIC)


def test_the_boards_that_come_with_the_bench() -> None:
    assert boards.names() == [
        "d1_mini", "d1_mini_dev", "esp01s_1m", "generic_4m", "generic_4m_stock", "native_1m", "native_512k", "nodemcu",
        "sonoff_1m"]
    assert [name for name in boards.names() if not boards.load(name).has_loader] == [
        "esp01s_1m", "generic_4m_stock", "sonoff_1m"]


def test_the_generic_board() -> None:
    board = boards.load("generic_4m")

    assert (board.name, board.layout) == ("generic_4m", Layout.WINDOW)
    assert (board.chip_bytes, board.visible_bytes, board.size_nibble) == (0x400000, 0x200000, 3)
    assert (board.flash_mode, board.flash_freq_mhz) == ("dio", 40)
    assert board.loader == Region(0, 0x1000)
    assert board.journal == Region(0x1000, 0x2000)
    assert board.window_log == Region(0x3000, 0x1000)
    assert board.identity == Region(0x8000, 0x1000)
    assert board.window == Region(0x9000, 0xF7000)
    assert board.filesystem == Region(0x100000, 0xFB000)
    assert board.sdk == Region(0x1FB000, 0x5000)
    assert board.slots == (
        SlotMap(Region(0x4000, 0x1000), Region(0x5000, 0x1000), Region(0x200000, 0xFB000)),
        SlotMap(Region(0x6000, 0x1000), Region(0x7000, 0x1000), Region(0x300000, 0xFB000)),
    )
    assert (board.fs_start, board.irom_offset, board.slot_bytes) == (0x100000, 0x9000, 0xFB000)
    assert not board.development and not board.verified_on_hardware
    assert set(board.sources) == {"chip", "loader_header", "regions", "slot_a", "slot_b"}


def test_the_device_map_is_in_the_order_of_formats_md() -> None:
    assert boards.load("generic_4m").device_map() == [
        0x1000, 0x3000, 0x4000, 0x5000, 0x6000, 0x7000, 0x200000, 0x300000, 0xFB000, 0x9000, 0xF7000,
        0x100000, 0x400000, 0x200000, 0x9000,
    ]


def test_the_map_is_that_of_formats_md() -> None:
    text = section(FORMATS, "Flash map")
    starts = {int(text, 16) for text in re.findall(r"0x([0-9A-F]{6})(?=[-, |])", text)}

    regions = boards.load("generic_4m").regions().values()
    assert {region.start for region in regions} <= starts
    assert all(region.end - 1 in starts for region in regions if region.size > 0x1000)


@pytest.mark.parametrize("name", ["d1_mini", "nodemcu"])
def test_boards_based_on_the_generic_one(name: str) -> None:
    board, generic = boards.load(name), boards.load("generic_4m")

    assert board.name == name
    assert board.title != generic.title
    assert board.device_map() == generic.device_map()
    assert board.regions() == generic.regions()
    assert (board.pins["D1"], board.pins["D8"]) == (5, 15)
    assert board.serial and board.serial.auto_reset and "CH340" in board.serial.usb_bridges
    assert "pins" in board.sources and "serial" in board.sources
    assert not board.verified_on_hardware


def test_a_path_is_a_board_too(write: Write) -> None:
    path = write()

    assert boards.load(path).name == boards.load(str(path)).name == "mine"
    assert boards.load(path).regions() == boards.load("generic_4m").regions()


def test_a_region_knows_its_bounds() -> None:
    region = Region(0x1000, 0x1000)

    assert 0xFFF not in region and 0x1000 in region and 0x1FFF in region and 0x2000 not in region
    assert region.overlaps(Region(0x1FFF, 1)) and not region.overlaps(Region(0x2000, 1))
    assert str(region) == "0x001000-0x001fff"


JOURNAL = "journal = { start_offset = 0x001000, size_bytes = 0x2000 }"
IMAGE_A = "image = { start_offset = 0x200000, size_bytes = 0xFB000 }"
IMAGE_B = "image = { start_offset = 0x300000, size_bytes = 0xFB000 }"
WINDOW = "exec_window = { start_offset = 0x009000, size_bytes = 0xF7000 }"
FILESYSTEM = "filesystem = { start_offset = 0x100000, size_bytes = 0xFB000 }"
SDK = "sdk_parameters = { start_offset = 0x1FB000, size_bytes = 0x5000 }"


@pytest.mark.parametrize(("old", "new", "what"), [
    (JOURNAL, JOURNAL.replace("0x001000", "0x002000"),
     "0x003000-0x003fff overlaps regions.journal 0x002000-0x003fff: {}, field regions.window_log; move"),
    (IMAGE_B, IMAGE_B.replace("0x300000", "0x2F0000"), "overlaps slot_a.image 0x200000-0x2fafff"),
    (JOURNAL, JOURNAL.replace("0x001000", "0x001004"),
     "0x1004 is not a multiple of 4096: {}, field regions.journal.start_offset"),
    (JOURNAL, JOURNAL.replace("0x2000", "0x1800"), "field regions.journal.size_bytes"),
    (JOURNAL, JOURNAL.replace("0x2000", "0"), "0 is not from 1"),
    (JOURNAL, JOURNAL.replace("0x2000", "0x1000"),
     "0x1000 bytes, not 0x2000: {}, field regions.journal.size_bytes"),
    (IMAGE_B, IMAGE_B.replace("0x300000", "0x310000"),
     "0x310000-0x40afff ends behind the chip (0x400000 bytes): {}, field slot_b.image"),
    (IMAGE_B, IMAGE_B.replace("0x300000", "0x301000"),
     "reaches into 0x3fb000-0x3fffff, where the SDK saves parameters"),
    (IMAGE_A, IMAGE_A.replace("0xFB000", "0x78000"),
     "0x78000 bytes are too small, MicroPython needs 0x79000"),
    (IMAGE_A, IMAGE_A.replace("0xFB000", "0xFC000"),
     "are more than block table and exec window take (0xfb000)"),
    (IMAGE_B, IMAGE_B.replace("0xFB000", "0xFA000"),
     "slots differ in size: {}, field slot_b.image.size_bytes"),
    ("loader = { start_offset = 0x000000", "loader = { start_offset = 0x2FC000",
     "ends behind visible_size_bytes"),
    ("loader = { start_offset = 0x000000", "loader = { start_offset = 0x0FF000",
     "overlaps regions.exec_window"),
    (WINDOW, WINDOW.replace("0x009000, size_bytes = 0xF7000", "0x00A000, size_bytes = 0xF6000"),
     "stock images run from 0x9000: {}, field regions.exec_window.start_offset"),
    (SDK, SDK.replace("0x1FB000", "0x1FA000"), "overlaps regions.filesystem"),
    (SDK, "sdk_parameters = { start_offset = 0x1FC000, size_bytes = 0x4000 }",
     "is not the last 20 KB of visible_size_bytes"),
    (FILESYSTEM, FILESYSTEM.replace("0xFB000", "0xFA000"), "does not end at the SDK's sectors (0x1fb000)"),
    ("start_offset = 0x001000", "start_ofset = 0x001000",
     "field is missing: {}, field regions.journal.start_offset; rename start_ofset to start_offset"),
    ("journal =", "jurnal =", "field is missing: {}, field regions.journal; rename jurnal to journal"),
    ("development = false", "development = false\ndevelopmnt = true",
     "field is not known: {}, field developmnt; rename it to development"),
    ("development = false", "development = 0", "0 is not true or false: {}, field development"),
    ("verified_on_hardware = false\n", "", "field is missing: {}, field verified_on_hardware"),
    (JOURNAL, "journal = 0x1000", "4096 is not an object: {}, field regions.journal"),
    ("size_bytes = 0x2000 }", 'size_bytes = "0x2000" }', "'0x2000' is not an integer"),
    ('layout = "window"', 'layout = "windows"', "'windows' is not one of window, in_place, stock: {}, field layout"),
    ('flash_mode = "dio"', 'flash_mode = "DIO"', "'DIO' is not one of qio, qout, dio, dout"),
    ("flash_freq_mhz = 40", "flash_freq_mhz = 41", "41 is not one of 20, 26, 40, 80"),
    ("[chip]\nsize_bytes = 0x400000", "[chip]\nsize_bytes = 0x300000", "field chip.size_bytes"),
    ("[chip]\nsize_bytes = 0x400000", "[chip]\nsize_bytes = 0x100000", "ends behind the chip"),
    ("visible_size_bytes = 0x200000", "visible_size_bytes = 0x400000", "is not the last 20 KB"),
    ("[chip]", "[chip", "not TOML"),
    ("[slot_b]", "[slot_c]", "field is missing: {}, field slot_b"),
])
def test_a_wrong_file_is_refused_with_file_and_key(write: Write, old: str, new: str, what: str) -> None:
    path = write((old, new))

    line = refusal(path)

    assert what.format(path) in line
    assert str(path) in line


def test_code_outside_the_first_megabyte_is_refused(write: Write) -> None:
    path = write(
        (WINDOW, WINDOW.replace("0xF7000", "0xF8000")),
        (FILESYSTEM, FILESYSTEM.replace("0x100000, size_bytes = 0xFB000", "0x101000, size_bytes = 0xFA000")))

    assert "the chip maps only the first megabyte" in refusal(path)


def test_a_loader_outside_sector_0_is_refused(write: Write) -> None:
    path = write(
        ("loader = { start_offset = 0x000000", "loader = { start_offset = 0x008000"),
        ("identity = { start_offset = 0x008000", "identity = { start_offset = 0x000000"))

    assert "the ROM starts the code at offset 0" in refusal(path)


def test_every_table_needs_a_source(write: Write) -> None:
    text = "\n".join(line for line in GENERIC.splitlines() if not line.startswith("source"))

    assert "field is missing" in refusal(write(text=text))


SERIAL = 'based_on = "generic_4m"\ntitle = "T"\ndevelopment = false\nverified_on_hardware = false\n'


@pytest.mark.parametrize(("text", "what"), [
    ('based_on = "generic_8m"', "no such board: {}, field based_on; use one of d1_mini, d1_mini_dev, esp01s_1m, "),
    ("based_on = 4", "4 is not a name: {}, field based_on"),
    ('based_on = "d1_mini"', "d1_mini is itself based on another"),
    ('based_on = "generic_4m"\ntitle = "T"\ndevelopment = false', "field verified_on_hardware"),
    (SERIAL + '[serial]\nusb_bridges = []\nauto_reset = true\nsource = "s"', "not a list of strings"),
    (SERIAL + '[serial]\nusb_bridges = [1]\nauto_reset = true\nsource = "s"', "field serial.usb_bridges"),
    (SERIAL + '[pins]\nD1 = 17\nsource = "s"', "17 is not from 0 to 16: {}, field pins.D1"),
    (SERIAL + "[pins]\nD1 = 5", "field is missing: {}, field pins.source"),
    (SERIAL + '[chip]\nsize_bytes = 0x400000\nsource = "s"\nx = 1', "field is not known: {}, field chip.x"),
])
def test_a_wrong_file_based_on_another_is_refused(write: Write, text: str, what: str) -> None:
    path = write(text=text)

    assert what.format(path) in refusal(path)


def test_a_file_may_replace_a_whole_table_of_its_base(write: Write) -> None:
    header = (
        '[loader_header]\nvisible_size_bytes = 0x200000\nflash_mode = "qio"\nflash_freq_mhz = 80\n'
        'source = "s"')

    board = boards.load(write(text=SERIAL + header))

    assert (board.flash_mode, board.flash_freq_mhz) == ("qio", 80)
    assert board.regions() == boards.load("generic_4m").regions()


def test_an_unknown_name_lists_the_known_ones() -> None:
    assert refusal("d1mini") == (
        "no such board: d1mini; use one of d1_mini, d1_mini_dev, esp01s_1m, generic_4m, "
        "generic_4m_stock, native_1m, native_512k, nodemcu, sonoff_1m, or the path of a .toml file")


def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    assert "cannot read board file (No such file or directory)" in refusal(tmp_path / "none.toml")
    assert "Is a directory" in refusal(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b'title = "\xe9"')
    assert "not UTF-8" in refusal(tmp_path / "latin.toml")
    (tmp_path / "My Board.toml").write_text(GENERIC, encoding="utf-8")
    assert "'My Board' is not a name" in refusal(tmp_path / "My Board.toml")


def test_the_readme_lists_every_key() -> None:
    text = README.read_text(encoding="utf-8")
    board = boards.load("generic_4m")

    for key in (*board.regions(), *boards.load("esp01s_1m").regions(), "title", "based_on", "layout", "development", "verified_on_hardware"):
        assert f"`{key}`" in text
