"""Random programs of everything a compiler emits for an LX106, in one ELF: run by QEMU and by our CPU."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from slotbench.vboard.lx106.cpu import Cpu, Handover
from slotbench.vboard.lx106.isa import decode
from slotbench.vboard.lx106.memory import IRAM, CpuMemory
from support.loader.qemu import CFLAGS, run_qemu, tool

_DATA: Final = 0x3FFE8000
_DATA_BYTES: Final = 1024
_RESULTS: Final = 0x3FFEA000
_RESULT: Final = struct.Struct("<17I")
_FREE: Final = [f"a{number}" for number in range(13)]
"""Of the others a13 points to the results, a14 counts loops, a15 points to the data."""

_THREE: Final = (
    "add", "addx2", "addx4", "addx8", "sub", "subx2", "subx4", "subx8", "and", "or", "xor", "mull", "mul16u",
    "mul16s", "moveqz", "movnez", "movltz", "movgez", "add.n",
)
_TWO: Final = ("neg", "abs", "nsa", "nsau", "mov.n")
_IF_TWO: Final = (
    "beq", "bne", "blt", "bge", "bltu", "bgeu", "bany", "bnone", "ball", "bnall", "bbc", "bbs")
_IF_ONE: Final = ("beqz", "bnez", "bltz", "bgez", "beqz.n", "bnez.n")
_B4: Final = (-1, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 32, 64, 128, 256)
_B4U: Final = (32768, 65536, *_B4[2:])
_WORDS: Final = (0, 1, 2, 31, 32, 0x7F, 0x80, 0xFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)


@dataclass(frozen=True, slots=True)
class CpuState:
    """After one program: a0-a15, SAR."""

    registers: tuple[int, ...]


class Programs:
    """`count` programs of one seed, assembled in `folder`."""

    def __init__(self, folder: Path, seed: int, count: int) -> None:
        self.count = count
        writer = _Writer(random.Random(f"programs {seed}"))
        self.sources = [writer.program() for _ in range(count)]
        source, self._elf, binary = folder / "programs.S", folder / "programs.elf", folder / "programs.bin"
        source.write_text(_frame(self.sources, random.Random(f"registers {seed}"), count), encoding="utf-8")
        tool("gcc", *CFLAGS, f"-Wl,-Ttext={IRAM.start:#x}", "-Wl,-e,entry", "-o", self._elf, source)
        tool("objcopy", "-O", "binary", "-j", ".text", self._elf, binary)
        self._code = binary.read_bytes()
        names = [line.split() for line in tool("nm", self._elf).splitlines()]
        self._at = {words[-1]: int(words[0], 16) for words in names if len(words) == 3}

    def instructions(self) -> set[str]:
        """Names of the instructions between `begin` and `done`, those that execute and those that do not."""
        found, pc = set(), 0
        while pc < len(self._code):
            it = decode(IRAM.start + pc, int.from_bytes(self._code[pc : pc + 3], "little"))
            found.add(it.name if it is not None else "")
            pc += it.length if it is not None else 1
        return found

    def by_qemu(self) -> tuple[list[CpuState], bytes]:
        """State after each program, and the data."""
        out = run_qemu(self._elf, [])
        assert len(out) == _DATA_BYTES + self.count * _RESULT.size
        return _states(out[_DATA_BYTES:]), out[:_DATA_BYTES]

    def by_our_cpu(self) -> tuple[list[CpuState], bytes]:
        """The same of the CPU under test."""
        memory = CpuMemory(_NoPeripherals())
        memory.write(IRAM.start, self._code)
        memory.write(_DATA, bytes(_DATA_BYTES))
        cpu = Cpu(memory, range(IRAM.start, self._at["done"]))
        try:
            cpu.run(self._at["begin"])
        except Handover as end:
            assert end.pc == self._at["done"]
        return _states(memory.read(_RESULTS, self.count * _RESULT.size)), memory.read(_DATA, _DATA_BYTES)


class _NoPeripherals:
    def read(self, address: int) -> int | None:
        return None

    def write(self, address: int, value: int) -> bool:
        return False


def _states(data: bytes) -> list[CpuState]:
    return [CpuState(words) for words in _RESULT.iter_unpack(data)]


def _frame(programs: list[str], rng: random.Random, count: int) -> str:
    """QEMU needs PS set, and says what it did on its output."""
    first = "\n".join(f"movi {register}, {rng.getrandbits(32):#x}" for register in _FREE)
    bodies = "\n".join(f".literal_position\n.align 4\nprogram_{number}:\n{text}" for number, text in enumerate(programs))
    return f"""
    .text
    .literal_position
    .align 4
    .global entry, begin, done
entry:
    movi a0, 0x20
    wsr a0, ps
    rsync
begin:
    movi a13, {_RESULTS:#x}
    movi a15, {_DATA:#x}
{first}
    movi a14, 0
    wsr a14, sar
    j program_0
{bodies}
    .literal_position
    .align 4
program_{count}:
done:
    movi a2, 4
    movi a3, 1
    movi a4, {_DATA:#x}
    movi a5, {_DATA_BYTES}
    simcall
    movi a2, 4
    movi a3, 1
    movi a4, {_RESULTS:#x}
    movi a5, {count * _RESULT.size}
    simcall
    movi a2, 1
    movi a3, 0
    simcall
"""


class _Writer:
    """Writes programs; a label is never used twice."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.labels = 0
        self.programs = 0
        self.kinds: list[Callable[[], list[str]]] = [
            self._three, self._three, self._three, self._two, self._immediate, self._immediate, self._shift,
            self._shift, self._memory, self._memory, self._memory, self._branch, self._branch, self._loop,
            self._call,
        ]

    def program(self) -> str:
        """One program: fresh numbers, ten to thirty things with them, then all registers into the results."""
        lines = [f"movi {register}, {self.rng.getrandbits(32):#x}" for register in self.rng.sample(_FREE, 8)]
        lines += [line for _ in range(self.rng.randrange(10, 31)) for line in self.rng.choice(self.kinds)()]
        lines += [f"s32i a{number}, a13, {4 * number}" for number in range(16)]
        self.programs += 1
        lines += ["mov a14, a0", "rsr a0, sar", "s32i a0, a13, 64", "mov a0, a14",
                  f"addi a13, a13, {_RESULT.size}", f"j program_{self.programs}"]
        return "\n".join(f"    {line}" if not line.endswith(":") else line for line in lines)

    def _register(self) -> str:
        return self.rng.choice(_FREE)

    def _label(self) -> str:
        self.labels += 1
        return f"l{self.labels}"

    def _three(self) -> list[str]:
        name = self.rng.choice(_THREE)
        return [f"{name} {self._register()}, {self._register()}, {self._register()}"]

    def _two(self) -> list[str]:
        return [f"{self.rng.choice(_TWO)} {self._register()}, {self._register()}"]

    def _immediate(self) -> list[str]:
        rng, a, b = self.rng, self._register(), self._register()
        lowest = rng.randrange(32)
        return [rng.choice((
            f"movi {a}, {rng.choice(_WORDS):#x}", f"movi {a}, {rng.getrandbits(32):#x}",
            f"movi {a}, {rng.randrange(-2048, 2048)}", f"movi.n {a}, {rng.randrange(-32, 96)}",
            f"addi {a}, {b}, {rng.randrange(-128, 128)}", f"addmi {a}, {b}, {rng.randrange(-128, 128) * 256}",
            f"addi.n {a}, {b}, {rng.choice((-1, *range(1, 16)))}",
            f"extui {a}, {b}, {lowest}, {rng.randrange(1, min(16, 32 - lowest) + 1)}",
            f"slli {a}, {b}, {rng.randrange(1, 32)}", f"srli {a}, {b}, {rng.randrange(16)}",
            f"srai {a}, {b}, {rng.randrange(32)}", "memw", "nop.n", "isync", "rsync", "esync",
            "dsync", "extw",
        ))]

    def _shift(self) -> list[str]:
        """The amount and its use. Not `ssl` with `srl`: where SAR is 32, QEMU shifts by 0."""
        rng, a, b, c = self.rng, self._register(), self._register(), self._register()
        return rng.choice((
            [f"ssl {c}", f"sll {a}, {b}"], [f"ssr {c}", f"srl {a}, {b}"], [f"ssr {c}", f"sra {a}, {b}"],
            [f"ssr {c}", f"src {a}, {b}, {c}"], [f"ssai {rng.randrange(32)}", f"src {a}, {b}, {c}"],
            [f"ssai {rng.randrange(32)}", f"sll {a}, {b}"], [f"ssa8l {c}", f"src {a}, {b}, {c}"],
            [f"ssa8b {c}", f"sll {a}, {b}"], [f"ssai {rng.randrange(32)}", f"xsr {a}, sar", f"ssr {c}"],
        ))

    def _memory(self) -> list[str]:
        rng, a = self.rng, self._register()
        name, size, most = rng.choice((
            ("l8ui", 1, 255), ("s8i", 1, 255), ("l16ui", 2, 510), ("l16si", 2, 510), ("s16i", 2, 510),
            ("l32i", 4, 1020), ("s32i", 4, 1020), ("l32i.n", 4, 60), ("s32i.n", 4, 60),
        ))
        return [f"{name} {a}, a15, {rng.randrange(0, most + 1, size)}"]

    def _branch(self) -> list[str]:
        rng, a, b, label = self.rng, self._register(), self._register(), self._label()
        condition = rng.choice((
            f"{rng.choice(_IF_TWO)} {a}, {b}", f"{rng.choice(_IF_ONE)} {a}",
            f"{rng.choice(('beqi', 'bnei', 'blti', 'bgei'))} {a}, {rng.choice(_B4)}",
            f"{rng.choice(('bltui', 'bgeui'))} {a}, {rng.choice(_B4U)}",
            f"{rng.choice(('bbci', 'bbsi'))} {a}, {rng.randrange(32)}",
        ))
        return [f"{condition}, {label}", *self._simple(rng.randrange(1, 4)), f"{label}:"]

    def _loop(self) -> list[str]:
        label = self._label()
        body = self._simple(self.rng.randrange(1, 5))
        if self.rng.random() < 0.5:
            body += self._branch()
        times = self.rng.randrange(1, 9)
        return [f"movi a14, {times}", f"{label}:", *body, "addi a14, a14, -1", f"bnez a14, {label}"]

    def _call(self) -> list[str]:
        function, behind = self._label(), self._label()
        how = [f"call0 {function}"]
        if self.rng.random() < 0.5:
            register = self._register()
            how = [f"movi {register}, {function}", f"callx0 {register}"]
        body = [line for line in self._simple(2) if " a0," not in line]
        back = self.rng.choice(("ret", "ret.n", "jx a0"))
        return [f"j {behind}", ".align 4", f"{function}:", *body, back, f"{behind}:", *how]

    def _simple(self, count: int) -> list[str]:
        kinds = (self._three, self._two, self._immediate, self._memory)
        return [line for _ in range(count) for line in self.rng.choice(kinds)()]
