"""Images of successive builds of one program, compiled and linked on the spot for the lx106."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from slotbench.benchmark.program import CHANGES, GrowingProgram
from slotbench.errors import USAGE, BenchError
from slotbench.formats.image import DRAM, IRAM, IROM_OFFSET, build_e9

__all__ = ["CROSS", "MODULES", "builds", "has_compiler"]

CROSS: Final = "xtensa-lx106-elf-"
MODULES: Final = 40
"""So many make an image of about 240 KB."""
_SEED: Final = 22
_COMPILE: Final = ("-Os", "-mtext-section-literals", "-ffreestanding", "-std=c11", "-w")
_FAR: Final = ("m0.c", "main.c")
"""These run from RAM, out of the reach of a plain call."""
_LINK: Final = ("-nostdlib", "-Wl,-T,map.ld", "-Wl,--build-id=none")
_TIME_S: Final = 120
_MAP: Final = f"""\
ENTRY(start)
SECTIONS
{{
    .iram {IRAM.start:#x} : {{ m0.o(.literal .text) main.o(.literal .text) }}
    .dram {DRAM.start:#x} : {{ *(.data .data.*) }}
    .bss : {{ *(.bss COMMON) }}
    .irom {0x40200000 + IROM_OFFSET:#x} : {{ *(.literal .text .literal.* .text.* .rodata .rodata.*) }}
    /DISCARD/ : {{ *(.xt.* .xtensa.info .comment) }}
}}
"""


def has_compiler() -> bool:
    """Whether the compiler for the lx106 and its linker are there."""
    return all(shutil.which(CROSS + tool) for tool in ("gcc", "ld", "objcopy", "nm"))


def builds(count: int, *, seed: int = _SEED, modules: int = MODULES) -> Iterator[tuple[str, bytes]]:
    """(what changed, image) of `count` successive builds. The first takes some seconds, others less than one.

    Raises BenchError (usage) without a compiler, and if it fails.
    """
    if not has_compiler():
        raise BenchError(
            f"no {CROSS}gcc", cure="install gcc-xtensa-lx106 and binutils-xtensa-lx106", exit_code=USAGE)
    program = GrowingProgram(seed, modules)
    with tempfile.TemporaryDirectory(prefix="slotbench-") as folder:
        workplace = _Workplace(Path(folder))
        yield "the first build", workplace.build(program)
        for number in range(count - 1):
            what = CHANGES[number % len(CHANGES)]
            program.change(what)
            yield what, workplace.build(program)


class _Workplace:
    """A folder with objects that are made anew when their source changes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.known: dict[str, str] = {}
        (folder / "map.ld").write_text(_MAP, encoding="ascii")

    def build(self, program: GrowingProgram) -> bytes:
        """The image of the program as it is now."""
        near: list[str] = []
        far: list[str] = []
        for name, text in program.sources():
            if self.known.get(name) != text:
                (self.folder / name).write_text(text, encoding="ascii")
                self.known[name] = text
                (far if name in _FAR else near).append(name)
        for options, changed in ((_COMPILE, near), ((*_COMPILE, "-mlongcalls"), far)):
            if changed:
                self._run("gcc", "-c", *options, *changed)
        objects = [f"{Path(name).stem}.o" for name in self.known]
        self._run("gcc", *_LINK, "-o", "program.elf", *objects, "-lgcc")
        iram, dram, irom = (self._section(name) for name in ("iram", "dram", "irom"))
        return build_e9([(IRAM.start, iram), (DRAM.start, dram)], self._entry(), irom)

    def _section(self, name: str) -> bytes:
        path = self.folder / f"{name}.bin"
        self._run("objcopy", "-O", "binary", "-j", f".{name}", "program.elf", path.name)
        data = path.read_bytes()
        return data + bytes(-len(data) % 16)

    def _entry(self) -> int:
        lines = self._run("nm", "program.elf").splitlines()
        return next(int(line.split()[0], 16) for line in lines if line.endswith(" start"))

    def _run(self, tool: str, *arguments: str) -> str:
        command: Sequence[str] = [CROSS + tool, *arguments]
        ran = subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, check=False, timeout=_TIME_S)
        if ran.returncode:
            raise BenchError(
                f"{command[0]} fails: {_first_error(ran.stderr)}",
                cure="install gcc-xtensa-lx106 and binutils-xtensa-lx106 of one version", exit_code=USAGE)
        return ran.stdout


def _first_error(words: str) -> str:
    lines = words.strip().splitlines() or ["no reason given"]
    return next((line for line in lines if "error" in line or "undefined" in line), lines[0])
