"""Seeded random programs of the lx106, many in one image that QEMU and the core run alike.

Each program starts with registers of its own, may take exceptions (the handler adds cause and place to a hash and
goes on behind the instruction), and leaves 18 words of result: a0 to a15, SAR, a hash of its memory and exceptions.
"""

from __future__ import annotations

import random
from typing import Final

from support.chip.machine import SCRATCH

RESULTS: Final = 0x3FFF0000
RESULT_WORDS: Final = 18
STATE: Final = SCRATCH + 0x800
FINISH: Final = "finish"

_HARNESS: Final = f"""\
    .literal_position
    .align 4
start:
    movi    a0, 0x20
    wsr     a0, ps
    rsync
    movi    a2, 0
    wsr     a2, intenable
    movi    a2, {STATE}
    movi    a3, table
    s32i    a3, a2, 0
    movi    a3, {RESULTS}
    s32i    a3, a2, 4
    movi    a3, 0
    s32i    a3, a2, 8
    movi    a4, {SCRATCH}
    movi    a5, 256
    movi    a6, 0x12345677
clear:
    s32i    a6, a4, 0
    addx8   a6, a6, a5
    addi    a4, a4, 4
    addi    a5, a5, -1
    bnez    a5, clear
next:
    movi    a2, {STATE}
    l32i    a3, a2, 0
    l32i    a4, a3, 0
    l32i    a1, a3, 4
    addi    a3, a3, 8
    s32i    a3, a2, 0
    bnez    a4, run
    movi    a2, {RESULTS}
    j       {FINISH}
run:
    wsr     a4, excsave3
    l32i    a0, a1, 0
    ssr     a0
    l32i    a3, a1, 12
    l32i    a4, a1, 16
    l32i    a5, a1, 20
    l32i    a6, a1, 24
    l32i    a7, a1, 28
    l32i    a8, a1, 32
    l32i    a9, a1, 36
    l32i    a10, a1, 40
    l32i    a11, a1, 44
    l32i    a12, a1, 48
    l32i    a13, a1, 52
    l32i    a14, a1, 56
    l32i    a15, a1, 60
    movi    a2, {SCRATCH}
    movi    a1, {SCRATCH + 512}
    rsr     a0, excsave3
    jx      a0
    .align 4
done:
    wsr     a0, excsave3
    movi    a0, {STATE}
    l32i    a0, a0, 4
    s32i    a1, a0, 4
    s32i    a2, a0, 8
    s32i    a3, a0, 12
    s32i    a4, a0, 16
    s32i    a5, a0, 20
    s32i    a6, a0, 24
    s32i    a7, a0, 28
    s32i    a8, a0, 32
    s32i    a9, a0, 36
    s32i    a10, a0, 40
    s32i    a11, a0, 44
    s32i    a12, a0, 48
    s32i    a13, a0, 52
    s32i    a14, a0, 56
    s32i    a15, a0, 60
    rsr     a3, excsave3
    s32i    a3, a0, 0
    rsr     a3, sar
    s32i    a3, a0, 64
    movi    a2, {STATE}
    l32i    a3, a2, 8
    movi    a4, {SCRATCH}
    movi    a5, 256
hash:
    l32i    a6, a4, 0
    slli    a7, a3, 5
    sub     a3, a7, a3
    add     a3, a3, a6
    addi    a4, a4, 4
    addi    a5, a5, -1
    bnez    a5, hash
    s32i    a3, a0, 68
    addi    a0, a0, {4 * RESULT_WORDS}
    s32i    a0, a2, 4
    movi    a0, 0x20
    wsr     a0, ps
    rsync
    j       next
    .literal_position
    .align 4
trap:
    wsr     a0, excsave2
    movi    a0, {STATE}
    s32i    a1, a0, 16
    s32i    a2, a0, 20
    l32i    a2, a0, 8
    rsr     a1, exccause
    addx8   a2, a2, a1
    addi    a1, a1, -9
    bnez    a1, no_address
    rsr     a1, excvaddr
    add     a2, a2, a1
no_address:
    rsr     a1, epc1
    addx4   a2, a2, a1
    addi    a1, a1, 3
    wsr     a1, epc1
    s32i    a2, a0, 8
    l32i    a1, a0, 16
    l32i    a2, a0, 20
    rsr     a0, excsave2
    rfe
    .align 4
sub_1:
    addx2   a3, a3, a4
    ret
    .align 4
sub_2:
    xor     a5, a5, a0
    ret.n
"""

_THREE: Final = (
    "and", "or", "xor", "add", "addx2", "addx4", "addx8", "sub", "subx2", "subx4", "subx8", "mul16u", "mul16s", "mull",
    "moveqz", "movnez", "movltz", "movgez", "src", "add.n")
_TWO: Final = ("neg", "abs", "srl", "sra", "sll", "nsa", "nsau", "mov.n", "mov")
_COMPARE: Final = ("beq", "bne", "blt", "bge", "bltu", "bgeu", "bnone", "bany", "ball", "bnall", "bbc", "bbs")
_ZERO: Final = ("beqz", "bnez", "bltz", "bgez")
_CONSTANT: Final = ("beqi", "bnei", "blti", "bgei")
_B4: Final = (-1, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 32, 64, 128, 256)
_B4U: Final = (32768, 65536, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 32, 64, 128, 256)
_EDGES: Final = (0, 1, 2, 31, 32, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


class Generator:
    """Programs of one seed. `finish` is the text at the label that all end in."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(f"programs {seed}")
        self._label = 0
        self._addresses = ""

    def image(self, programs: int, finish: str) -> str:
        """Assembly of harness and programs, to be put behind the vectors."""
        names = [f"program_{index}" for index in range(programs)]
        table = "".join(f"    .word {name}, {name}_registers\n" for name in names)
        return (
            _HARNESS + "".join(self._program(name) for name in names)
            + f"    .align 4\ntable:\n{table}    .word 0, 0\n    .literal_position\n{FINISH}:\n{finish}")

    def _program(self, name: str) -> str:
        rng = self._rng
        values = [rng.choice(_EDGES) if rng.random() < 0.3 else rng.getrandbits(32) for _ in range(16)]
        literals = [f"{name}_literal_{index}" for index in range(3)]
        data = "".join(f"{it}: .word {rng.getrandbits(32)}\n" for it in literals)
        words = ", ".join(f"{value:#x}" for value in values)
        self._addresses = ""
        body = "".join(self._step(literals) for _ in range(rng.randint(20, 50)))
        return (
            f"    .align 4\n{name}_registers: .word {words}\n{data}{self._addresses}"
            f"    .begin no-transform\n{name}:\n{body}    j done\n    .end no-transform\n")

    def _address(self, target: str) -> str:
        """Load the address of a label into a0; the assembler's own literals would make it relax for ever."""
        label = self._new_label()
        self._addresses += f"{label}: .word {target}\n"
        return f"    l32r a0, {label}\n"

    def _register(self, first: int = 3) -> str:
        return f"a{self._rng.randint(first, 15)}"

    def _new_label(self) -> str:
        self._label += 1
        return f".L{self._label}"

    def _step(self, literals: list[str]) -> str:
        rng = self._rng
        choice = rng.random()
        if choice < 0.55:
            return self._plain(literals)
        if choice < 0.75:
            return self._memory()
        if choice < 0.90:
            return self._branch(literals)
        if choice < 0.95:
            return self._loop(literals)
        return self._odd()

    def _plain(self, literals: list[str]) -> str:
        rng, a = self._rng, self._register
        kind = rng.randrange(12)
        match kind:
            case 0 | 1 | 2 | 3:
                return f"    {rng.choice(_THREE)} {a()}, {a()}, {a()}\n"
            case 4 | 5:
                return f"    {rng.choice(_TWO)} {a()}, {a()}\n"
            case 6:
                return f"    slli {a()}, {a()}, {rng.randint(1, 31)}\n    srai {a()}, {a()}, {rng.randint(0, 31)}\n"
            case 7:
                bits = rng.randint(1, 16)
                return (
                    f"    srli {a()}, {a()}, {rng.randint(0, 15)}\n"
                    f"    extui {a()}, {a()}, {rng.randint(0, 32 - bits if bits < 16 else 16)}, {bits}\n")
            case 8:
                if rng.random() < 0.5:
                    return f"    {rng.choice(('ssr', 'ssa8l'))} {a()}\n"
                # SAR may be 32 now. QEMU 7.2 shifts right by 32 as by 0, the ISA does not: left shifts only.
                return f"    {rng.choice(('ssl', 'ssa8b'))} {a()}\n    sll {a()}, {a()}\n    ssai {rng.randint(0, 31)}\n"
            case 9:
                return (
                    f"    movi {a()}, {rng.randint(-2048, 2047)}\n    movi.n {a()}, {rng.randint(-32, 95)}\n"
                    f"    addi {a()}, {a()}, {rng.randint(-128, 127)}\n")
            case 10:
                return (
                    f"    addmi {a()}, {a()}, {rng.randint(-128, 127) * 256}\n"
                    f"    addi.n {a()}, {a()}, {rng.choice((-1, *range(1, 16)))}\n")
        return f"    l32r {a()}, {rng.choice(literals)}\n"

    def _memory(self) -> str:
        rng, a = self._rng, self._register
        base = rng.choice(("a1", "a2"))
        match rng.randrange(8):
            case 0:
                return f"    l8ui {a()}, {base}, {rng.randrange(256)}\n"
            case 1:
                return f"    {rng.choice(('l16ui', 'l16si'))} {a()}, {base}, {rng.randrange(256) * 2}\n"
            case 2:
                return f"    s8i {a()}, {base}, {rng.randrange(256)}\n"
            case 3:
                return f"    s16i {a()}, {base}, {rng.randrange(255) * 2}\n"
            case 4:
                return f"    s32i {a()}, {base}, {rng.randrange(127) * 4}\n"
            case 5:
                return f"    s32i.n {a()}, {base}, {rng.randrange(16) * 4}\n"
            case 6:
                return f"    l32i.n {a()}, {base}, {rng.randrange(16) * 4}\n"
        return f"    l32i {a()}, {base}, {rng.randrange(127) * 4}\n"

    def _condition(self, label: str) -> str:
        rng, a = self._rng, self._register
        match rng.randrange(6):
            case 0 | 1:
                return f"    {rng.choice(_COMPARE)} {a()}, {a()}, {label}\n"
            case 2:
                return f"    {rng.choice(_ZERO)} {a()}, {label}\n"
            case 3:
                return f"    {rng.choice(_CONSTANT)} {a()}, {rng.choice(_B4)}, {label}\n"
            case 4:
                return f"    {rng.choice(('bltui', 'bgeui'))} {a()}, {rng.choice(_B4U)}, {label}\n"
        return f"    {rng.choice(('bbci', 'bbsi'))} {a()}, {rng.randrange(32)}, {label}\n"

    def _branch(self, literals: list[str]) -> str:
        rng, label = self._rng, self._new_label()
        skipped = "".join(self._plain(literals) for _ in range(rng.randint(1, 4)))
        match rng.randrange(8):
            case 0:
                return f"    j {label}\n{skipped}{label}:\n"
            case 1:
                return f"{self._address(label)}    jx a0\n{skipped}{label}:\n"
            case 2:
                return f"    call0 {rng.choice(('sub_1', 'sub_2'))}\n"
            case 3:
                return f"{self._address(rng.choice(('sub_1', 'sub_2')))}    callx0 a0\n"
            case 4:
                return f"    {rng.choice(('beqz.n', 'bnez.n'))} {self._register()}, {label}\n{skipped}{label}:\n"
        return f"{self._condition(label)}{skipped}{label}:\n"

    def _loop(self, literals: list[str]) -> str:
        rng, label = self._rng, self._new_label()
        body = "".join(rng.choice((self._plain, lambda _: self._memory()))(literals) for _ in range(rng.randint(1, 4)))
        return (
            f"    movi a0, {rng.randint(1, 9)}\n{label}:\n{body}    addi a0, a0, -1\n    bnez a0, {label}\n")

    def _odd(self) -> str:
        rng, a = self._rng, self._register
        match rng.randrange(8):
            case 0:
                return f"    wsr {a()}, excsave1\n    rsr {a()}, excsave1\n    xsr {a()}, excsave1\n"
            case 1:
                return f"    rsil {a()}, {rng.randrange(16)}\n    rsr {a()}, ps\n"
            case 2:
                return f"    addi a0, a2, {rng.randint(1, 3)}\n    _l32i {a()}, a0, {rng.randrange(32) * 4}\n"
            case 3:
                return f"    addi a0, a2, {rng.randint(1, 3)}\n    _s32i {a()}, a0, {rng.randrange(32) * 4}\n"
            case 4:
                return f"    addi a0, a2, 1\n    {rng.choice(('l16ui', 'l16si', 's16i'))} {a()}, a0, {rng.randrange(32) * 2}\n"
            case 5:
                return rng.choice(("    ill\n", "    syscall\n", "    nop\n", "    memw\n", "    nop.n\n", "    isync\n"))
            case 6:
                return f"    movi a0, {rng.randint(0, 32)}\n    wsr a0, sar\n    rsr {a()}, sar\n    xsr {a()}, excsave1\n"
        return self._encoded()

    def _encoded(self) -> str:
        """Any instruction of the RRR forms whose effect stays within the registers, be it one of this CPU's or not."""
        rng = self._rng
        while True:
            op1, op2 = rng.randrange(16), rng.randrange(16)
            r, s, t = (rng.randint(3, 15) for _ in range(3))
            if op1 == 0 and op2 in (0, 4, 5) or op1 == 1 and op2 in (6, 7, 14, 15):
                continue
            if op1 == 3 and op2 in (0, 1, 14, 15) or op1 in (6, 7, 8, 9, 10, 11):
                continue
            word = op2 << 20 | op1 << 16 | r << 12 | s << 8 | t << 4
            return f"    .byte {word & 0xFF:#x}, {word >> 8 & 0xFF:#x}, {word >> 16:#x}\n"
