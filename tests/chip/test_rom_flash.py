"""The ROM's flash functions over the bench's NOR flash, and the cache window."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from slotbench.vboard.flash.nor import NorFlash
from support.chip.rom_calls import FLASH_BYTES, FREE, RomCalls

SIZE_AT = 0x3FFFC71C
WINDOW = 0x40200000
CACHE, BANKS = 0x3FF0000C, 0x3FF00024


pytestmark = pytest.mark.usefixtures("core")


@pytest.fixture
def rom(core: Path) -> RomCalls:
    return RomCalls()


def filled(seed: str) -> NorFlash:
    """A flash of random bytes."""
    print("seed:", seed)
    flash = NorFlash(FLASH_BYTES)
    flash.poke(0, b"\0" + random.Random(seed).randbytes(FLASH_BYTES - 1))
    return flash


def test_reads_of_any_length_and_place() -> None:
    """Whole words are stored: up to three bytes behind the end."""
    flash = filled("reads")
    rom = RomCalls(flash=flash)
    noise = random.Random("places")
    for length in (*range(1, 9), 63, 64, 65, 1000):
        at = noise.randrange(FLASH_BYTES - 0x1000)
        rom.put(b"\xEE" * 1100)
        assert rom.call("SPIRead", at, FREE, length) == 0
        stored = (length + 3) & ~3
        assert rom.get(FREE, length) == flash.peek(at, length)
        assert rom.get(FREE + stored, 8) == b"\xEE" * 8


def test_bounds_are_those_of_flashchip(rom: RomCalls) -> None:
    assert rom.call("SPIRead", FLASH_BYTES - 4, FREE, 4) == 0
    assert rom.call("SPIRead", FLASH_BYTES - 3, FREE, 4) == 1
    assert rom.call("SPIWrite", FLASH_BYTES - 4, FREE, 8) == 1
    assert rom.call("SPIRead", 0xFFFFFFF0, FREE, 0x20) == 1, "the end wraps around"
    assert rom.call("SPIEraseSector", 1023) == 0 and rom.call("SPIEraseSector", 1024) == 1
    assert rom.call("SPIEraseBlock", 63) == 0 and rom.call("SPIEraseBlock", 64) == 1
    rom.machine.write_word(SIZE_AT, 0x100000)
    assert rom.call("SPIRead", 0x100000, FREE, 4) == 1
    assert rom.call("SPIEraseSector", 256) == 1 and rom.call("SPIEraseSector", 255) == 0
    assert rom.call("SPIParamCfg", 0x1540EF, 0x200000, 0x10000, 0x1000, 0x100, 0xFFFF) == 0
    assert rom.words(SIZE_AT - 4, 3) == (0x1540EF, 0x200000, 0x10000)
    assert rom.call("SPIRead", 0x1FFFFC, FREE, 4) == 0


def test_writes_are_split_at_pages(rom: RomCalls) -> None:
    """A program command that crosses a page would wrap around in it: the flash model raises then."""
    data = random.Random("writes").randbytes(1000)
    rom.put(data)
    assert rom.call("SPIWrite", 0x10F4, FREE, 1000) == 0
    assert rom.flash.peek(0x10F4, 1000) == data
    assert rom.flash.peek(0x1000, 0xF4) == b"\xFF" * 0xF4
    assert rom.machine.counters().flash_unlatched == 0 and rom.machine.counters().flash_busy == 0


def test_sectors_blocks_and_the_chip_are_erased() -> None:
    rom = RomCalls(flash=filled("erases"))
    before = rom.flash.peek(0, FLASH_BYTES)
    assert rom.call("SPIEraseSector", 7) == 0
    assert rom.flash.peek(0, FLASH_BYTES) == before[:0x7000] + b"\xFF" * 0x1000 + before[0x8000:]
    assert rom.call("SPIEraseBlock", 2) == 0
    assert rom.flash.peek(0x20000, 0x10000) == b"\xFF" * 0x10000 and rom.flash.peek(0x30000, 64) == before[0x30000:0x30040]
    assert rom.call("SPIEraseChip", limit_us=200_000_000) == 0
    assert rom.flash.peek(0, FLASH_BYTES) == b"\xFF" * FLASH_BYTES


@pytest.mark.parametrize(("sector", "asked", "erased"), [(0, 16, 32), (3, 2, 4), (3, 20, 33), (16, 1, 2), (31, 5, 6)])
def test_an_area_is_erased_too_far_as_esptool_knows_it(sector: int, asked: int, erased: int) -> None:
    """What comes before the first block's end is not taken off the count."""
    rom = RomCalls(flash=filled("area"))
    before = rom.flash.peek(0, FLASH_BYTES)
    assert rom.call("SPIEraseArea", sector * 4096, asked * 4096) == 0
    start, end = sector * 4096, (sector + erased) * 4096
    assert rom.flash.peek(0, FLASH_BYTES) == before[:start] + b"\xFF" * (end - start) + before[end:]


def test_modes_of_an_image_set_the_controller(rom: RomCalls) -> None:
    modes = {0: 1 << 24, 1: 1 << 20, 2: 1 << 23, 3: 1 << 14}
    for mode, bit in modes.items():
        assert rom.call("SPIReadModeCnfig", mode) == 0
        control = rom.words(0x60000208, 1)[0]
        assert control & sum(modes.values()) == bit and control >> 13 & 1


@pytest.mark.parametrize(("odd", "half"), [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_the_cache_maps_each_megabyte(odd: int, half: int) -> None:
    rom = RomCalls(flash=filled("cache"))
    rom.call("Cache_Read_Enable", odd, half, 1)
    megabyte = (2 * half + odd) << 20
    for at in (0, 0x8FFC, 0xFFFF0):
        rom.call("ets_memcpy", FREE, WINDOW + at, 16)
        assert rom.get(FREE, 16) == rom.flash.peek(megabyte + at, 16)
    assert rom.words(CACHE, 1)[0] >> 8 & 1 and rom.words(BANKS, 1)[0] >> 3 & 3 == 3
    rom.call("Cache_Read_Disable")
    assert not rom.words(CACHE, 1)[0] >> 8 & 1
    assert rom.words(CACHE, 1)[0] >> 16 & 7 == half and rom.words(CACHE, 1)[0] >> 25 & 1 == odd, "the mapping stays"
