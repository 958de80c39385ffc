"""The boot ROM's download mode: each request, bad ones, speeds, and esptool with its stub and without."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

from slotbench.vboard.chip.machine import Cause
from support.chip.rom_host import (
    FLASH_BEGIN,
    FLASH_DATA,
    FLASH_END,
    MEMORY_BEGIN,
    MEMORY_DATA,
    MEMORY_END,
    READ_REGISTER,
    SYNC,
    SYNC_DATA,
    WRITE_REGISTER,
    DownloadHost,
    block,
    escape,
    request,
    run_esptool,
)
from support.chip.rom_programs import DATA, TEXT, compile_program

pytestmark = pytest.mark.usefixtures("core")

INVALID, BAD_CHECKSUM = 5, 7
RAM = 0x3FFF0000
STAMP = 0x3FFF4000


def words(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}I", *values)


@pytest.fixture
def host() -> DownloadHost:
    made = DownloadHost()
    made.synchronize()
    return made


def test_a_sync_has_eight_responses_that_are_not_the_stubs() -> None:
    """The stub's value is 0; esptool would take the ROM for it."""
    found = DownloadHost().synchronize()
    assert [it[0] for it in found] == [SYNC] * 8
    assert all(it[1] != 0 and it[2:] == (0, 0) for it in found)


def test_noise_before_a_frame_is_passed_over() -> None:
    host = DownloadHost()
    host.ask(b"\x00\x55noise\r\n" + b"\xc0\xc0" + request(SYNC, SYNC_DATA), count=8)


@pytest.mark.parametrize("baud", [9600, 57600, 115200, 230400, 921600])
def test_the_hosts_speed_is_measured(baud: int) -> None:
    """The UART counts 52 MHz before firmware starts the PLL."""
    host = DownloadHost()
    host.machine.set_baud(baud)
    host.synchronize()
    assert abs(52_000_000 / host.machine.uart_divisor - baud) < baud / 25


def test_registers_are_read_and_written(host: DownloadHost) -> None:
    assert host.ask(request(READ_REGISTER, words(0x40001000))) == [(READ_REGISTER, 0xFFF0C101, 0, 0)]
    host.ask(request(WRITE_REGISTER, words(RAM, 0xDBC0DBC0, 0xFFFFFFFF, 0)))
    assert host.ask(request(READ_REGISTER, words(RAM)))[0][1] == 0xDBC0DBC0
    host.ask(request(WRITE_REGISTER, words(RAM, 0x12345678, 0x00FF00FF, 0)))
    assert host.ask(request(READ_REGISTER, words(RAM)))[0][1] == 0xDB34DB78
    before = host.machine.us
    host.ask(request(WRITE_REGISTER, words(RAM, 0, 0xFFFFFFFF, 50_000)))
    assert host.machine.us - before >= 50_000, "its last word is a delay"


@pytest.mark.parametrize("operation", [0, 1, 0x0B, 0x0D, 0x14, 0xD0, 0xFF])
def test_unknown_requests_are_refused(host: DownloadHost, operation: int) -> None:
    """esptool learns by it that this is no newer chip."""
    assert host.ask(request(operation, words(1, 2))) == [(operation, 0, 1, INVALID)]


@pytest.mark.parametrize("address", [RAM, 0x40102000])
@pytest.mark.parametrize("size", [1, 4, 0x1800])
def test_memory_is_loaded(host: DownloadHost, address: int, size: int) -> None:
    """Also instruction RAM, which takes whole words only, and blocks of esptool's size."""
    noise = random.Random(f"memory {size}")
    data = bytes(noise.choice((0xC0, 0xDB, 0xDC, 0xDD, noise.randrange(256))) for _ in range(2 * size))
    assert host.ask(request(MEMORY_BEGIN, words(2 * size, 2, size, address)))[0][2:] == (0, 0)
    assert host.ask(block(MEMORY_DATA, data[:size], 0))[0][2:] == (0, 0)
    if size % 4 == 0:
        assert host.ask(block(MEMORY_DATA, data[size:], 1))[0][2:] == (0, 0)
        assert host.machine.read(address, 2 * size) == data
    assert host.machine.read(address, size) == data[:size]
    assert host.ask(request(MEMORY_END, words(1, 0)))[0][2:] == (0, 0)
    assert host.synchronize(), "it stays"


def test_bad_blocks_are_refused_and_may_come_again(host: DownloadHost) -> None:
    data = bytes(range(64))
    host.ask(request(MEMORY_BEGIN, words(128, 2, 64, RAM)))
    assert host.ask(block(MEMORY_DATA, data, 0, checksum=1))[0][2:] == (1, BAD_CHECKSUM)
    assert host.ask(block(MEMORY_DATA, data, 1))[0][2:] == (1, INVALID)
    wrong = request(MEMORY_DATA, words(60, 0, 0, 0) + data, 0xEF)
    assert host.ask(wrong)[0][2:] == (1, INVALID)
    assert host.ask(block(MEMORY_DATA, data, 0))[0][2:] == (0, 0)
    assert host.ask(block(MEMORY_DATA, data[::-1], 1))[0][2:] == (0, 0)
    assert host.machine.read(RAM, 128) == data + data[::-1]


def test_broken_frames_do_no_harm(host: DownloadHost) -> None:
    noise = random.Random("frames")
    for _ in range(30):
        host.machine.uart_write(escape(noise.randbytes(noise.choice((0, 1, 7)))))
    host.machine.uart_write(b"\xdb" * 5 + b"\xc0")
    host.machine.run_us(100_000)
    assert host.synchronize()


def test_flash_is_written(host: DownloadHost) -> None:
    data = random.Random("flash").randbytes(3 * 1024)
    assert host.ask(request(FLASH_BEGIN, words(len(data), 3, 1024, 0x20000)))[0][2:] == (0, 0)
    for number in range(3):
        assert host.ask(block(FLASH_DATA, data[1024 * number :][:1024], number))[0][2:] == (0, 0)
    assert host.board.flash.peek(0x20000, 3072) == data
    assert host.ask(block(FLASH_DATA, bytes(0x1000), 3))[0][2:] == (1, INVALID), "more than its buffer holds"
    assert host.ask(request(FLASH_BEGIN, words(0x1000, 1, 1024, 0x400000)))[0][2:] == (1, 6), "behind the flash"


def test_the_host_may_restart_the_chip(host: DownloadHost) -> None:
    host.machine.straps = 3
    assert host.ask(request(FLASH_END, words(0)))[0][2:] == (0, 0)
    host.board.run_to("boot mode:(3,0)")
    assert host.machine.resets[-1].cause is Cause.SOFTWARE


def test_the_host_may_start_what_is_in_flash(folder: Path) -> None:
    host = DownloadHost(compile_program(folder, 'void start(void) { ets_printf("from flash\\n"); for (;;) ; }'))
    host.synchronize()
    host.ask(request(FLASH_END, words(1)))
    host.board.run_to("from flash\n")


@pytest.mark.parametrize("returns", [False, True])
def test_a_loaded_program_starts(folder: Path, returns: bool) -> None:
    """One that takes itself out and returns leads to what is in flash, as esptool's stub wants it."""
    host = DownloadHost(compile_program(folder, 'void start(void) { ets_printf("from flash\\n"); for (;;) ; }'))
    host.synchronize()
    content = compile_program(folder, f"""
        void ets_set_user_start(void (*)(void));
        void start(void) {{ ets_printf("loaded\\n"); if ({int(returns)}) ets_set_user_start(0); }}""")
    at = 8
    for _ in range(content[1]):
        address, size = struct.unpack_from("<2I", content, at)
        host.ask(request(MEMORY_BEGIN, words(size, 1, size, address)))
        host.ask(block(MEMORY_DATA, content[at + 8 : at + 8 + size], 0))
        at += 8 + size
        assert address in (TEXT, DATA)
    host.ask(request(MEMORY_END, words(0, struct.unpack_from("<I", content, 4)[0])))
    host.board.run_to("loaded\n" if returns else "loaded\nuser code done\n")
    if returns:
        host.board.run_to("from flash\n")


def test_esptool_knows_the_chip() -> None:
    host = DownloadHost()
    printed = run_esptool(host.board, "--no-stub", "chip-id")
    assert "ESP8266EX" in printed and "18:fe:34:a1:b2:c3" in printed


def test_esptool_writes_flash_without_its_stub(tmp_path: Path) -> None:
    """It allows for the ROM's way of erasing: nothing else is lost."""
    host = DownloadHost(bytes(0x40000))
    data = random.Random("no stub").randbytes(24_000)
    (tmp_path / "data.bin").write_bytes(data)
    run_esptool(host.board, "--no-stub", "write-flash", "0x13000", str(tmp_path / "data.bin"))
    assert host.board.flash.peek(0x13000, len(data)) == data
    assert host.board.flash.peek(0, 0x13000) == bytes(0x13000)
    assert host.board.flash.peek(0x19000, 0x27000) == bytes(0x27000)


def test_esptool_loads_a_program_into_ram_and_starts_it(folder: Path) -> None:
    host = DownloadHost(bytes(0x40000))
    program = folder / "program.bin"
    program.write_bytes(compile_program(folder, 'void start(void) { ets_printf("ran in RAM\\n"); for (;;) ; }'))
    printed = run_esptool(host.board, "--chip", "esp8266", "--no-stub", "load-ram", str(program))
    assert "to RAM, executing at 0x4010" in printed
    host.board.run_to("ran in RAM\n")
    assert host.board.flash.peek(0, 0x40000) == bytes(0x40000)


def test_esptool_works_with_its_stub(tmp_path: Path) -> None:
    host = DownloadHost(bytes(0x40000))
    data = random.Random("stub").randbytes(30_000)
    (tmp_path / "data.bin").write_bytes(data)
    printed = run_esptool(host.board, "--chip", "auto", "write-flash", "0x10000", str(tmp_path / "data.bin"))
    assert "Stub flasher running." in printed and "Hash of data verified." in printed
    assert host.board.flash.peek(0x10000, len(data)) == data and host.board.flash.peek(0, 0x10000) == bytes(0x10000)
    printed = run_esptool(host.board, "--before", "no-reset-no-sync", "--chip", "esp8266", "read-flash", "0x12000", "0x1800", str(tmp_path / "back.bin"))
    assert (tmp_path / "back.bin").read_bytes() == data[0x2000:0x3800]
