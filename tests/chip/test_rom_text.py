"""The ROM's strings, memory, printing, heap, lists and small helpers."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

from slotbench.vboard.flash.nor import NorFlash
from support.chip.rom_calls import FLASH_BYTES, FREE, RomCalls, RomFailure

A, B = FREE, FREE + 0x800
IRAM = 0x40102000
FLASH_WINDOW = 0x40200000
ROUNDS = 60


pytestmark = pytest.mark.usefixtures("core")


@pytest.fixture(scope="module")
def rom(core: Path) -> RomCalls:
    return RomCalls()


def signed(value: int) -> int:
    return value - (1 << 32) if value >> 31 else value


def sign(value: int) -> int:
    return (value > 0) - (value < 0)


def drawn(seed: str) -> random.Random:
    print("seed:", seed)
    return random.Random(seed)


@pytest.mark.parametrize("name", ["memcpy", "ets_memcpy", "xthal_memcpy", "memmove", "ets_memmove"])
def test_memory_is_copied_at_any_alignment(rom: RomCalls, name: str) -> None:
    noise = drawn(name)
    for _ in range(ROUNDS):
        data, length = noise.randbytes(200), noise.choice((*range(12), 50, 63, 64, 100))
        source, target = noise.randrange(8), noise.randrange(8)
        rom.put(data, A), rom.put(bytes(200), B)
        assert rom.call(name, B + target, A + source, length) == B + target
        assert rom.get(B, 200) == bytes(target) + data[source : source + length] + bytes(200 - target - length)


def test_overlapping_memory_is_moved(rom: RomCalls) -> None:
    noise = drawn("memmove")
    for _ in range(ROUNDS):
        data = bytearray(noise.randbytes(100))
        source, target, length = noise.randrange(40), noise.randrange(40), noise.randrange(60)
        rom.put(bytes(data), A)
        rom.call("memmove", A + target, A + source, length)
        data[target : target + length] = bytes(data[source : source + length])
        assert rom.get(A, 100) == data, (source, target, length)


@pytest.mark.parametrize(("name", "value"), [("memset", 0x5A), ("ets_memset", 0x1FF), ("ets_bzero", None), ("bzero", None)])
def test_memory_is_filled(rom: RomCalls, name: str, value: int | None) -> None:
    for target in range(5):
        for length in (*range(12), 61):
            rom.put(b"\xEE" * 80, A)
            rom.call(name, A + target, *(() if value is None else (value,)), length)
            filled = bytes([(value or 0) & 0xFF]) * length
            assert rom.get(A, 80) == b"\xEE" * target + filled + b"\xEE" * (80 - target - length)


def test_instruction_ram_is_copied_and_filled_in_words(rom: RomCalls) -> None:
    """It takes whole words only: loaders copy into it with ets_memcpy."""
    data = drawn("iram").randbytes(64)
    rom.call("ets_memcpy", IRAM, rom.put(data), 64)
    assert rom.get(IRAM, 64) == data
    rom.call("ets_memcpy", B, IRAM, 64)
    assert rom.get(B, 64) == data
    rom.call("ets_memset", IRAM, 0x11, 32)
    assert rom.get(IRAM, 64) == b"\x11" * 32 + data[32:]
    with pytest.raises(RomFailure):
        RomCalls().call("ets_memcpy", IRAM + 1, A, 3, limit_us=50_000)


def test_aligned_text_in_flash_is_read_in_words() -> None:
    """The SDK passes addresses in the flash window to these: no byte can be read there."""
    flash = NorFlash(FLASH_BYTES)
    flash.poke(0x1000, b"station\0softap\0\0")
    rom = RomCalls(flash=flash)
    rom.call("Cache_Read_Enable", 0, 0, 1)
    text = FLASH_WINDOW + 0x1000
    assert rom.call("ets_strlen", text) == 7
    assert rom.call("ets_strcmp", text, rom.put(b"station\0")) == 0
    assert signed(rom.call("ets_strncmp", text, rom.put(b"stations"), 8)) < 0
    assert rom.call("ets_memcmp", text, rom.put(b"station"), 7) == 0
    rom.call("ets_strcpy", B, text)
    assert rom.get(B, 8) == b"station\0"
    rom.call("ets_strncpy", B, text + 8, 12)
    assert rom.get(B, 12) == b"softap" + bytes(6)
    rom.call("ets_memcpy", B, text, 4)
    assert rom.get(B, 4) == b"stat"


@pytest.mark.parametrize("prefix", ["", "ets_"])
def test_strings(rom: RomCalls, prefix: str) -> None:
    noise = drawn(f"strings {prefix}")

    def text() -> bytes:
        return bytes(noise.choice(b"ab") for _ in range(noise.randrange(10)))

    for _ in range(ROUNDS):
        a, b, size = text(), text(), noise.randrange(12)
        at, other = rom.put(a + b"\0", A + noise.randrange(5)), rom.put(b + b"\0", B + noise.randrange(5))
        assert rom.call(f"{prefix}strlen", at) == len(a)
        assert sign(signed(rom.call(f"{prefix}strcmp", at, other))) == (a > b) - (a < b), (a, b)
        left, right = a[:size], b[:size]
        assert sign(signed(rom.call(f"{prefix}strncmp", at, other, size))) == (left > right) - (left < right), (a, b, size)
        size = min(len(a), len(b))
        assert sign(signed(rom.call(f"{prefix}memcmp", at, other, size))) == (a[:size] > b[:size]) - (a[:size] < b[:size])
        found = a.find(b)
        assert rom.call(f"{prefix}strstr", at, other) == (at + found if found >= 0 else 0)
        to = rom.put(b"\xEE" * 20, A + 0x100) + noise.randrange(4)
        assert rom.call(f"{prefix}strcpy", to, at) == to and rom.get(to, len(a) + 2) == a + b"\0\xEE"
        rom.put(b"\xEE" * 20, to)
        rom.call(f"{prefix}strncpy", to, at, size)
        assert rom.get(to, 16) == a[:size].ljust(size, b"\0") + b"\xEE" * (16 - size)


@pytest.mark.parametrize(("form", "arguments", "printed"), [
    ("plain", (), "plain"), ("%d %i", (-5, 7), "-5 7"), ("%u", (0xFFFFFFFF,), "4294967295"), ("%d", (0x80000000,), "-2147483648"),
    ("%5d|%-5d|%05d", (42, 42, -42), "   42|42   |-0042"), ("%+d % d", (3, 3), "+3  3"), ("%.3d", (7,), "007"),
    ("%x %X %08x %#x", (0xBEEF, 0xBEEF, 0xBEEF, 0xBEEF), "beef BEEF 0000beef 0xbeef"), ("%o", (8,), "10"), ("%p", (0x40201000,), "0x40201000"),
    ("%c%c", (65, 66), "AB"), ("%*d", (4, 9), "   9"), ("%-*d|", (4, 9), "9   |"), ("%%", (), "%"), ("%ld %lu %hx", (1, 2, 3), "1 2 3"),
    ("%q", (), "%q"), ("end %", (), "end "),
])
def test_printing(rom: RomCalls, form: str, arguments: tuple[int, ...], printed: str) -> None:
    rom.take_printed()
    count = rom.call("ets_printf", rom.put(form.encode() + b"\0"), *(it & 0xFFFFFFFF for it in arguments))
    assert rom.take_printed().decode() == printed
    assert count == len(printed)


def test_strings_are_printed(rom: RomCalls) -> None:
    rom.take_printed()
    word = rom.put(b"word\0", B)
    rom.call("ets_printf", rom.put(b"<%s> <%6s> <%-6s> <%.2s> <%s>\0"), word, word, word, word, 0)
    assert rom.take_printed() == b"<word> <  word> <word  > <wo> <<null>>"


def test_more_arguments_than_registers_are_printed(rom: RomCalls) -> None:
    rom.take_printed()
    rom.call("ets_printf", rom.put(b"%d %d %d %d %d %d %d %d\0"), 1, 2, 3, 4, 5, 6, 7, 8)
    assert rom.take_printed() == b"1 2 3 4 5 6 7 8"


def test_lines_end_with_both_characters(rom: RomCalls) -> None:
    rom.take_printed()
    rom.call("ets_printf", rom.put(b"a\nb\r\n\0"))
    rom.call("ets_putc", 10)
    assert rom.take_printed() == b"a\r\nb\r\n\r\n"


def test_printing_goes_where_a_program_sends_it() -> None:
    """putc1 lies at a public address; without one nothing is printed, ets_uart_printf prints all the same."""
    rom = RomCalls()
    text = rom.put(b"x%d\0")
    rom.call("ets_install_putc1", 0)
    assert rom.words(0x3FFFDD48, 1) == (0,)
    rom.call("ets_printf", text, 1)
    assert rom.take_printed() == b""
    rom.call("ets_uart_printf", text, 2)
    assert rom.take_printed() == b"x2"
    rom.call("ets_install_putc2", rom.address("uart_tx_one_char"))
    rom.call("ets_external_printf", text, 3)
    assert rom.take_printed() == b"x3"
    rom.call("ets_install_putc2", 0)
    rom.call("ets_install_uart_printf")
    rom.call("ets_printf", text, 4)
    assert rom.take_printed() == b"x4"


def test_the_other_uart(rom: RomCalls) -> None:
    sent = bytearray()
    rom.machine.on_uart1 = sent.extend
    rom.call("uart_buff_switch", 1)
    rom.call("ets_printf", rom.put(b"debug\0"))
    rom.call("uart_buff_switch", 0)
    assert rom.take_printed() == b"" and sent == b"debug"
    assert rom.call("GetUartDevice") == rom.address("UartDev")


def test_data_at_public_addresses(rom: RomCalls) -> None:
    """The SDK's printf and MicroPython's UART driver read these."""
    assert rom.get(0x3FFFD848, 17) == b"0123456789abcdef\0"
    assert rom.get(0x3FFFD85C, 17) == b"0123456789ABCDEF\0"
    assert rom.get(0x3FFFD870, 7) == b"<null>\0"
    assert rom.words(rom.address("UartDev"), 5) == (115200, 3, 0, 0, 1)
    assert rom.words(rom.address("flashchip"), 7) == (0x3FFFC718, 0x1640EF, 0x400000, 0x10000, 0x1000, 0x100, 0xFFFF)
    assert rom.words(0x40001000, 1) == (0xFFF0C101,), "esptool knows the chip by this word"


def test_conversions(rom: RomCalls) -> None:
    for text, value in ((b"0", 0), (b"1234x", 1234), (b"-7", 0xFFFFFFF9), (b"", 0)):
        assert rom.call("conv_str_decimal", rom.put(text + b"\0")) == value
    for text, value in ((b"0x1F", 0x1F), (b"beefg", 0xBEEF), (b"0", 0)):
        assert rom.call("conv_str_hex", rom.put(text + b"\0")) == value
    assert [rom.call("ets_char2xdigit", it) for it in b"09afAFg"] == [0, 9, 10, 15, 10, 15, 0xFFFFFFFF]
    assert rom.call("ets_str2macaddr", B, rom.put(b"18:fe:34:A1:b2:c3\0")) == 0
    assert rom.get(B, 6) == bytes.fromhex("18fe34a1b2c3")
    assert rom.call("ets_str2macaddr", B, rom.put(b"18:fe:34-A1:b2:c3\0")) == 1
    assert rom.call("roundup2", 13, 8) == 16 and rom.call("roundup2", 16, 8) == 16
    assert rom.call("multofup", 13, 6) == 18 and rom.call("multofup", 12, 6) == 12


def test_random_numbers_follow_their_seed(rom: RomCalls) -> None:
    rom.call("srand", 5)
    first = [rom.call("rand") for _ in range(4)]
    rom.call("srand", 5)
    assert [rom.call("rand") for _ in range(4)] == first and len(set(first)) == 4 and max(first) < 1 << 31


def test_heap(rom: RomCalls) -> None:
    """Random blocks never overlap and keep their content; all of the memory comes back."""
    noise = drawn("heap")
    start, end = FREE + 0x4000, FREE + 0x6000
    rom.call("mem_init", start, end)
    blocks: dict[int, bytes] = {}
    for _ in range(200):
        if blocks and noise.random() < 0.5:
            at = noise.choice(list(blocks))
            data = blocks.pop(at)
            assert rom.get(at, len(data)) == data
            if noise.random() < 0.3:
                size = noise.randrange(300)
                if moved := rom.call("mem_realloc", at, size):
                    assert rom.get(moved, min(size, len(data))) == data[:size]
                    at = moved
            rom.call("mem_free", at)
        else:
            size = noise.randrange(1, 600)
            if at := rom.call(noise.choice(("mem_malloc", "mem_zalloc")), size):
                assert at % 4 == 0 and start <= at and at + size <= end
                assert all(at + size <= other or other + len(data) <= at for other, data in blocks.items())
                blocks[at] = rom.get(rom.put(noise.randbytes(size), at), size)
    for at in blocks:
        rom.call("mem_free", at)
    assert rom.call("mem_malloc", end - start - 8) == start + 8
    assert rom.call("mem_malloc", 4) == 0
    rom.call("mem_trim", start + 8, 16)
    at = rom.call("mem_calloc", 5, 20)
    assert rom.get(at, 100) == bytes(100)


def test_chains_of_descriptors(rom: RomCalls) -> None:
    """The SDK builds its receive buffers with this: size and length in the first word, owner in its last bit."""
    rom.call("lldesc_build_chain", A, 3 * 12, B, 4 * 100, 100, 1, A + 0x100, A + 0x104)
    assert rom.words(A + 0x100, 2) == (A, A + 24)
    word = 100 | 100 << 12 | 1 << 31
    assert rom.words(A, 9) == (word, B, A + 12, word, B + 100, A + 24, word, B + 200, 0)
    assert rom.call("lldesc_num2link", A, 2) == A + 12
    assert rom.call("lldesc_set_owner", A, 2, 0) == A + 12
    assert struct.unpack("<I", rom.get(A + 12, 4))[0] == word & 0x7FFFFFFF and rom.words(A + 24, 1) == (word,)
