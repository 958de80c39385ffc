"""device/slotboot builds to the very bytes that travel with the package, and those keep the chip's rules."""

from __future__ import annotations

import re
import struct
import subprocess
from functools import reduce
from operator import xor
from pathlib import Path

import pytest

from slotbench.formats import maptable
from support.cross_build import build_with_make, require_same_bytes, stack_frames
from support.loader.qemu import CROSS

SLOTBOOT = Path(__file__).parents[2] / "device" / "slotboot"
NARROW = re.compile(r"\t(l8ui|l16ui|l16si|s8i|s16i)\t")


def image() -> bytes:
    return (SLOTBOOT / "slotboot.bin").read_bytes()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the loader built from its sources."""
    return build_with_make(SLOTBOOT, tmp_path_factory.mktemp("slotboot"), "slotboot")


def test_the_image_is_built_byte_for_byte(built: Path) -> None:
    require_same_bytes(SLOTBOOT, built, "slotboot")


def test_the_image_is_one_segment_of_upper_instruction_ram_below_the_map() -> None:
    data = image()
    assert len(data) <= maptable.OFFSET
    magic, segments, _, _, entry, address, size = struct.unpack_from("<4B3I", data)
    assert (magic, segments, entry) == (0xE9, 1, 0x4010E000)
    assert entry == address and address + size <= 0x4010F000
    assert len(data) == (16 + size | 15) + 1
    assert reduce(xor, data[16 : 16 + size], 0xEF) == data[-1]


def test_no_instruction_reads_or_writes_less_than_a_word(built: Path) -> None:
    """Instruction RAM, where all of the loader lies, faults on any other access."""
    listing = subprocess.run(
        [CROSS + "objdump", "-d", built / "all.o"], check=True, capture_output=True, text=True).stdout
    assert listing.count("\tl32i") > 200 and listing.count("\ts32i") > 100, "the listing cannot be read"
    assert [line for line in listing.splitlines() if NARROW.search(line)] == []


def test_all_that_is_defined_lies_in_the_one_segment(built: Path) -> None:
    sections = subprocess.run(
        [CROSS + "size", "-A", built / "slotboot.elf"], check=True, capture_output=True, text=True).stdout
    found = {line.split()[0]: int(line.split()[1]) for line in sections.splitlines() if line.startswith(".")}
    assert {name for name, size in found.items() if size} == {".text"}
    assert 16 + found[".text"] < len(image()) <= 16 + found[".text"] + 16


def test_no_function_takes_more_stack_than_meant(built: Path) -> None:
    """Deepest way: slotboot, start_and_say with its MD5, load_ram, next, sha256_add, put, compress. The budget is 1.5 KB."""
    assert sum(stack_frames(built).values()) <= 1024
