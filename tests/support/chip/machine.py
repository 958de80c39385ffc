"""Machines for tests: programs assembled on the spot stand in for the boot ROM."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Final

from slotbench.vboard.chip.machine import ROM_BASE, Machine, Stop
from slotbench.vboard.flash.nor import NorFlash
from support.loader.qemu import tool

SCRATCH: Final = 0x3FFE9000
"""Data RAM that programs of tests use."""
FLASH_BYTES: Final = 0x400000
PS: Final = 230
USER_MODE: Final = 0x20

_VECTORS: Final = """\
    .section .text
    .org 0x20
    j       nmi
    .org 0x30
    j       trap
    .org 0x50
    j       trap
    .org 0x70
    j       double
    .org 0x80
    j       start
    .literal_position
"""


def with_vectors(program: str) -> str:
    """The ROM's vectors before a program that defines `start`; what it has no `nmi`, `trap` or `double` for spins."""
    missing = "".join(f"{name}:\n" for name in ("nmi", "trap", "double") if f"\n{name}:" not in f"\n{program}")
    return f"{_VECTORS}{program}    .align 4\n{missing}    j       .\n"


def assemble(folder: Path, text: str, address: int = ROM_BASE, name: str = "program") -> bytes:
    """Machine code of an assembly text that lies at `address`."""
    source, elf, binary = folder / f"{name}.S", folder / f"{name}.elf", folder / f"{name}.bin"
    source.write_text(text, encoding="utf-8")
    tool(
        "gcc", "-nostdlib", "-mtext-section-literals", "-Wl,--no-warn-rwx-segments", "-Wl,--build-id=none",
        f"-Wl,-Ttext={address:#x}", f"-Wl,-e,{address + 0x80:#x}", "-o", elf, source)
    tool("objcopy", "-O", "binary", "-j", ".text", elf, binary)
    return binary.read_bytes()


@functools.cache
def _built(text: str) -> tuple[bytes, dict[str, int]]:
    """Machine code and labels of a program: many tests share one."""
    with tempfile.TemporaryDirectory() as name:
        code = assemble(Path(name), text)
        symbols = tool("nm", Path(name) / "program.elf")
    lines = [line.split() for line in symbols.splitlines()]
    return code, {line[2]: int(line[0], 16) for line in lines if len(line) == 3}


class RomProgram:
    """A program of a test, as the ROM of a machine that is on: `call` runs one of its routines to its return."""

    def __init__(self, text: str, *, flash: NorFlash | None = None, seed: int = 1) -> None:
        rom, self.labels = _built(with_vectors(text))
        self.machine = Machine(flash if flash is not None else NorFlash(FLASH_BYTES), rom=rom, seed=seed)
        self.machine.power_on()

    def call(self, label: str, *arguments: int, limit_us: int = 30_000_000) -> Stop:
        """Call a routine with arguments in a2 on; the stop is a breakpoint at `start`, its return address."""
        self.machine.set_register(0, self.labels["start"])
        for number, value in enumerate(arguments, 2):
            self.machine.set_register(number, value)
        self.machine.set_register(16, self.labels[label])
        self.machine.set_special(PS, USER_MODE)
        self.machine.set_breakpoint(self.labels["start"])
        return self.machine.run_us(limit_us)

    @property
    def result(self) -> int:
        """a2."""
        return self.machine.registers().a[2]
