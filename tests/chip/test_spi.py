"""The SPI controller over the bench's flash: commands and their rules, time, power cuts."""

from __future__ import annotations

from pathlib import Path

import pytest

from slotbench.vboard.chip import StopReason
from slotbench.vboard.flash.cuts import Cut, CutMode
from slotbench.vboard.flash.nor import NorFlash
from slotbench.vboard.signals import BenchViolation, PowerCut
from support.chip.machine import FLASH_BYTES, RomProgram

TEXT = """\
start: j start
put: s32i   a3, a2, 0
    memw
    ret
get: l32i   a2, a2, 0
    ret
"""
SPI = 0x60000200
CMD, ADDR, STATUS, USER2, W0 = SPI, SPI + 4, SPI + 0x10, SPI + 0x24, SPI + 0x40
READ, WREN, WRDI, RDID, RDSR, WRSR, PP, SE, BE, CE, USR = (1 << bit for bit in (31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 18))
BUSY, LATCH = 1, 2
CONTENT = bytes(range(256)) * 16


class Spi(RomProgram):
    @property
    def flash(self) -> NorFlash:
        return self.machine.flash

    def put(self, address: int, value: int) -> None:
        assert self.call("put", address, value).reason is StopReason.BREAKPOINT

    def get(self, address: int) -> int:
        assert self.call("get", address).reason is StopReason.BREAKPOINT
        return self.result

    def command(self, command: int, address: int = 0, data: bytes = b"", length: int | None = None) -> None:
        for at in range(0, len(data), 4):
            self.put(W0 + at, int.from_bytes(data[at : at + 4], "little"))
        self.put(ADDR, address | (len(data) if length is None else length) << 24)
        self.put(CMD, command)

    def status(self) -> int:
        self.command(RDSR)
        return self.get(STATUS)

    def wait(self) -> None:
        while self.status() & BUSY:
            pass

    def read(self, address: int, length: int) -> bytes:
        self.command(READ, address, length=length)
        return b"".join(self.get(W0 + at).to_bytes(4, "little") for at in range(0, length, 4))

    def write(self, address: int, data: bytes) -> None:
        self.command(WREN)
        self.command(PP, address, data)
        self.wait()


@pytest.fixture
def spi(folder: Path) -> Spi:
    flash = NorFlash(FLASH_BYTES)
    flash.poke(0x1000, CONTENT)
    return Spi(TEXT, flash=flash)


def test_read(spi: Spi) -> None:
    assert spi.read(0x1000, 64) == CONTENT[:64]
    assert spi.read(0x1041, 32) == CONTENT[65:97]
    assert spi.get(CMD) == 0


def test_identification(spi: Spi) -> None:
    spi.command(RDID)
    assert spi.get(W0) == 0x1640EF
    for at, answer in ((0, 0x50444653), (0x0C, 0xFF000080), (0x84, FLASH_BYTES * 8 - 1), (0x200, 0xFFFFFFFF)):
        spi.put(USER2, 0x7000005A)
        spi.put(ADDR, at << 8)
        spi.put(CMD, USR)
        assert spi.get(W0) == answer, f"SFDP at 0x{at:x}"
    for code, answer in ((0x9F, 0x1640EF), (0x35, 0), (0x05, 0)):
        spi.put(USER2, 0x70000000 | code)
        spi.command(USR)
        assert spi.get(W0) == answer


def test_program_needs_the_latch(spi: Spi) -> None:
    spi.command(PP, 0x2000, b"abcd")
    spi.command(SE, 0x1000)
    assert spi.flash.operations == 0 and spi.machine.counters().flash_unlatched == 2
    spi.command(WREN)
    assert spi.status() == LATCH
    spi.command(WRDI)
    assert spi.status() == 0
    spi.write(0x2000, b"abcdefgh")
    assert spi.flash.peek(0x2000, 9) == b"abcdefgh\xff" and spi.status() == 0
    spi.command(PP, 0x2010, b"abcd")
    assert spi.flash.operations == 1, "the latch fell with the first"
    assert spi.read(0x2000, 8) == b"abcdefgh"


def test_operations_are_logged_as_the_chip_s(spi: Spi) -> None:
    spi.write(0x2000, bytes(32))
    spi.command(WREN)
    spi.command(SE, 0x2000)
    spi.wait()
    assert spi.flash.log is not None
    assert [(op.kind, op.addr, op.length, op.actor) for op in spi.flash.log] == [
        ("program", 0x2000, 32, "chip"), ("erase", 0x2000, 4096, "chip")]
    assert spi.flash.wear[2] == 1 and spi.flash.peek(0x2000, 32) == b"\xff" * 32


def test_busy_time(spi: Spi) -> None:
    us = spi.machine.us
    spi.command(WREN)
    spi.command(SE, 0x1000)
    assert spi.machine.us - us < 100
    spi.command(WREN)
    assert spi.machine.counters().flash_busy == 1 and spi.flash.operations == 1
    instructions = spi.machine.instructions
    spi.wait()
    assert spi.machine.us - us in range(45_000, 45_100)
    assert spi.machine.instructions - instructions < 100, "who polls the status does not wait in instructions"
    us = spi.machine.us
    spi.write(0x3000, bytes(32))
    assert spi.machine.us - us in range(85, 110), "an eighth of a page"
    assert spi.flash.clock.us == spi.machine.us


def test_larger_erases(spi: Spi) -> None:
    spi.flash.poke(0x1F000, CONTENT * 2)
    spi.flash.poke(0x300000, CONTENT)
    spi.machine.bridge.refresh()
    us = spi.machine.us
    spi.command(WREN)
    spi.command(BE, 0x10123)
    spi.wait()
    assert spi.flash.peek(0x1F000, 8192) == b"\xff" * 4096 + CONTENT
    assert spi.machine.us - us in range(150_000, 150_200)
    spi.command(WREN)
    spi.command(CE)
    spi.wait()
    assert spi.flash.peek(0, FLASH_BYTES) == b"\xff" * FLASH_BYTES and spi.read(0x300000, 32) == b"\xff" * 32


def test_program_stays_in_its_page(spi: Spi) -> None:
    spi.write(0x20F8, bytes(range(16)))
    assert spi.flash.peek(0x20F8, 8) == bytes(range(8)) and spi.flash.peek(0x2000, 8) == bytes(range(8, 16))
    assert spi.flash.peek(0x2100, 8) == b"\xff" * 8


def test_program_of_odd_bytes(spi: Spi) -> None:
    spi.command(WREN)
    spi.command(PP, 0x2001, b"abcd", length=3)
    spi.wait()
    assert spi.flash.peek(0x2000, 8) == b"\xffabc\xff\xff\xff\xff"


def test_status_register_is_written(spi: Spi) -> None:
    spi.put(SPI + 0x28, 0x3C)
    spi.command(WRSR)
    assert spi.status() == 0
    spi.command(WREN)
    spi.command(WRSR)
    assert spi.status() == 0x3C


def test_raising_a_bit_is_the_flash_s_violation(spi: Spi) -> None:
    spi.write(0x2000, bytes(4))
    spi.command(WREN)
    with pytest.raises(BenchViolation, match="only an erase raises bits"):
        spi.command(PP, 0x2000, b"\1\0\0\0")
    assert spi.machine.run_us(1).reason is StopReason.OFF


@pytest.mark.parametrize("mode", [CutMode.BEFORE, CutMode.TORN, CutMode.AFTER, CutMode.WEAK])
@pytest.mark.parametrize(("index", "seed"), [(0, 1), (1, 2), (2, 3)])
def test_power_cuts_leave_what_the_planner_leaves(spi: Spi, mode: CutMode, index: int, seed: int) -> None:
    print(f"cut {index}:{mode.value}:{seed}")
    twin, cut = spi.flash.clone(), Cut(index, mode, seed)
    spi.flash.arm(cut)
    twin.arm(cut)
    steps = [(0x1000, None), (0x1020, bytes(range(32))), (0x1040, bytes(32))]
    with pytest.raises(PowerCut):
        for address, data in steps:
            if data is None:
                spi.command(WREN)
                spi.command(SE, address)
                spi.wait()
            else:
                spi.write(address, data)
    with pytest.raises(PowerCut):
        for address, data in steps:
            if data is None:
                twin.erase(address // 4096)
            else:
                twin.write(address, data)
    assert spi.flash.sectors(0, FLASH_BYTES) == twin.sectors(0, FLASH_BYTES)
    assert spi.flash.weak == twin.weak
    assert spi.machine.run_us(100).reason is StopReason.OFF
    spi.machine.power_on()
    if mode is CutMode.WEAK and spi.flash.weak:
        address = next(iter(spi.flash.weak))
        assert len({spi.read(address & ~3, 4) for _ in range(20)}) > 1, "weak bits differ each time"
    else:
        assert spi.read(0x1020, 32) == twin.peek(0x1020, 32)


@pytest.mark.parametrize("size", [0x80000, 0x100000, 0x1000000])
def test_flash_sizes(folder: Path, size: int) -> None:
    flash = NorFlash(size, log=False)
    flash.poke(size - 16, b"0123456789abcdef")
    spi = Spi(TEXT, flash=flash)
    assert spi.read(size - 16, 16) == b"0123456789abcdef"
    spi.command(RDID)
    assert spi.get(W0) >> 16 == size.bit_length() - 1
    spi.put(0x3FF0000C, 0x100)
    if size < 0x100000:
        assert spi.get(0x40200000 + 2 * size - 4) == int.from_bytes(b"cdef", "little"), "a small flash repeats"
