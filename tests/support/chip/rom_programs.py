"""Programs for the bare chip, compiled on the spot, as images that the boot ROM starts."""

from __future__ import annotations

import struct
from functools import reduce
from operator import xor
from pathlib import Path
from typing import Final

from slotbench.vboard.chip.machine import Machine
from slotbench.vboard.flash.nor import NorFlash
from support.chip.rom_calls import FLASH_BYTES, read_table
from support.loader.qemu import tool

TEXT: Final = 0x40100000
DATA: Final = 0x3FFE8000
_SCRIPT: Final = f"""
ENTRY(start)
SECTIONS
{{
    .text {TEXT:#x} : {{ *(.literal .literal.* .text.start .text .text.*) }}
    .data {DATA:#x} : {{ *(.rodata .rodata.* .data .data.* .bss COMMON) }}
    /DISCARD/ : {{ *(.xt.* .xtensa.info .comment) }}
}}
"""
_PROLOGUE: Final = """
typedef unsigned int u32;
typedef unsigned char u8;
void ets_printf(const char *, ...);
#define REG(address) (*(volatile u32 *)(address))
#define RSR(name) ({ u32 value_; __asm__ volatile("rsr %0, " #name : "=r"(value_)); value_; })
"""


def image(segments: list[tuple[int, bytes]], entry: int, *, mode: int = 2, size: int = 4) -> bytes:
    """An image of version 1: header, segments, checksum. `mode` 2 is DIO, `size` 4 is 4 MB."""
    data = bytearray(struct.pack("<4BI", 0xE9, len(segments), mode, size << 4, entry))
    for address, content in segments:
        data += struct.pack("<2I", address, len(content)) + content
    data += bytes(15 - len(data) % 16)
    return bytes(data) + bytes([reduce(xor, b"".join(content for _, content in segments), 0xEF)])


def compile_program(folder: Path, source: str) -> bytes:
    """The image of a C program with `void start(void)`; all documented ROM functions can be called."""
    code, script, elf = folder / "program.c", folder / "program.ld", folder / "program.elf"
    code.write_text(_PROLOGUE + source, encoding="utf-8")
    script.write_text(_SCRIPT + "".join(
        f"PROVIDE({name} = {address:#x});\n" for name, (address, _) in read_table().items()), encoding="utf-8")
    tool("gcc", "-Os", "-ffreestanding", "-nostdlib", "-mlongcalls", "-mtext-section-literals", "-Wall", "-Werror",
         "-fno-tree-loop-distribute-patterns", "-fno-builtin", "-Wl,--no-warn-rwx-segments", "-Wl,--build-id=none",
         "-T", script, "-o", elf, code)
    segments = []
    for name, address in ((".text", TEXT), (".data", DATA)):
        binary = folder / f"program{name}.bin"
        tool("objcopy", "-O", "binary", "-j", name, "--set-section-flags", f"{name}=alloc,load,contents", elf, binary)
        if content := binary.read_bytes():
            segments.append((address, content + bytes(-len(content) % 4)))
    entry = next(int(line.split()[0], 16) for line in tool("nm", elf).splitlines() if line.endswith(" start"))
    return image(segments, entry)


class ProgramBoard:
    """A chip with an image at flash offset 0; `text` is what UART0 sent."""

    def __init__(self, content: bytes, *, straps: int = 3, rom: bytes | None = None) -> None:
        self.flash = NorFlash(FLASH_BYTES)
        self.flash.poke(0, content)
        self.machine = Machine(self.flash, rom=rom)
        self.sent = bytearray()
        self.machine.on_uart = self.sent.extend
        self.machine.power_on(straps=straps)

    @property
    def text(self) -> str:
        return self.sent.decode("latin-1").replace("\r\n", "\n")

    def run_to(self, wanted: str, limit_us: int = 2_000_000) -> str:
        """Run until UART0 has sent this; all that it has sent. Fails when it does not come."""
        if wanted not in self.text:
            self.machine.run_until(lambda: wanted in self.text, limit_us)
        assert wanted in self.text, (self.text, self.machine.last_exception())
        return self.text
