"""Which accesses the chip survives, and what the others end in."""

from __future__ import annotations

from pathlib import Path

import pytest

from slotbench.vboard.chip import StopReason
from slotbench.vboard.flash.nor import NorFlash
from support.chip.machine import FLASH_BYTES, SCRATCH, RomProgram

IRAM, IRAM_16, IRAM_32 = 0x40100000, 0x4010C000, 0x40108000
ROM, WINDOW, NOTHING = 0x40000100, 0x40200000, 0x50000000
CACHE, IRAM_BANKS, RTC_MEMORY = 0x3FF0000C, 0x3FF00024, 0x60001000
ON = 0x100
FETCH, LOAD_STORE, UNALIGNED, NO_FETCH, NO_LOAD, NO_STORE = 2, 3, 9, 20, 28, 29

TEXT = """\
start: j start
byte: l8ui a2, a2, 0
    ret
half: l16ui a2, a2, 0
    ret
word: l32i a2, a2, 0
    ret
put_byte: s8i a3, a2, 0
    ret
put_half: s16i a3, a2, 0
    ret
put_word: s32i a3, a2, 0
    memw
    ret
jump: jx a2
"""


@pytest.fixture
def program(folder: Path) -> RomProgram:
    image = b"".join(bytes([index]) * 0x100000 for index in range(4))
    made = RomProgram(TEXT, flash=NorFlash(FLASH_BYTES, image=image))
    made.machine.stop_on(StopReason.EXCEPTION)
    return made


@pytest.mark.parametrize(("routine", "address", "cause"), [
    ("byte", IRAM, LOAD_STORE), ("half", IRAM, LOAD_STORE), ("put_byte", IRAM, LOAD_STORE), ("put_half", IRAM, LOAD_STORE),
    ("byte", ROM, LOAD_STORE), ("half", ROM, LOAD_STORE), ("put_word", ROM, LOAD_STORE),
    ("byte", WINDOW, LOAD_STORE), ("half", WINDOW + 2, LOAD_STORE), ("put_word", WINDOW, LOAD_STORE),
    ("word", SCRATCH + 1, UNALIGNED), ("half", SCRATCH + 1, UNALIGNED), ("put_word", SCRATCH + 2, UNALIGNED),
    ("put_half", SCRATCH + 3, UNALIGNED), ("word", IRAM + 2, UNALIGNED), ("word", WINDOW + 1, UNALIGNED),
    ("word", 0, NO_LOAD), ("byte", 0x10, NO_LOAD), ("put_word", 0, NO_STORE), ("word", NOTHING, NO_LOAD),
    ("put_byte", NOTHING, NO_STORE), ("word", 0x3FFA0000, NO_LOAD), ("jump", 0, NO_FETCH), ("jump", SCRATCH, FETCH),
    ("jump", NOTHING, FETCH),
])
def test_forbidden_access(program: RomProgram, routine: str, address: int, cause: int) -> None:
    program.call("put_word", CACHE, ON)

    stop = program.call(routine, address, 0x55)

    assert (stop.reason, stop.value, stop.address) == (StopReason.EXCEPTION, cause, address)
    found = program.machine.last_exception()
    assert found is not None and (found.cause, found.address) == (cause, address)
    registers = program.machine.registers()
    assert (registers.exccause, registers.excvaddr) == (cause, address)
    assert registers.epc1 == (address if routine == "jump" else program.labels[routine])
    assert registers.pc == 0x40000050


@pytest.mark.parametrize(("width", "value"), [("byte", 0x44), ("half", 0x3344), ("word", 0x11223344)])
@pytest.mark.parametrize("address", [SCRATCH, 0x3FFFFFFC, RTC_MEMORY])
def test_allowed_access(program: RomProgram, width: str, value: int, address: int) -> None:
    program.machine.write_word(address, 0)
    assert program.call(f"put_{width}", address, 0x11223344).reason is StopReason.BREAKPOINT
    assert program.machine.read_word(address) == value
    assert program.call(width, address).reason is StopReason.BREAKPOINT
    assert program.result == value


def test_scratch_memory_is_there_when_asked_for(program: RomProgram) -> None:
    program.machine.map_scratch()
    assert program.call("put_byte", 0x3FFA0001, 7).reason is StopReason.BREAKPOINT
    assert program.machine.read(0x3FFA0000, 4) == b"\0\x07\0\0"


@pytest.mark.parametrize(("setting", "content"), [
    (ON, 0), (ON | 0x02000000, 1), (ON | 0x01000000, 1), (ON | 0x00010000, 2), (ON | 0x02010000, 3),
    (ON | 0x00020000, 0),
])
def test_window_shows_the_megabyte_that_dport_names(program: RomProgram, setting: int, content: int) -> None:
    program.call("put_word", CACHE, setting)
    assert program.call("word", WINDOW + 0xFFFFC).reason is StopReason.BREAKPOINT
    assert program.result == content * 0x01010101


def test_window_without_cache_is_an_error(program: RomProgram) -> None:
    program.call("put_word", CACHE, ON)
    assert program.call("word", WINDOW).reason is StopReason.BREAKPOINT
    program.call("put_word", CACHE, 0)
    assert program.call("word", WINDOW).value == LOAD_STORE
    assert program.call("jump", WINDOW).value == FETCH
    assert program.machine.counters().cache_off == 1


def test_cache_takes_instruction_ram(program: RomProgram) -> None:
    for banks, there, gone in ((0, IRAM_16, None), (8, IRAM_32, IRAM_16), (24, IRAM, IRAM_32)):
        program.call("put_word", IRAM_BANKS, banks)
        assert program.call("put_word", there, 1).reason is StopReason.BREAKPOINT
        if gone is not None:
            assert program.call("put_word", gone, 1).value == LOAD_STORE


def test_code_that_is_written_over_is_decoded_anew(program: RomProgram) -> None:
    movi_5, movi_6 = 0xF00D520C, 0xF00D620C  # movi.n a2, 5 (or 6); ret.n
    for word, result in ((movi_5, 5), (movi_6, 6), (movi_5, 5)):
        assert program.call("put_word", IRAM + 64, word).reason is StopReason.BREAKPOINT
        assert program.call("jump", IRAM + 64).reason is StopReason.BREAKPOINT
        assert program.result == result


def test_flash_that_changed_is_decoded_anew(program: RomProgram) -> None:
    program.call("put_word", CACHE, ON)
    for text, result in ((b"\x0c\x52\x0d\xf0", 5), (b"\x0c\x62\x0d\xf0", 6)):
        program.machine.flash.poke(0x400, text)
        program.machine.bridge.refresh()
        assert program.call("jump", WINDOW + 0x400).reason is StopReason.BREAKPOINT
        assert program.result == result
