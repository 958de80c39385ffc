"""Straight runs of instructions as Python functions: fast enough for thousands of boots.

A block ends at the first jump, call or return. A branch inside leaves it, or, back to the block's
start, makes a loop of the function. Registers are Python locals meanwhile: `a0` to `a15` and `sar`,
unsigned. A store into words that the running block was made of counts from the next block on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from types import CodeType
from typing import Any, Final, Protocol, TypeAlias

from slotbench.vboard.lx106.isa import Instruction
from slotbench.vboard.lx106.memory import BASE, DRAM, IRAM, ROM_DATA, CpuMemory

__all__ = ["BLOCK_INSTRUCTIONS_MAX", "ENDS", "NAMES", "PLAIN", "Block", "CoreState", "compile_block"]


class CoreState(Protocol):
    """What a block reads and changes of the core that runs it (slotbench.vboard.lx106.cpu.Cpu)."""

    registers: list[int]
    memory: CpuMemory
    count: int
    limit: int
    lowest_sp: int
    ran: dict[tuple[int, int], None]

    def refuse(self, what: str, pc: int) -> None:
        """End the run: the instruction at `pc` cannot be run."""


Block: TypeAlias = Callable[[CoreState], int]
"""Runs on the registers and the memory of a core; returns the next pc."""

BLOCK_INSTRUCTIONS_MAX: Final = 96
SAR: Final = 3
_M: Final = "0xffffffff"
_S: Final = "0x80000000"

PLAIN: Final = {
    "add": "{0} = {1} + {2} & M", "addx2": "{0} = ({1} << 1) + {2} & M",
    "addx4": "{0} = ({1} << 2) + {2} & M", "addx8": "{0} = ({1} << 3) + {2} & M",
    "sub": "{0} = {1} - {2} & M", "subx2": "{0} = ({1} << 1) - {2} & M",
    "subx4": "{0} = ({1} << 2) - {2} & M", "subx8": "{0} = ({1} << 3) - {2} & M",
    "and": "{0} = {1} & {2}", "or": "{0} = {1} | {2}", "xor": "{0} = {1} ^ {2}", "mov": "{0} = {1}",
    "neg": "{0} = -{1} & M", "abs": "{0} = -{1} & M if {1} & S else {1}",
    "addi": "{0} = {1} + {i2} & M", "addmi": "{0} = {1} + {i2} & M", "movi": "{0} = {i1} & M",
    "slli": "{0} = {1} << {i2} & M", "srli": "{0} = {1} >> {i2}",
    "srai": "{0} = (({1} ^ S) - S >> {i2}) & M",
    "ssr": "sar = {0} & 31", "ssl": "sar = 32 - ({0} & 31)", "ssai": "sar = {i0}",
    "ssa8l": "sar = ({0} & 3) << 3", "ssa8b": "sar = 32 - (({0} & 3) << 3)",
    "sll": "{0} = {1} << 32 - sar & M", "srl": "{0} = {1} >> sar",
    "sra": "{0} = (({1} ^ S) - S >> sar) & M", "src": "{0} = ({1} << 32 | {2}) >> sar & M",
    "mull": "{0} = {1} * {2} & M", "mul16u": "{0} = ({1} & 0xffff) * ({2} & 0xffff)",
    "mul16s": "{0} = (({1} & 0xffff ^ 0x8000) - 0x8000) * (({2} & 0xffff ^ 0x8000) - 0x8000) & M",
    "nsau": "{0} = 32 - {1}.bit_length()",
    "nsa": "{0} = 31 - ({1} ^ M if {1} & S else {1}).bit_length()",
    "moveqz": "{0} = {0} if {2} else {1}", "movnez": "{0} = {1} if {2} else {0}",
    "movltz": "{0} = {1} if {2} & S else {0}", "movgez": "{0} = {0} if {2} & S else {1}",
    "isync": "", "rsync": "", "esync": "", "dsync": "", "memw": "", "extw": "", "nop": "",
}  # fmt: skip
_CONDITIONS: Final = {
    "beq": "{0} == {1}", "bne": "{0} != {1}", "bltu": "{0} < {1}", "bgeu": "{0} >= {1}",
    "blt": "{0} ^ S < {1} ^ S", "bge": "{0} ^ S >= {1} ^ S",
    "bany": "{0} & {1}", "bnone": "not {0} & {1}", "ball": "not ~{0} & {1}", "bnall": "~{0} & {1}",
    "bbc": "not {0} >> ({1} & 31) & 1", "bbs": "{0} >> ({1} & 31) & 1",
    "bbci": "not {0} >> {i1} & 1", "bbsi": "{0} >> {i1} & 1",
    "beqz": "not {0}", "bnez": "{0}", "bltz": "{0} & S", "bgez": "not {0} & S",
    "beqi": "{0} == {i1} & M", "bnei": "{0} != {i1} & M", "bltui": "{0} < {i1}", "bgeui": "{0} >= {i1}",
    "blti": "{0} ^ S < {i1} & M ^ S", "bgei": "{0} ^ S >= {i1} & M ^ S",
}  # fmt: skip
_JUMPS: Final = {
    "j": ("", "{i0}"), "jx": ("", "{0}"), "ret": ("", "a0"),
    "call0": ("a0 = {next}", "{i0}"), "callx0": ("t = {0}; a0 = {next}", "t"),
}  # fmt: skip
ENDS: Final = frozenset(_JUMPS)
"""Instructions that end a block."""

_IN_DRAM: Final = f"{DRAM.start:#x} <= t < {DRAM.stop:#x}"
_IN_IRAM: Final = f"{IRAM.start:#x} <= t < {IRAM.stop:#x}"
_WRITABLE: Final = (
    f"({ROM_DATA.stop:#x} <= t < {DRAM.stop:#x} or {DRAM.start:#x} <= t < {ROM_DATA.start:#x}"
)
_WORD_AT: Final = f"W[t - {BASE:#x} >> 2]"
_BYTE_AT: Final = f"D[t - {BASE:#x}]"
_MEMORY: Final = {
    "l32i": f"{{0}} = {_WORD_AT} if ({_IN_DRAM} or {_IN_IRAM}) and not t & 3 else m.load32(t, {{pc}})",
    "l8ui": f"{{0}} = {_BYTE_AT} if {_IN_DRAM} else m.load8(t, {{pc}})",
    "l16ui": "{0} = m.load16(t, {pc})",
    "l16si": "{0} = (m.load16(t, {pc}) ^ 0x8000) - 0x8000 & M",
    "s32i": f"if {_WRITABLE} or {IRAM.start:#x} <= t < m.code_start) and not t & 3: {_WORD_AT} = {{0}}\n"
            "else: m.store32(t, {0}, {pc})",
    "s8i": f"if {_WRITABLE}): {_BYTE_AT} = {{0}} & 255\nelse: m.store8(t, {{0}}, {{pc}})",
    "s16i": "m.store16(t, {0}, {pc})",
}  # fmt: skip
NAMES: Final = frozenset({*PLAIN, *_CONDITIONS, *_JUMPS, *_MEMORY, "extui", "l32r", "rsr", "wsr", "xsr"})
"""Every instruction that can be translated."""

_LOCAL: Final = re.compile(r"\b(a\d+|sar)\b")
_SET: Final = re.compile(r"\b(a\d+|sar) = ")


def compile_block(instructions: Sequence[Instruction], literals: Mapping[int, int]) -> Block:
    """The function of these instructions; `literals` are the words their l32r load, by address."""
    start = instructions[0].pc
    source = _source(instructions, literals)
    code: CodeType = compile(source, f"<block 0x{start:08x}>", "exec")
    names: dict[str, Any] = {}
    exec(code, names)
    block: Block = names["block"]
    return block


def _source(instructions: Sequence[Instruction], literals: Mapping[int, int]) -> str:
    start = instructions[0].pc
    lines: list[str] = []
    for done, it in enumerate(instructions, 1):
        lines += _lines(it, done, start, literals)
    last = instructions[-1]
    if last.name not in ENDS:
        lines += _exit(f"{last.next:#x}", len(instructions), start, last.next)
    body = "\n".join(lines)
    used = sorted(set(_LOCAL.findall(body)))
    loads = "; ".join(f"{name} = r[{_slot(name)}]" for name in used) or "pass"
    stores = "; ".join(f"r[{_slot(name)}] = {name}" for name in sorted(set(_SET.findall(body)))) or "pass"
    return "\n".join([
        "def block(c):",
        " r = c.registers; m = c.memory; W = m.words; D = m.data; n = c.count; limit = c.limit",
        f" {loads}",
        " while True:",
        *(f"  {line}" for line in lines),
        f" {stores}",
        " c.count = n",
        " return pc",
    ]).replace(" M", f" {_M}").replace(" S", f" {_S}")


def _lines(it: Instruction, done: int, start: int, literals: Mapping[int, int]) -> list[str]:
    """Python for one instruction, `done` being the instructions of the block up to this one."""
    fields: dict[str, Any] = {f"i{number}": value for number, value in enumerate(it.operands)}
    registers = [f"a{value}" for value in it.operands]

    def fill(template: str) -> str:
        return template.format(*registers, pc=f"{it.pc:#x}", next=f"{it.next:#x}", **fields)

    if it.name in PLAIN:
        lines = [fill(PLAIN[it.name])] if PLAIN[it.name] else []
    elif it.name == "extui":
        lines = [f"{registers[0]} = {registers[1]} >> {it.operands[2]} & {(1 << it.operands[3]) - 1:#x}"]
    elif it.name == "l32r":
        lines = [f"{registers[0]} = {literals[it.operands[1]]:#x}"]
    elif it.name in _MEMORY:
        offset = it.operands[2]
        address = f"t = {registers[1]} + {offset}" if offset else f"t = {registers[1]}"
        lines = [address, *fill(_MEMORY[it.name]).split("\n")]
    elif it.name in _CONDITIONS:
        return _branch(fill(_CONDITIONS[it.name]), it.operands[-1], done, start, it.next)
    elif it.name in _JUMPS:
        before, target = (fill(part) for part in _JUMPS[it.name])
        return [*([before] if before else []), *_exit(target, done, start, it.next)]
    else:
        lines = _special(it, registers[0])
    if lines and lines[-1].startswith("a1 = "):
        lines.append("if a1 < c.lowest_sp: c.lowest_sp = a1")
    return lines


def _special(it: Instruction, register: str) -> list[str]:
    """rsr, wsr and xsr of the shift amount; no other special register is modelled."""
    if it.operands[1] != SAR:
        return [f"c.refuse('special register {it.operands[1]}', {it.pc:#x})"]
    return {
        "rsr": [f"{register} = sar"],
        "wsr": [f"sar = {register} & 63"],
        "xsr": [f"t = {register} & 63", f"{register} = sar", "sar = t"],
    }[it.name]


def _branch(condition: str, target: int, done: int, start: int, end: int) -> list[str]:
    if target != start:
        return [f"if {condition}:", *(f" {line}" for line in _exit(f"{target:#x}", done, start, end))]
    return [
        f"if {condition}:",
        f" n += {done}",
        " if n < limit: continue",
        f" c.ran[{start:#x}, {end:#x}] = None; pc = {start:#x}; break",
    ]


def _exit(target: str, done: int, start: int, end: int) -> list[str]:
    return [f"n += {done}; c.ran[{start:#x}, {end:#x}] = None; pc = {target}; break"]


def _slot(name: str) -> int:
    return 16 if name == "sar" else int(name[1:])
