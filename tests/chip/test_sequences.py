"""Sequences that the core runs in one (core/sequences.h) do what their instructions do one by one."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Final

from slotbench.vboard.chip import Machine, Registers, build
from support.chip.machine import PS, SCRATCH, USER_MODE, RomProgram

SEED: Final = 4
VARIANTS: Final = 12
"""Of each sequence, with registers of its own."""
IRAM: Final = 0x40100000
WORDS: Final = (SCRATCH + 64, 0x40001003, 0x60000005, 0x20000000)
"""What a2 to a5 point at: data RAM, ROM, a register of the UART, nothing."""
BYTE: Final = (
    "ssa8l {from_}", "srli {to}, {from_}, 2", "slli {to}, {to}, 2", "l32i.n {to}, {to}, 0", "srl {to}, {to}",
    "extui {to}, {to}, 0, 8")


def sequences() -> list[list[str]]:
    """The parts of each sequence, as the core's list has them."""
    header = next(path for path in build.sources() if path.name == "sequences.h")
    rows = re.findall(r"X\(\w+__\w+, (\w+), (.*)\)", header.read_text())
    return [[first, *re.findall(r"(?:PART|LAST)\((\w+)\)", others)] for first, others in rows]


class SequenceWriter:
    """Assembly of sequences with operands of a seed."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(f"sequences {seed}")

    def text(self, parts: list[str], label: str) -> str:
        lines = "".join(f"    {line}\n" for part in parts for line in self._lines(part, f"{label}_end"))
        return f"    .align 4\n{label}:\n{lines}    addi a15, a15, 1\n{label}_end:\n    xor a14, a14, a15\n    j done\n"

    def _any(self) -> str:
        return f"a{self._rng.randint(6, 15)}"

    def _source(self) -> str:
        return f"a{self._rng.randint(2, 15)}"

    def _lines(self, part: str, end: str) -> list[str]:
        rng, to, source, other = self._rng, self._any(), self._source(), self._source()
        base = rng.choice(("a2", "a2", "a2", "a2", "a3", "a4", "a5"))
        name = part.lower().replace("_n", ".n")
        match part:
            case "BYTE":
                return self._byte(to, rng.choice(("a2", "a3", "a3", "a4", "a5")))
            case "NOP":
                return ["memw"]
            case "RET_N":
                return ["ret.n"]
            case "CALLX0":
                return ["callx0 a0"]
            case "CALL0" | "J":
                return [f"{name} landing"]
            case "L32R":
                return [f"l32r {rng.choice(('a0', to))}, landing_address"]
            case "MOVI" | "MOVI_N":
                return [f"{name} {to}, {rng.randint(-32, 95)}"]
            case "ADDI_SP":
                return [f"addi a1, a1, {rng.choice((-64, -16, 32))}"]
            case "ADDI" | "ADDI_N":
                return [f"{name} {to}, {source}, {rng.choice((-1, *range(1, 16)))}"]
            case "SLLI" | "SRLI":
                return [f"{name} {to}, {source}, {rng.randint(1, 15)}"]
            case "EXTUI":
                return [f"extui {to}, {source}, {rng.randint(0, 16)}, {rng.randint(1, 16)}"]
            case "SSAI":
                return [f"ssai {rng.randint(0, 31)}"]
            case "SSL":
                return [f"ssl {source}"]
            case "SLL" | "MOV_N":
                return [f"{name} {to}, {source}"]
            case "SRL":
                return [f"srl {to}, {source}"]
            case "L32I" | "L32I_N" | "S32I" | "S32I_N":
                return [f"{name} {rng.choice((to, 'a1'))}, {base}, {4 * rng.randint(0, 15)}".replace("a1,", f"{to},")]
            case "L8UI" | "S8I":
                return [f"{name} {to}, {base}, {rng.randint(0, 60)}"]
            case "BEQZ_N" | "BNEZ_N" | "BGEZ":
                return [f"{name} {source}, {end}"]
            case "BNEI":
                return [f"bnei {source}, {rng.choice((-1, 1, 8))}, {end}"]
            case "BBSI":
                return [f"bbsi {source}, {rng.randint(0, 31)}, {end}"]
            case "BNEZ" | "BEQZ":
                return [f"{name} {source}, {end}"]
            case "BNE" | "BLTU" | "BGEU" | "BANY":
                return [f"{name} {source}, {other}, {end}"]
        return [f"{name} {to}, {source}, {other}"]

    def _byte(self, to: str, from_: str) -> list[str]:
        """A byte as compilers load it."""
        return [line.format(to=to, from_=from_) for line in BYTE]


NEARLY_BYTES: Final = [
    BYTE[:at] + (line,) + BYTE[at + 1 :] for at, lines in {
        0: ("ssa8l a4", "ssa8b a2", "ssr a2"),
        1: ("srli a6, a7, 2", "srli a6, a2, 3", "srli a7, a2, 2"),
        2: ("slli a6, a2, 2", "slli a6, a6, 3", "slli a7, a6, 2"),
        3: ("l32i.n a6, a3, 0", "l32i.n a6, a6, 4", "l32i.n a7, a6, 0", "s32i.n a6, a6, 0"),
        4: ("srl a6, a7", "srl a7, a6", "sra a6, a6"),
        5: ("extui a6, a7, 0, 8", "extui a7, a6, 0, 8", "extui a6, a6, 1, 8", "extui a6, a6, 0, 7"),
    }.items() for line in lines]
"""One of the six is another instruction, or has another operand."""
LANDING: Final = """\
    .literal_position
start: j start
    .align 4
landing_address: .word landing
    .align 4
landing:
    addi a13, a13, 3
    j done
trap: addi a12, a12, 5
    j done
    .align 4
done: j done
"""


def outcome(machine: Machine) -> tuple[Registers, int, object]:
    return machine.registers(), machine.instructions, machine.last_exception()


def test_each_does_what_its_instructions_do(folder: Path) -> None:
    rng, writer = random.Random(SEED), SequenceWriter(SEED)
    listed = sequences()
    assert len(listed) > 50
    labels = {f"row_{row}_{variant}": parts for row, parts in enumerate(listed) for variant in range(VARIANTS)}
    program = LANDING + "".join(writer.text(parts, label) for label, parts in labels.items())
    for number, lines in enumerate(NEARLY_BYTES):
        labels[f"nearly_{number}"] = list(lines)
        program += f"    .align 4\nnearly_{number}:\n" + "".join(
            f"    {line.format(to='a6', from_='a2')}\n" for line in lines) + "    j done\n"
    one, other = RomProgram(program), RomProgram(program)
    done = one.labels["done"]
    for it in (one, other):
        it.machine.skip_idle(False)
    one.machine.set_breakpoint(done)
    for label, parts in labels.items():
        values = [rng.choice((0, 1, 0x80000000, rng.getrandbits(32))) for _ in range(16)]
        values[0], values[1] = one.labels["landing"], SCRATCH + 0x800
        values[2:6] = [word + rng.choice((0, 0, 1, 4)) for word in WORDS]
        for it in (one, other):
            it.machine.set_special(PS, USER_MODE)
            for number, value in enumerate((*values, it.labels[label])):
                it.machine.set_register(number, value)
        one.machine.run_us(1_000)
        for _ in range(40):
            if other.machine.registers().pc == done:
                break
            other.machine.step()
        assert outcome(one.machine) == outcome(other.machine), f"seed {SEED}, {label}: {parts}"
        assert one.machine.registers().pc == done, label
    assert one.machine.read(SCRATCH, 0x1000) == other.machine.read(SCRATCH, 0x1000)


def test_code_that_changes_itself(folder: Path) -> None:
    """A store into the sequence that it belongs to, one by the bench, and a jump into the midst of one."""
    source = "    l32i.n a6, a3, 0\n    s32i.n a6, a2, 0\n    s32i.n a7, a4, 0\n    s32i.n a7, a4, 4\n    s32i.n a7, a4, 8\n    ret.n\n"
    program = RomProgram(
        "    .literal_position\nstart: j start\ntrap: j trap\n    .align 4\ncode:\n" + source +
        "    .align 4\nnew: mov.n a5, a7\n    mov.n a5, a6\n")
    machine, start = program.machine, program.labels["start"]
    machine.write(IRAM, machine.read(program.labels["code"], 12))
    machine.set_breakpoint(start)

    def run(pc: int, target: int = IRAM + 4) -> int:
        machine.write(SCRATCH, bytes(12))
        for number, value in ((0, start), (2, target), (3, program.labels["new"]), (4, SCRATCH), (5, 0), (7, 7), (16, pc)):
            machine.set_register(number, value)
        machine.run_us(1_000)
        return machine.read_word(SCRATCH + 4)

    machine.set_register(6, 0)
    assert run(IRAM + 4) == 7, "as it was, from its midst"
    word = machine.read_word(program.labels["new"])
    assert run(IRAM) == 0 and machine.registers().a[5] == word, "the second and third store are other instructions now"
    assert run(IRAM) == 0, "and they stay"
    machine.write(IRAM + 4, machine.read(program.labels["code"] + 4, 6))
    assert run(IRAM + 2, SCRATCH + 64) == 7
    machine.write(IRAM + 8, machine.read(program.labels["new"], 2))
    run(IRAM + 2, SCRATCH + 64)
    assert machine.registers().a[5] == 7, "what was changed is not the first of a sequence"


def test_what_lies_before_changed_code_stays(folder: Path) -> None:
    """Stores in sequences of four; each word in turn is written again by the bench, as it was."""
    count = 60
    stores = "".join(f"    s32i.n a7, a4, {4 * (number % 15)}\n    addi a7, a7, 1\n" for number in range(count))
    program = RomProgram(f"    .literal_position\nstart: j start\ntrap: j trap\n    .align 4\ncode:\n{stores}    ret.n\nend:\n")
    machine, start = program.machine, program.labels["start"]
    code = machine.read(program.labels["code"], program.labels["end"] - program.labels["code"])
    machine.write(IRAM, code)
    machine.set_breakpoint(start)
    for changed in range(0, len(code), 2):
        machine.write(IRAM + changed, code[changed : changed + 2])
        machine.write(SCRATCH, bytes(60))
        for number, value in ((0, start), (4, SCRATCH), (7, 1), (16, IRAM)):
            machine.set_register(number, value)
        machine.run_us(1_000)
        stored = [machine.read_word(SCRATCH + 4 * number) for number in range(15)]
        assert stored == list(range(count - 14, count + 1)), changed
