"""The chip's rules that the machine enforces: where code may run, and who may touch what, by how much."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest

from slotbench.vboard.lx106.cpu import Cpu, Handover
from slotbench.vboard.lx106.isa import decode
from slotbench.vboard.lx106.memory import CpuFault, CpuMemory

CODE = 0x4010E000
RAM, HEAP, ROM_DATA, CHIP_SIZE = 0x40100000, 0x3FFE8000, 0x3FFFC800, 0x3FFFC71C
RET = 0x000080


class OneRegister:
    """One word at 0x60001100."""

    def __init__(self) -> None:
        self.word = 7

    def read(self, address: int) -> int | None:
        return self.word if address == 0x60001100 else None

    def write(self, address: int, value: int) -> bool:
        self.word = value
        return address == 0x60001100


def cpu_with(*instructions: int) -> Cpu:
    """A CPU with these 24-bit instructions at CODE, which ends when they jump away."""
    memory = CpuMemory(OneRegister())
    memory.write(CODE, b"".join(word.to_bytes(3, "little") for word in (*instructions, RET)))
    cpu = Cpu(memory, range(CODE, CODE + 0x1000))
    cpu.registers[0], cpu.registers[1] = RAM, 0x3FFFF000
    return cpu


def run(cpu: Cpu, **registers: int) -> Cpu:
    for name, value in registers.items():
        cpu.registers[int(name[1:])] = value
    with pytest.raises(Handover):
        cpu.run(CODE)
    return cpu


def load(r: int, offset: int = 0) -> int:
    """l8ui (0), l16ui (1), l32i (2), l16si (9), s8i (4), s16i (5), s32i (6) of a3 at a2."""
    return 2 | 3 << 4 | 2 << 8 | r << 12 | offset << 16


L8UI, L16UI, L32I, S8I, S16I, S32I, L16SI = (load(r) for r in (0, 1, 2, 4, 5, 6, 9))
BY_WORD, BY_HALF, BY_BYTE = (L32I, S32I), (L16UI, L16SI, S16I), (L8UI, S8I)


@pytest.mark.parametrize("word", [*BY_WORD, *BY_HALF, *BY_BYTE])
def test_data_ram_answers_to_everything(word: int) -> None:
    run(cpu_with(word), a2=HEAP + 4, a3=1)


@pytest.mark.parametrize("word", [*BY_HALF, *BY_BYTE])
@pytest.mark.parametrize("address", [RAM, CODE + 0x800, 0x4010FFF0])
def test_instruction_ram_answers_to_words_only(word: int, address: int) -> None:
    run(cpu_with(*BY_WORD), a2=address)
    with pytest.raises(CpuFault, match="less than a word in IRAM") as caught:
        run(cpu_with(word), a2=address)
    assert (caught.value.cause, caught.value.pc, caught.value.address) == (3, CODE, address)


@pytest.mark.parametrize(("word", "off"), [(w, o) for w in BY_WORD for o in (1, 2, 3)] + [(w, 1) for w in BY_HALF])
def test_no_access_crosses_its_alignment(word: int, off: int) -> None:
    with pytest.raises(CpuFault, match="unaligned") as caught:
        run(cpu_with(word), a2=HEAP + off)
    assert caught.value.cause == 9


@pytest.mark.parametrize("word", [*BY_WORD, *BY_HALF, *BY_BYTE])
@pytest.mark.parametrize("address", [0, 0x10000000, HEAP - 4, 0x40000000, 0x40110000, 0x40200000, 0xFFFFFFFC])
def test_nothing_answers_where_there_is_nothing(word: int, address: int) -> None:
    with pytest.raises(CpuFault):
        run(cpu_with(word), a2=address)


@pytest.mark.parametrize("word", [S32I, S16I, S8I])
def test_the_data_of_the_rom_is_not_to_be_written(word: int) -> None:
    for address in (ROM_DATA, 0x3FFFC000, 0x3FFFEB2C):
        with pytest.raises(CpuFault, match="ROM's data"):
            run(cpu_with(word), a2=address)
        run(cpu_with(L32I), a2=address)


def test_but_chip_size_is() -> None:
    cpu = run(cpu_with(S32I), a2=CHIP_SIZE, a3=0x200000)
    assert cpu.memory.read(CHIP_SIZE, 4) == struct.pack("<I", 0x200000)


def test_peripherals_are_reached_by_words() -> None:
    assert run(cpu_with(L32I), a2=0x60001100).registers[3] == 7
    cpu = run(cpu_with(S32I), a2=0x60001100, a3=9)
    assert cpu.memory.load32(0x60001100, 0) == 9
    for word in (*BY_HALF, *BY_BYTE):
        with pytest.raises(CpuFault):
            run(cpu_with(word), a2=0x60001100)


@pytest.mark.parametrize("target", [HEAP, 0x40200000, 0x40001234, 0])
def test_code_runs_from_instruction_ram_only(target: int) -> None:
    with pytest.raises(CpuFault):
        run(cpu_with(), a0=target)


def test_a_jump_out_of_the_loader_is_a_hand_over() -> None:
    cpu = cpu_with()
    cpu.registers[0] = 0x40100420
    with pytest.raises(Handover) as caught:
        cpu.run(CODE)
    assert caught.value.pc == 0x40100420


def test_what_is_no_instruction_faults_when_it_is_reached_and_not_before() -> None:
    ill, over_it = 0, 0x06 | (6 - 4 & 0x3FFFF) << 6
    with pytest.raises(CpuFault, match="illegal"):
        run(cpu_with(ill))
    run(cpu_with(over_it, ill))


def test_code_that_changes_is_translated_anew() -> None:
    """movi a2, 1 becomes movi a2, 2 by the program's own store."""
    movi_1, movi_2 = (2 | 2 << 4 | 10 << 12 | number << 16 for number in (1, 2))
    cpu = run(cpu_with(movi_1))
    assert cpu.registers[2] == 1
    cpu.memory.store32(CODE, movi_2 | (RET & 0xFF) << 24, 0)
    assert run(cpu).registers[2] == 2


def test_an_endless_loop_comes_to_its_limit() -> None:
    cpu = cpu_with(0x06 | (0 - 4 & 0x3FFFF) << 6)
    cpu.limit = 1000
    with pytest.raises(CpuFault, match="no end"):
        cpu.run(CODE)
    assert 1000 <= cpu.count < 1100


def test_it_counts_instructions_and_says_which_ran() -> None:
    cpu = run(cpu_with(L32I, S32I), a2=HEAP)
    assert cpu.count == 3
    assert list(cpu.ran) == [(CODE, CODE + 9)]


def test_the_lowest_stack_pointer_is_kept() -> None:
    def addi_a1(number: int) -> int:
        return 2 | 1 << 4 | 1 << 8 | 12 << 12 | (number & 0xFF) << 16

    cpu = run(cpu_with(addi_a1(-64), addi_a1(64)))
    assert (cpu.lowest_sp, cpu.registers[1]) == (0x3FFFF000 - 64, 0x3FFFF000)


def words() -> Iterator[int]:
    yield from range(0, 1 << 24, 0x1337)


def test_no_word_is_misread_as_longer_or_shorter_than_it_is() -> None:
    for word in words():
        it = decode(CODE, word)
        if it is not None:
            assert it.length == (2 if word & 15 >= 8 else 3)
            assert all(isinstance(number, int) for number in it.operands)
