"""The loader under QEMU, on a stub ROM of our own (tests/loader/qemu): a second opinion on the machine in Python."""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Final

from slotbench import data_path
from slotbench.formats import rtc
from slotbench.vboard.flash.nor import NorFlash
from slotbench.vboard.lx106.memory import BASE, IRAM
from slotbench.vboard.lx106.rom import read_table
from slotbench.vboard.soc import RTC_BASE, RTC_BYTES, Soc

CROSS: Final = "xtensa-lx106-elf-"
QEMU: Final = "qemu-system-xtensa"
PACKAGES: Final = {
    f"{CROSS}gcc": "gcc-xtensa-lx106", f"{CROSS}objcopy": "binutils-xtensa-lx106", QEMU: "qemu-system-misc"}
SOURCES: Final = Path(__file__).parents[2] / "loader" / "qemu"
CFLAGS: Final = (
    "-Os", "-ffreestanding", "-nostdlib", "-mlongcalls", "-mtext-section-literals",
    "-fno-tree-loop-distribute-patterns", "-Wall", "-Wextra", "-Werror", "-Wl,--no-warn-rwx-segments",
    "-Wl,--build-id=none",
)
_TIMEOUT_S: Final = 60
_JOB: Final = struct.Struct(f"<6I16I{RTC_BYTES}s")
_RESULT: Final = struct.Struct("<8I")
_CONSOLE_BYTES: Final = 4096
_STACK: Final = 0x3FFFFF90
"""Where the ROM's own frames begin."""


def missing_packages() -> list[str]:
    """Debian packages that are not installed."""
    return sorted({package for tool, package in PACKAGES.items() if shutil.which(tool) is None})


class What(IntEnum):
    """How a run ended."""

    JUMPED = 1
    TRAPPED = 2
    RETURNED = 3
    NOTHING_BOOTS = 4
    CUT = 5
    REFUSED = 6


@dataclass(frozen=True, slots=True)
class QemuRun:
    """What a boot under QEMU left: how it ended, where, its steps on flash, RAM, RTC memory, console."""

    what: What
    pc: int
    cause: int
    address: int
    sp: int
    steps: int
    chip_size: int
    console: tuple[str, ...]
    rtc: bytes
    ram: bytes

    def read(self, address: int, length: int) -> bytes:
        """Bytes of RAM."""
        start = address - BASE if address < IRAM.start else address - IRAM.start + (0x40000000 - BASE)
        return self.ram[start : start + length]

    @property
    def tail(self) -> rtc.Tail:
        return rtc.Tail.unpack(self.rtc[rtc.ADDRESS - RTC_BASE :][: rtc.TAIL_BYTES])


class Qemu:
    """The stub ROM, built in `folder`, and runs of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.elf = folder / "rom.elf"
        build_rom(self.elf)

    def boot(
        self, soc: Soc, entry: int, *, cut: int | None = None, mode: str = "before", seed: int = 1,
        rounds: int = 1,
    ) -> QemuRun:
        """Boot the loader of the chip's flash to a jump to `entry`; the chip's flash and RTC memory follow.

        `cut` numbers a programmed word or a 256-byte piece of an erase; `mode` is before, torn or after.
        """
        flash_path, job_path = self.folder / "flash.bin", self.folder / "job.bin"
        image = soc.flash.peek(0, soc.flash.size)
        flash_path.write_bytes(image)
        noise = random.Random(f"qemu {seed}")
        registers = [noise.getrandbits(32) for _ in range(16)]
        registers[1] = _STACK
        job_path.write_bytes(_JOB.pack(
            entry, soc.hardware_cause, 0xFFFFFFFF if cut is None else cut,
            ("before", "torn", "after").index(mode), noise.randrange(1, 1 << 32), rounds * 30_000_000,
            *registers, soc.rtc))
        run_qemu(self.elf, [str(flash_path), str(job_path)])
        run = _result(job_path.read_bytes()[_JOB.size :])
        _take_over(soc.flash, image, flash_path.read_bytes())
        soc.rtc[:] = run.rtc
        soc.chip_size = run.chip_size
        return run


def build_rom(elf: Path) -> None:
    """Compile the stub, with a jump at each address of rom.txt that it has a function for."""
    folder = elf.parent
    flags = [*CFLAGS, "-I", str(SOURCES)]
    compiled = folder / "rom.o"
    tool("gcc", *flags, "-c", "-o", compiled, SOURCES / "rom.c")
    has = {line.split()[-1] for line in tool("nm", "--defined-only", compiled).splitlines()}
    table = [it for it in read_table(data_path("device", "slotboot", "rom.txt")) if it.is_function]
    jumps = folder / "jumps.S"
    jumps.write_text("".join(
        f'.section .at.{it.name}, "ax"\nj {it.name}\n' for it in table if it.name in has), encoding="utf-8")
    places = [f"-Wl,--section-start=.at.{it.name}={it.address:#x}" for it in table if it.name in has]
    tool("gcc", *flags, "-T", SOURCES / "rom.ld", *places, "-o", elf, SOURCES / "rom.S", compiled, jumps)


def run_qemu(elf: Path, arguments: Sequence[str]) -> bytes:
    """Run a program until it exits with code 0; return what it printed."""
    words = ",".join(f"arg={word}" for word in ("rom", *arguments))
    run = subprocess.run(
        [QEMU, "-M", "sim", "-cpu", "lx106", "-display", "none", "-monitor", "none", "-serial", "none",
         "-semihosting-config", f"enable=on,target=native,{words}", "-device", f"loader,file={elf},cpu-num=0"],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT_S, check=False)
    assert run.returncode == 0, f"QEMU: exit code {run.returncode}; {run.stderr.decode()}"
    return run.stdout


def tool(name: str, *arguments: str | Path) -> str:
    """Run a tool of the cross compiler; return what it printed."""
    command = [f"{CROSS}{name}", *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, f"{' '.join(command)}\n{run.stdout}{run.stderr}"
    return run.stdout


def _result(data: bytes) -> QemuRun:
    what, pc, cause, address, sp, steps, chip_size, console_bytes = _RESULT.unpack_from(data)
    at = _RESULT.size
    console = data[at : at + console_bytes].decode("ascii")
    at += _CONSOLE_BYTES
    rtc_bytes, at = data[at : at + RTC_BYTES], at + RTC_BYTES
    iram, dram = data[at : at + 0x10000], data[at + 0x10000 :]
    assert len(dram) == 0x18000
    return QemuRun(
        what=What(what), pc=pc, cause=cause, address=address, sp=sp, steps=steps, chip_size=chip_size,
        console=tuple(console.replace("\r", "").split("\n")[:-1]), rtc=rtc_bytes, ram=dram + iram)


def _take_over(flash: NorFlash, before: bytes, after: bytes) -> None:
    if before != after:
        for at in range(0, len(after), 4096):
            if before[at : at + 4096] != after[at : at + 4096]:
                flash.poke(at, after[at : at + 4096])
