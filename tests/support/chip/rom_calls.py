"""The boot ROM's functions, called one by one on the emulated chip."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Final

from slotbench.vboard.chip import machine as chip_machine
from slotbench.vboard.chip.machine import Machine, StopReason
from slotbench.vboard.flash.nor import NorFlash

ROM_FOLDER: Final = Path(chip_machine.__file__).parent / "rom"
FLASH_BYTES: Final = 0x400000
FREE: Final = 0x3FFE8000
"""Data RAM for arguments: 64 KB that neither the ROM nor its stack use."""
_STACK: Final = 0x3FFFFF00
_BACK: Final = 0x40100000
"""Where functions return to: a breakpoint."""
_LIMIT_US: Final = 5_000_000
_LINE: Final = re.compile(r"^(\w+)\s+(0x[0-9a-f]{8}) (call|zero|trap|data)(?: (\w+))?$")


def read_table() -> dict[str, tuple[int, str]]:
    """rom.txt: address and kind of each documented entry."""
    lines = (ROM_FOLDER / "rom.txt").read_text(encoding="ascii").splitlines()
    found = [_LINE.match(line) for line in lines if not line.startswith("#")]
    assert all(found), "a line of rom.txt has another form"
    return {it[1]: (int(it[2], 16), it[3]) for it in found if it is not None}


class RomFailure(AssertionError):
    """A ROM function did not return."""


class RomCalls:
    """A chip whose ROM found no image and stopped: its data is ready, and functions can be called."""

    def __init__(self, *, flash: NorFlash | None = None, rom: bytes | None = None) -> None:
        self.flash = NorFlash(FLASH_BYTES) if flash is None else flash
        self.machine = Machine(self.flash, rom=rom)
        self.printed = bytearray()
        self.machine.on_uart = self.printed.extend
        self.table = read_table()
        self.machine.power_on()
        assert self.machine.run_until("ets_main.c", 2_000_000), bytes(self.printed)
        self.machine.run_us(1_000)
        self.printed.clear()
        self.machine.set_breakpoint(_BACK)
        self.instructions = 0
        """Instructions of the last call."""

    def address(self, name: str) -> int:
        """Where a documented entry is."""
        return self.table[name][0]

    def start(self, name: str | int, *arguments: int, stack: int = _STACK) -> None:
        """Put a call in place: six arguments in registers, the others on the stack."""
        for number, value in enumerate(arguments[:6]):
            self.machine.set_register(2 + number, value)
        for number, value in enumerate(arguments[6:]):
            self.machine.write_word(stack + 4 * number, value)
        self.machine.set_register(0, _BACK)
        self.machine.set_register(1, stack)
        self.machine.set_register(16, name if isinstance(name, int) else self.address(name))

    def call(self, name: str | int, *arguments: int, limit_us: int = _LIMIT_US) -> int:
        """Call a function; what it returns in a2. Raises RomFailure when it does not come back."""
        self.start(name, *arguments)
        before = self.machine.instructions
        stop = self.machine.run_us(limit_us)
        self.instructions = self.machine.instructions - before
        if stop.reason is not StopReason.BREAKPOINT or stop.pc != _BACK:
            raise RomFailure(f"{name}{arguments}: {stop}, {self.machine.last_exception()}, {bytes(self.printed)!r}")
        assert self.machine.registers().a[1] == _STACK, f"{name}: the stack pointer moved"
        return self.machine.registers().a[2]

    def call_64(self, name: str, *arguments: int) -> int:
        """Call a function of words that returns 64 bits in a2 and a3."""
        low = self.call(name, *arguments)
        return low | self.machine.registers().a[3] << 32

    def put(self, data: bytes, at: int = FREE) -> int:
        """Put bytes into data RAM; their address."""
        self.machine.write(at, data)
        return at

    def get(self, at: int, length: int) -> bytes:
        """Bytes of memory."""
        return self.machine.read(at, length)

    def words(self, at: int, count: int) -> tuple[int, ...]:
        """Words of memory."""
        return struct.unpack(f"<{count}I", self.get(at, 4 * count))

    def take_printed(self) -> bytes:
        """What UART0 sent since the last time."""
        self.machine.run_us(1)
        printed = bytes(self.printed)
        self.printed.clear()
        return printed
