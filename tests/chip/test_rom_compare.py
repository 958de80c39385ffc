"""Our boot ROM beside the dump of a real chip's, when TWOSLOT_ROM names one: the same functions, the same starts.

Read the dump from a chip of your own: `esptool dump-mem 0x40000000 65536 rom.bin`. It stays on your machine.
"""

from __future__ import annotations

import os
import random
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from slotbench.vboard.chip.machine import ROM_BYTES
from slotbench.vboard.flash.nor import NorFlash
from support.chip.firmware_images import WANTED, flashed, found, missing
from support.chip.rom_calls import FLASH_BYTES, FREE, RomCalls
from support.chip.rom_programs import ProgramBoard

VARIABLE = "TWOSLOT_ROM"
FOUND = found()
NAMES = [*WANTED, *(name for name in FOUND if name not in WANTED)]
PROMPT = "\n>>> "
START_US = 12_000_000
ROUNDS = 200
MAGIC_AT, MAGIC = 0x1000, bytes.fromhex("01c1f0ff")

pytestmark = pytest.mark.usefixtures("core")


@pytest.fixture(scope="module")
def dump() -> bytes:
    """The user's dump."""
    if not (named := os.environ.get(VARIABLE)):
        pytest.skip(f"{VARIABLE} names no dump of a chip's boot ROM")
    data = Path(named).read_bytes()
    assert len(data) == ROM_BYTES, f"{named}: {len(data)} bytes are not a boot ROM's {ROM_BYTES}"
    assert data[MAGIC_AT : MAGIC_AT + 4] == MAGIC, f"{named} is not the boot ROM of an ESP8266"
    return data


@dataclass(frozen=True)
class FunctionCase:
    """A function, its arguments by a source of randomness, and what it leaves besides a2."""

    name: str
    arguments: Callable[[random.Random], tuple[int, ...]]
    long: bool = False
    leaves: int = 0


def _word(noise: random.Random) -> int:
    return noise.getrandbits(32) >> noise.randrange(32)


def _words(count: int) -> Callable[[random.Random], tuple[int, ...]]:
    return lambda noise: tuple(_word(noise) or 1 for _ in range(count))


def _floats(count: int) -> Callable[[random.Random], tuple[int, ...]]:
    return lambda noise: tuple(struct.unpack("<I", struct.pack("<f", noise.uniform(-1e6, 1e6)))[0] for _ in range(count))


def _doubles(count: int) -> Callable[[random.Random], tuple[int, ...]]:
    return lambda noise: struct.unpack(f"<{2 * count}I", struct.pack(f"<{count}d", *(noise.uniform(-1e9, 1e9) for _ in range(count))))


def _memory(noise: random.Random) -> tuple[int, ...]:
    return FREE + 0x400 + noise.randrange(4), FREE + noise.randrange(4), noise.randrange(100)


CASES = [
    *(FunctionCase(name, _words(2)) for name in ("__udivsi3", "__umodsi3", "__divsi3", "roundup2")),
    *(FunctionCase(name, _words(4), long=True) for name in ("__muldi3", "__udivdi3", "__umoddi3", "__divdi3")),
    FunctionCase("__umulsidi3", _words(2), long=True),
    *(FunctionCase(name, _floats(2)) for name in ("__addsf3", "__subsf3", "__mulsf3")),
    *(FunctionCase(name, _doubles(2), long=True) for name in ("__adddf3", "__subdf3", "__muldf3", "__divdf3")),
    *(FunctionCase(name, _words(1)) for name in ("__floatsisf", "__floatunsisf")),
    *(FunctionCase(name, _words(1), long=True) for name in ("__floatsidf", "__floatunsidf")),
    FunctionCase("__extendsfdf2", _floats(1), long=True), FunctionCase("__truncdfsf2", _doubles(1)), FunctionCase("__fixdfsi", _doubles(1)),
    *(FunctionCase(name, _memory, leaves=0x800) for name in ("memcpy", "ets_memcpy", "memmove")),
    FunctionCase("ets_memset", lambda noise: (FREE + noise.randrange(4), noise.getrandbits(8), noise.randrange(100)), leaves=0x100),
    FunctionCase("ets_strlen", lambda noise: (FREE + 0x900 + noise.randrange(4),)),
    FunctionCase("ets_strcmp", lambda noise: (FREE + 0x900 + noise.randrange(4), FREE + 0x900 + noise.randrange(4))),
    *(FunctionCase(name, lambda noise: (FREE + 0x100 + noise.randrange(4), noise.randrange(200), FREE + noise.randrange(4), noise.randrange(200), FREE + 0x600), leaves=0x620)
      for name in ("hmac_md5", "hmac_sha1")),
    FunctionCase("SPIRead", lambda noise: (noise.randrange(0x400000) & ~3, FREE, noise.randrange(4, 400) & ~3), leaves=0x200),
    FunctionCase("SPIEraseSector", lambda noise: (noise.randrange(1100),)),
    FunctionCase("SPIEraseBlock", lambda noise: (noise.randrange(70),)),
    FunctionCase("SPIWrite", lambda noise: (noise.randrange(0x3FF000) & ~3, FREE, noise.randrange(4, 400) & ~3)),
    FunctionCase("rtc_get_reset_reason", lambda noise: ()), FunctionCase("ets_get_cpu_frequency", lambda noise: ()),
]


@pytest.mark.parametrize("case", CASES, ids=lambda it: it.name)
def test_a_function_does_the_same(dump: bytes, case: FunctionCase) -> None:
    ours, theirs = (RomCalls(flash=NorFlash(FLASH_BYTES, lenient=True), rom=rom) for rom in (None, dump))
    noise = random.Random(case.name)
    print("seed:", case.name)
    for _ in range(ROUNDS):
        arguments = case.arguments(noise)
        content = noise.randbytes(0x900) + b"some text\0".rjust(16, b"x") + bytes(16)
        results: list[Any] = []
        for rom in (ours, theirs):
            rom.put(content)
            result = rom.call_64(case.name, *arguments) if case.long else rom.call(case.name, *arguments)
            if case.name == "ets_strcmp":
                result = (result > 0) + (result >> 31)
            results.append((result, rom.get(FREE, case.leaves), rom.flash.sectors(0, rom.flash.size)))
        assert results[0] == results[1], (case.name, [hex(it) for it in arguments])


def start_of(content: bytes, rom: bytes | None) -> tuple[str, list[str], ProgramBoard]:
    """A first start: what UART0 sent up to the prompt, and the operations on flash."""
    board = ProgramBoard(content, rom=rom)
    text = board.run_to(PROMPT, START_US)
    return text, [str(it) for it in board.flash.log or ()], board


def without_chance(text: str) -> str:
    """Noise of the radio's calibration is no difference."""
    return re.sub(r"error: pll_cal exceeds 2ms!!!\n", "", text)


@pytest.mark.parametrize("name", NAMES)
def test_firmware_starts_alike(dump: bytes, name: str) -> None:
    """UART to the prompt and flash operations, on every image."""
    if name not in FOUND:
        pytest.skip(missing(name))
    content = flashed(FOUND[name])
    ours, theirs = start_of(content, None), start_of(content, dump)
    assert without_chance(ours[0]) == without_chance(theirs[0])
    assert ours[1] == theirs[1]
    assert ours[2].flash.peek(0, ours[2].flash.size) == theirs[2].flash.peek(0, theirs[2].flash.size)
