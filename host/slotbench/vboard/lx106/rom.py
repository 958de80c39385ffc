"""The boot ROM of the machine: functions by the addresses of rom.txt, as Python.

Flash goes through the chip as actor "loader", bounded by `chip_size` in the ROM's data, like the
model's. A function leaves noise in every register that its caller may not rely on. A call of a name
that is not known here, or of an address that rom.txt does not list, is a Fault.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from slotbench.errors import USAGE, BenchError
from slotbench.vboard.lx106.cpu import Cpu
from slotbench.vboard.lx106.memory import BASE, DRAM, CpuFault
from slotbench.vboard.signals import DeviceOSError
from slotbench.vboard.soc import CHIP_SIZE_WORD, Soc

__all__ = ["FLASHCHIP", "RomHooks", "RomSymbol", "read_table"]

FLASHCHIP: Final = 0x3FFFC714
"""Pointer to the struct {id, chip_size, block, sector, page, status mask} behind it."""

_ACTOR: Final = "loader"
_CALLER_SAVED: Final = slice(3, 12)
_CPU_MHZ: Final = 52
"""With a crystal of 26 MHz, from power-on until the SDK has set the PLL."""
_ALIGNMENT: Final = 9
_NO_FUNCTION: Final = 0


@dataclass(frozen=True, slots=True)
class RomSymbol:
    """An address in the ROM, or in its data."""

    name: str
    address: int
    is_function: bool


def read_table(path: Path) -> list[RomSymbol]:
    """The lines `name 0xADDRESS call|data` of rom.txt. Raises BenchError with the line that is
    none.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise BenchError(
            "cannot read the ROM's addresses", where=f"{path}: {error.strerror}", exit_code=USAGE) from error
    found = []
    for number, line in enumerate(lines, 1):
        if not (words := line.partition("#")[0].split()):
            continue
        try:
            name, address, kind = words
            found.append(RomSymbol(name, int(address, 16), {"call": True, "data": False}[kind]))
        except (ValueError, KeyError):
            raise BenchError(
                "not `name 0xADDRESS call|data`", where=f"{path}:{number}: {line}", exit_code=USAGE) from None
    return found


class RomHooks:
    """Hooks of a CPU for the functions of rom.txt.

    `waited_us` is what the loader spent in ets_delay_us; `on_wait` is called after each of them.
    `console` is what it printed.
    """

    def __init__(self, soc: Soc, cpu: Cpu, table: list[RomSymbol], *, seed: int) -> None:
        self.soc = soc
        self.cpu = cpu
        self.waited_us = 0
        self.on_wait: Callable[[], None] = lambda: None
        self._printed = bytearray()
        self._noise = random.Random(f"rom {seed}")
        self._left = [self._noise.getrandbits(32) for _ in range(_CALLER_SAVED.start, _CALLER_SAVED.stop)]
        self._md5: dict[int, tuple[Any, int]] = {}
        self._counted = 0
        functions = self._functions()
        for symbol in table:
            if symbol.is_function:
                cpu.hooks[symbol.address] = self._hook(symbol.name, functions.get(symbol.name))

    @property
    def console(self) -> tuple[str, ...]:
        """Lines printed, without their ends."""
        text = self._printed.decode("ascii", "backslashreplace")
        return tuple(line.strip("\r") for line in text.split("\n") if line.strip("\r"))

    def start(self) -> None:
        """What the ROM leaves in its data: the flash chip, as it takes it to be."""
        words = (FLASHCHIP + 4, self.soc.flash_id, self.soc.chip_size, 0x10000, 0x1000, 0x100, 0xFFFF)
        for number, word in enumerate(words):
            self.cpu.memory.words[(FLASHCHIP - BASE >> 2) + number] = word

    def tick(self) -> None:
        """Let the time of the instructions since the last tick pass on the chip's clock."""
        us = (self.cpu.count - self._counted) // _CPU_MHZ
        self._counted += us * _CPU_MHZ
        self.soc.clock.advance_us(us)

    def take_chip_size(self) -> None:
        """The bound of the ROM's flash calls is the word in its data."""
        self.soc.chip_size = self.cpu.memory.words[CHIP_SIZE_WORD - BASE >> 2]

    def put_character(self, character: int) -> None:
        """A character for the UART."""
        self._printed.append(character & 0xFF)

    def _hook(self, name: str, function: Callable[..., int | None] | None) -> Callable[[Cpu], None]:
        if function is None:
            def missing(cpu: Cpu) -> None:
                pc = cpu.registers[0]
                raise CpuFault(f"call of {name}, which this ROM does not have", pc, pc, _NO_FUNCTION)
            return missing
        arguments = function.__code__.co_argcount - 1 if hasattr(function, "__code__") else 0

        def hook(cpu: Cpu) -> None:
            self.tick()
            registers = cpu.registers
            result = function(*registers[2 : 2 + arguments])
            registers[2] = self._noise.getrandbits(32) if result is None else result & 0xFFFFFFFF
            registers[_CALLER_SAVED] = self._left

        return hook

    def _functions(self) -> dict[str, Callable[..., int | None]]:
        return {
            "SPIRead": self._spi_read, "SPIWrite": self._spi_write, "SPIEraseSector": self._spi_erase_sector,
            "SPIEraseBlock": self._spi_erase_block,
            "Wait_SPI_Idle": self._wait_spi_idle,
            "ets_printf": self._ets_printf, "ets_putc": self._ets_putc, "uart_tx_one_char": self._ets_putc,
            "ets_delay_us": self._ets_delay_us, "rtc_get_reset_reason": self._rtc_get_reset_reason,
            "ets_memcpy": self._memcpy, "memcpy": self._memcpy, "ets_memset": self._memset,
            "memset": self._memset, "MD5Init": self._md5_init, "MD5Update": self._md5_update,
            "MD5Final": self._md5_final, "__udivsi3": self._udivsi3, "__umodsi3": self._umodsi3,
        }

    # Flash. 0 is success.

    def _spi_read(self, offset: int, target: int, length: int) -> int:
        self._require_aligned(target)
        self.take_chip_size()
        try:
            data = self.soc.rom_read(offset, length + 3 & ~3)
        except DeviceOSError:
            return 1
        self.cpu.memory.write(target, data, self.cpu.registers[0])
        return 0

    def _spi_write(self, offset: int, source: int, length: int) -> int:
        self._require_aligned(source)
        self.take_chip_size()
        try:
            self.soc.rom_write(offset, self.cpu.memory.read(source, length, self.cpu.registers[0]), _ACTOR)
        except DeviceOSError:
            return 1
        return 0

    def _spi_erase_sector(self, sector: int) -> int:
        self.take_chip_size()
        try:
            self.soc.rom_erase(sector, _ACTOR)
        except DeviceOSError:
            return 1
        return 0

    def _spi_erase_block(self, block: int) -> int:
        self.take_chip_size()
        try:
            self.soc.rom_erase_block(block, _ACTOR)
        except DeviceOSError:
            return 1
        return 0

    def _wait_spi_idle(self, soc: int) -> int:
        return 0

    # Words for people.

    def _ets_putc(self, character: int) -> int:
        self.put_character(character)
        return 0

    def _ets_printf(self, text: int, a: int, b: int, c: int, d: int, e: int) -> int:
        arguments = iter((a, b, c, d, e))
        characters = iter(self._string(text))
        for character in characters:
            if character != "%":
                self.put_character(ord(character))
                continue
            kind = next((it for it in characters if not it.isdigit()), "")
            for it in self._formatted(kind, arguments):
                self.put_character(ord(it))
        return 0

    def _formatted(self, kind: str, arguments: Iterator[int]) -> str:
        if kind == "%":
            return "%"
        value = next(arguments)
        if kind == "d":
            return str(value - (1 << 32) if value >> 31 else value)
        simple: dict[str, Callable[[int], str]] = {"u": str, "x": "{:x}".format, "c": chr, "s": self._string}
        return simple[kind](value)

    def _string(self, address: int) -> str:
        characters = []
        while byte := self.cpu.memory.load8(address, self.cpu.registers[0]):
            characters.append(chr(byte))
            address += 1
        return "".join(characters)

    # Time and cause.

    def _ets_delay_us(self, us: int) -> int:
        self.soc.clock.advance_us(us)
        self.waited_us += us
        self.on_wait()
        return 0

    def _rtc_get_reset_reason(self) -> int:
        return self.soc.hardware_cause

    # Memory. Instruction RAM answers to words only, and the ROM copies words only when all is
    # aligned.

    def _memcpy(self, target: int, source: int, length: int) -> int:
        self._require_words(target, length)
        self._require_words(source, length)
        memory, pc = self.cpu.memory, self.cpu.registers[0]
        memory.write(target, memory.read(source, length, pc), pc)
        return target

    def _memset(self, target: int, value: int, length: int) -> int:
        self._require_words(target, length)
        self.cpu.memory.write(target, bytes([value & 0xFF]) * length, self.cpu.registers[0])
        return target

    # MD5: the context is 88 bytes of the caller's, what it holds is the ROM's affair.

    def _md5_init(self, context: int) -> int:
        self.cpu.memory.write(context, self._noise.randbytes(88), self.cpu.registers[0])
        self._md5[context] = hashlib.md5(usedforsecurity=False), 0
        return 0

    def _md5_update(self, context: int, source: int, length: int) -> int:
        digest, before = self._md5[context]
        self._require_words(source, length | before)
        digest.update(self.cpu.memory.read(source, length, self.cpu.registers[0]))
        self._md5[context] = digest, before + length
        return 0

    def _md5_final(self, target: int, context: int) -> int:
        digest, _ = self._md5.pop(context)
        self._require_words(target, 16)
        self.cpu.memory.write(target, digest.digest(), self.cpu.registers[0])
        return 0

    # What libgcc leaves to the ROM.

    def _udivsi3(self, dividend: int, divisor: int) -> int:
        return dividend // divisor

    def _umodsi3(self, dividend: int, divisor: int) -> int:
        return dividend % divisor

    def _require_aligned(self, address: int) -> None:
        if address % 4:
            raise CpuFault("pointer of a ROM flash call", self.cpu.registers[0], address, _ALIGNMENT)

    def _require_words(self, address: int, length: int) -> None:
        if address not in DRAM and (address | length) % 4:
            raise CpuFault("the ROM would copy bytes there", self.cpu.registers[0], address, 3)
