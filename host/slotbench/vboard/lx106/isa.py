"""What an instruction word means: the part of Xtensa that an LX106 has and a compiler emits.

Source: Xtensa Instruction Set Architecture Reference Manual, opcode maps (chapter 7): core, code
density, 16- and 32-bit multiply, miscellaneous (NSA). No windowed registers: the ABI is call0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

__all__ = ["Instruction", "decode"]

_B4: Final = (-1, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 32, 64, 128, 256)
_B4U: Final = (32768, 65536, *_B4[2:])
_RST0: Final = {
    1: "and", 2: "or", 3: "xor", 8: "add", 9: "addx2", 10: "addx4", 11: "addx8",
    12: "sub", 13: "subx2", 14: "subx4", 15: "subx8",
}
_SYNC: Final = {0: "isync", 1: "rsync", 2: "esync", 3: "dsync", 12: "memw", 13: "extw", 15: "nop"}
_ST1: Final = {0: "ssr", 1: "ssl", 2: "ssa8l", 3: "ssa8b"}
_RST1: Final = {10: "sll", 12: "mul16u", 13: "mul16s"}
_RST3: Final = {8: "moveqz", 9: "movnez", 10: "movltz", 11: "movgez"}
_MEMORY: Final = {
    0: ("l8ui", 0), 1: ("l16ui", 1), 2: ("l32i", 2), 4: ("s8i", 0), 5: ("s16i", 1), 6: ("s32i", 2),
    9: ("l16si", 1),
}
_BRANCH: Final = {
    0: "bnone", 1: "beq", 2: "blt", 3: "bltu", 4: "ball", 5: "bbc",
    8: "bany", 9: "bne", 10: "bge", 11: "bgeu", 12: "bnall", 13: "bbs",
}


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: address, length in bytes, mnemonic, operands in the order of the assembler.

    Operands are numbers of registers, immediate values, absolute addresses of branch targets and
    literals.
    """

    pc: int
    length: int
    name: str
    operands: tuple[int, ...] = ()

    @property
    def next(self) -> int:
        """Address of the instruction behind it."""
        return self.pc + self.length


def decode(pc: int, word: int) -> Instruction | None:
    """The instruction in the low 24 bits of `word`, at address `pc`; None for what an LX106 does
    not have.
    """
    op0, t, s, r = word & 15, word >> 4 & 15, word >> 8 & 15, word >> 12 & 15
    if op0 >= 8:
        found = _narrow(pc, op0, t, s, r)
        return Instruction(pc, 2, *found) if found is not None else None
    found = _WIDE[op0](pc, word & 0xFFFFFF, t, s, r) if op0 in _WIDE else None
    return Instruction(pc, 3, *found) if found is not None else None


_Found = tuple[str, tuple[int, ...]] | None


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> bits - 1 else value


def _narrow(pc: int, op0: int, t: int, s: int, r: int) -> _Found:
    if op0 == 8:
        return "l32i", (t, s, r << 2)
    if op0 == 9:
        return "s32i", (t, s, r << 2)
    if op0 == 10:
        return "add", (r, s, t)
    if op0 == 11:
        return "addi", (r, s, t or -1)
    if op0 == 12:
        number = (t & 7) << 4 | r
        if t < 8:
            return "movi", (s, number - 128 if number >= 96 else number)
        return "bnez" if t & 4 else "beqz", (s, pc + 4 + ((t & 3) << 4 | r))
    if op0 == 13 and r == 0:
        return "mov", (t, s)
    if op0 == 13 and r == 15 and s == 0:
        plain: dict[int, _Found] = {0: ("ret", ()), 3: ("nop", ())}
        return plain.get(t)
    return None


def _qrst(pc: int, word: int, t: int, s: int, r: int) -> _Found:
    op1, op2 = word >> 16 & 15, word >> 20
    if op1 == 0:
        return _rst0(op2, t, s, r)
    if op1 == 1:
        return _rst1(word, op2, t, s, r)
    if op1 == 2:
        return ("mull", (r, s, t)) if op2 == 8 else None
    if op1 == 3:
        if op2 in (0, 1):
            return ("rsr", "wsr")[op2], (t, word >> 8 & 255)
        return (_RST3[op2], (r, s, t)) if op2 in _RST3 else None
    if op1 in (4, 5):
        return "extui", (r, t, s | (op1 & 1) << 4, op2 + 1)
    return None


def _rst0(op2: int, t: int, s: int, r: int) -> _Found:
    if op2 in _RST0:
        return _RST0[op2], (r, s, t)
    if op2 == 0 and r == 0:
        jumps: dict[int, _Found] = {8: ("ret", ()), 10: ("jx", (s,)), 12: ("callx0", (s,))}
        return jumps.get(t) if t != 8 or s == 0 else None
    if op2 == 0 and r == 2 and s == 0:
        return (_SYNC[t], ()) if t in _SYNC else None
    if op2 == 4:
        if r in _ST1 and t == 0:
            return _ST1[r], (s,)
        if r == 4 and t < 2:
            return "ssai", (s | t << 4,)
        return {14: ("nsa", (t, s)), 15: ("nsau", (t, s))}.get(r)
    if op2 == 6:
        return {0: ("neg", (r, t)), 1: ("abs", (r, t))}.get(s)
    return None


def _rst1(word: int, op2: int, t: int, s: int, r: int) -> _Found:
    if op2 < 2:
        return "slli", (r, s, 32 - (t | op2 << 4))
    if op2 < 4:
        return "srai", (r, t, s | (op2 & 1) << 4)
    if op2 == 4:
        return "srli", (r, t, s)
    if op2 == 6:
        return "xsr", (t, word >> 8 & 255)
    if op2 == 8:
        return "src", (r, s, t)
    if op2 in (9, 11) and s == 0:
        return ("srl" if op2 == 9 else "sra"), (r, t)
    if op2 == 10 and t == 0:
        return "sll", (r, s)
    return (_RST1[op2], (r, s, t)) if op2 in (12, 13) else None


def _l32r(pc: int, word: int, t: int, s: int, r: int) -> _Found:
    return "l32r", (t, (pc + 3 & ~3) - 0x40000 + (word >> 8 << 2))


def _lsai(pc: int, word: int, t: int, s: int, r: int) -> _Found:
    imm8 = word >> 16
    if r in _MEMORY:
        name, scale = _MEMORY[r]
        return name, (t, s, imm8 << scale)
    if r == 10:
        return "movi", (t, _signed(s << 8 | imm8, 12))
    if r in (12, 13):
        return ("addi", (t, s, _signed(imm8, 8))) if r == 12 else ("addmi", (t, s, _signed(imm8, 8) << 8))
    return None


def _calln(pc: int, word: int, t: int, s: int, r: int) -> _Found:
    return ("call0", ((pc & ~3) + (_signed(word >> 6, 18) << 2) + 4,)) if t & 3 == 0 else None


def _si(pc: int, word: int, t: int, s: int, r: int) -> _Found:
    n, m = t & 3, t >> 2
    if n == 0:
        return "j", (pc + 4 + _signed(word >> 6, 18),)
    if n == 1:
        return ("beqz", "bnez", "bltz", "bgez")[m], (s, pc + 4 + _signed(word >> 12, 12))
    target = pc + 4 + _signed(word >> 16, 8)
    if n == 2:
        return ("beqi", "bnei", "blti", "bgei")[m], (s, _B4[r], target)
    return (("bltui", "bgeui")[m - 2], (s, _B4U[r], target)) if m >= 2 else None


def _b(pc: int, word: int, t: int, s: int, r: int) -> _Found:
    target = pc + 4 + _signed(word >> 16, 8)
    if r & 6 == 6:
        return "bbsi" if r & 8 else "bbci", (s, t | (r & 1) << 4, target)
    return _BRANCH[r], (s, t, target)


_WIDE: Final[dict[int, Callable[[int, int, int, int, int], _Found]]] = {
    0: _qrst, 1: _l32r, 2: _lsai, 5: _calln, 6: _si, 7: _b,
}
