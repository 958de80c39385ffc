"""What the boot ROM does at a start: messages, images good and bad, restarts, fatal exceptions, missing functions."""

from __future__ import annotations

from pathlib import Path

import pytest

from slotbench import data_path
from slotbench.vboard.chip.machine import Cause
from support.chip.rom_calls import read_table
from support.chip.rom_programs import DATA, TEXT, ProgramBoard, compile_program, image

pytestmark = pytest.mark.usefixtures("core")

BANNER = "\n ets Jan  8 2013,rst cause:{}, boot mode:({},0)\n\n"


def test_an_image_is_loaded_with_the_messages_of_the_chip(folder: Path) -> None:
    """As public logs of boards have them: room and tail count in lines of 16 bytes."""
    content = compile_program(folder, 'void start(void) { ets_printf("hello %d\\n", 42); for (;;) ; }')
    code = content[16 : 16 + int.from_bytes(content[12:16], "little")]
    filler = bytes(range(52))
    data = content[24 + len(code) : -1].rstrip(b"\0") + bytes(3)
    segments = [(TEXT, code), (DATA + 0x100, filler), (DATA, data)]
    board = ProgramBoard(image(segments, int.from_bytes(content[4:8], "little")))
    lines = board.run_to("hello 42\n").removeprefix(BANNER.format(1, 3)).splitlines()
    assert lines[0] == f"load 0x40100000, len {len(code)}, room 16 "
    assert lines[1] == f"tail {(len(code) - 16) % 16}"
    assert lines[2].startswith("chksum 0x")
    assert [line for line in lines if line.startswith("load")][1].startswith(f"load 0x{DATA + 0x100:08x}, len 52, room ")
    assert lines[-2] == f"csum 0x{board.flash.peek(0, 4096)[: len(content) + 96].rstrip(bytes([255]))[-1]:02x}"


def test_a_log_of_a_real_board() -> None:
    """Lengths of official MicroPython 1.26.0, whose first lines people quote."""
    segments = [(TEXT, bytes(31264)), (DATA, bytes(1060)), (DATA + 0x430, bytes(1124))]
    text = ProgramBoard(image(segments, TEXT)).run_to("csum 0xef\n")
    assert text.startswith(BANNER.format(1, 3) + (
        "load 0x40100000, len 31264, room 16 \ntail 0\nchksum 0xef\nload 0x3ffe8000, len 1060, room 8 \ntail 12\nchksum 0xef\n"
        "ho 0 tail 12 room 4\nload 0x3ffe8430, len 1124, room 12 \ntail 8\nchksum 0xef\ncsum 0xef\n"))


@pytest.mark.parametrize("mode", range(5))
def test_every_flash_mode_starts(folder: Path, mode: int) -> None:
    content = bytearray(compile_program(folder, 'void start(void) { ets_printf("up\\n"); for (;;) ; }'))
    content[2] = mode
    ProgramBoard(bytes(content)).run_to("up\n")


def test_erased_flash_stops() -> None:
    board = ProgramBoard(b"")
    assert board.run_to("ets_main.c\n") == BANNER.format(1, 3) + "ets_main.c\n"
    board.machine.run_us(20_000_000)
    assert board.text.count("ets Jan") == 1, "no watchdog is on, nothing restarts it"


def test_a_wrong_checksum_stops(folder: Path) -> None:
    content = bytearray(compile_program(folder, 'void start(void) { ets_printf("wrong\\n"); }'))
    content[40] ^= 0x10
    board = ProgramBoard(bytes(content))
    assert board.run_to("ets_main.c\n").endswith("csum err\nets_main.c\n") and "wrong" not in board.text


def test_a_program_may_return(folder: Path) -> None:
    assert ProgramBoard(compile_program(folder, "void start(void) {}")).run_to("user code done\n").endswith("\nuser code done\n")


def test_restarts_and_their_causes(folder: Path) -> None:
    """A jump to the reset vector keeps the cause; the pin has its own; a bite of the watchdog is said."""
    content = compile_program(folder, """
        u32 rtc_get_reset_reason(void); void _ResetVector(void); void ets_wdt_enable(void);
        void start(void) {
            REG(0x60001200)++;
            ets_printf("reason %d\\n", rtc_get_reset_reason());
            if (REG(0x60001200) % 4 == 1)
                _ResetVector();
            REG(0x60000904) = REG(0x60000908) = 8;
            if (REG(0x60001200) % 4 == 3)
                ets_wdt_enable();
            for (;;)
                ;
        }""")
    board = ProgramBoard(content)
    board.machine.write_word(0x60001200, 0)
    board.run_to("reason 1\n", 100_000)
    board.machine.run_until(lambda: board.text.count("reason 1\n") == 2, 100_000)
    assert board.text.count(BANNER.format(1, 3)) == 2
    board.machine.press_reset()
    board.run_to("reason 2\n")
    assert BANNER.format(2, 3) + "load" in board.text
    board.run_to("reason 4\n")
    assert BANNER.format(4, 3) + "wdt reset\nload" in board.text
    assert board.machine.resets[-1].cause is Cause.WATCHDOG


def test_a_software_reset_is_a_reset(folder: Path) -> None:
    board = ProgramBoard(compile_program(folder, """
        void software_reset(void);
        void start(void) { ets_printf("up\\n"); if (!(REG(0x60001200) & 1)) { REG(0x60001200) = 1; software_reset(); } for (;;) ; }"""))
    board.machine.write_word(0x60001200, 0)
    board.machine.run_until(lambda: board.text.count("up\n") == 2, 500_000)
    assert board.text.count("up\n") == 2


def test_an_unknown_cause_stops() -> None:
    board = ProgramBoard(b"")
    board.run_to("ets_main.c")
    board.machine.write_word(0x60000714, 9)
    board.machine.set_register(16, read_table()["_ResetVector"][0])
    board.run_to("unknown reset\n")


def test_other_straps_wait_for_a_host() -> None:
    assert ProgramBoard(b"", straps=7).run_to("waiting for host\n").startswith(BANNER.format(1, 7))


@pytest.mark.parametrize(("statement", "cause"), [
    ('__asm__ volatile("ill")', 0), ("(void)*(volatile u8 *)0x40100000", 3), ("(void)REG(odd)", 9), ("(void)REG(0x20000000)", 28),
    ("REG(0x20000000) = 1", 29),
])
def test_fatal_exceptions_are_printed(folder: Path, statement: str, cause: int) -> None:
    content = compile_program(folder, f"volatile u32 odd = 0x3FFE8002; void start(void) {{ {statement}; for (;;) ; }}")
    text = ProgramBoard(content).run_to("depc=0x00000000\n")
    assert f"Fatal exception ({cause}): \nepc1=0x401000" in text


def test_a_missing_function_is_seen_by_name(folder: Path) -> None:
    text = ProgramBoard(compile_program(folder, "void cmd_parse(void); void start(void) { cmd_parse(); }")).run_to("from 0x401000")
    assert "\ntwoslot rom: no cmd_parse (called from 0x401000" in text


def test_every_missing_function_says_its_own_name() -> None:
    """Each one that rom.txt calls a trap."""
    board = ProgramBoard(b"")
    board.run_to("ets_main.c")
    addresses: dict[int, set[str]] = {}
    for name, (address, kind) in read_table().items():
        if kind == "trap":
            addresses.setdefault(address, set()).add(name)
    assert len(addresses) > 20
    for address, names in addresses.items():
        board.sent.clear()
        board.machine.set_register(0, 0x40100004)
        board.machine.set_register(1, 0x3FFFFF00)
        board.machine.set_register(16, address)
        text = board.run_to("(called from 0x40100004)\n")
        assert text.split("twoslot rom: no ")[1].split()[0] in names


def test_slotboot_starts(core: Path) -> None:
    """This project's loader, without a map table behind it."""
    board = ProgramBoard(data_path("device", "slotboot", "slotboot.bin").read_bytes())
    assert "\nslotboot: - " in board.run_to("error 5\n", 40_000_000)
    assert board.machine.last_exception() is None
