"""The boot ROM builds to the very bytes that travel with the package, and has something at every documented address."""

from __future__ import annotations

import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest

from support.chip.rom_calls import ROM_FOLDER, read_table
from support.cross_build import build_with_make, require_same_bytes, stack_frames
from support.loader.qemu import CROSS

ROOT = Path(__file__).parents[2]
ROM = 0x40000000
STACK_BUDGET = 512


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the ROM built from its sources."""
    return build_with_make(ROM_FOLDER, tmp_path_factory.mktemp("rom"), "rom")


def test_the_rom_is_built_byte_for_byte(built: Path) -> None:
    require_same_bytes(ROM_FOLDER, built, "rom")


def test_the_rom_is_64_kb() -> None:
    assert len((ROM_FOLDER / "rom.bin").read_bytes()) == 0x10000


def test_something_is_at_every_documented_address() -> None:
    """Three zero bytes are an illegal instruction: nothing. Addresses below the ROM are variables."""
    rom = (ROM_FOLDER / "rom.bin").read_bytes()
    table = read_table()
    assert len(table) > 340
    empty = [name for name, (address, kind) in table.items() if address >= ROM and rom[address - ROM : address - ROM + 3] == bytes(3)]
    assert empty == []


def test_no_library_of_the_compiler_is_in_it(built: Path) -> None:
    """All symbols come from these sources."""
    sources = {path.stem for path in ROM_FOLDER.glob("*.[cS]")} | {"entries"}
    assert {path.stem for path in built.glob("*.o")} == sources
    map_file = subprocess.run(
        [CROSS + "objdump", "-t", built / "rom.elf"], check=True, capture_output=True, text=True).stdout
    files = {line.split()[-1] for line in map_file.splitlines() if " df *ABS*" in line}
    assert {Path(name).stem for name in files} <= sources


def test_no_code_reads_the_rom_by_bytes(built: Path) -> None:
    """What is read by bytes lies in RAM: constants are initialised data, which the start copies."""
    sections = subprocess.run([CROSS + "objdump", "-h", built / "rom.elf"], check=True, capture_output=True, text=True).stdout
    rows = {row[1]: (int(row[3], 16), int(row[4], 16)) for row in map(str.split, sections.splitlines()) if len(row) == 7 and row[0].isdigit()}
    assert 0x3FFFC000 <= rows[".data"][0] < 0x40000000 and rows[".data"][1] >= ROM
    assert all(address >= ROM for name, (address, _) in rows.items() if name.startswith(".rom_"))


def test_frames_are_small_and_known(built: Path) -> None:
    """Firmware has 8 KB of stack, and calls these from its depths. SHA-1 has its 80 words there."""
    frames = stack_frames(built)
    assert len(frames) > 150 and max(frames.values()) <= STACK_BUDGET


def test_the_package_ships_it() -> None:
    """What setup.cfg names: the ROM, its tables, and the sources."""
    config = ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    patterns = config["options.package_data"]["slotbench"].split()
    package = ROOT / "host" / "slotbench"
    shipped = {path for pattern in patterns for path in package.glob(pattern)}
    assert {path for path in ROM_FOLDER.iterdir() if path.is_file()} <= shipped
