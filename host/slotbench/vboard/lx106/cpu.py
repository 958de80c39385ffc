"""The LX106 core: registers, translated blocks, hooks of ROM functions, and what it did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from slotbench.vboard.lx106.isa import Instruction, decode
from slotbench.vboard.lx106.memory import BASE, IRAM, CpuFault, CpuMemory
from slotbench.vboard.lx106.translation import BLOCK_INSTRUCTIONS_MAX, ENDS, Block, CoreState, compile_block

__all__ = ["Cpu", "Handover"]

_ILLEGAL: Final = 0
_RETURN: Final = 0x40000004
"""Where nothing of the ROM is."""


class Handover(Exception):
    """The code under test left: `pc` is in RAM, outside what may execute here."""

    def __init__(self, pc: int) -> None:
        super().__init__(f"jump to 0x{pc:08x}")
        self.pc = pc


@dataclass(frozen=True, slots=True)
class _CompiledBlock:
    """A block, the addresses of the words that it was made of, and of its literals."""

    words: range
    literals: tuple[int, ...]
    block: Block


_KNOWN: Final[dict[tuple[int, bytes], dict[int, _CompiledBlock]]] = {}
"""Start and bytes of a program -> its blocks by address: compiled once, whichever core runs them.
"""


class _Returned(Exception):
    """A function that a hook called is done."""


def _returned(cpu: Cpu) -> None:
    raise _Returned


class Cpu:
    """One core. `registers` are a0-a15 and SAR.

    `hooks` maps addresses to functions that take the place of code there, and return to a0. `code`
    is the range that may execute; who jumps elsewhere into instruction RAM ends the run with
    Handover, everywhere else with Fault. `count` counts instructions; at `limit` the run ends with
    Fault. the keys of `ran` are the stretches (start, end) of addresses that executed, `lowest_sp`
    the lowest stack pointer.
    """

    def __init__(self, memory: CpuMemory, code: range = IRAM) -> None:
        self.memory = memory
        self.code = code
        self.registers = [0] * 17
        self.hooks: dict[int, Callable[[Cpu], None]] = {}
        self.count = 0
        self.limit = 1 << 62
        self.lowest_sp = 1 << 32
        self.ran: dict[tuple[int, int], None] = {}
        self._blocks: dict[int, Block] = {}
        self._known: dict[int, _CompiledBlock] = {}

    def run(self, pc: int) -> None:
        """Execute from `pc` until something is raised."""
        memory, blocks = self.memory, self._blocks
        while True:
            if memory.code_changed:
                memory.forget_code()
                blocks.clear()
                self._known = _KNOWN.setdefault((self.code.start, self._program()), {})
            try:
                block = blocks[pc]
            except KeyError:
                block = blocks[pc] = self._block(pc)
            pc = block(self)
            if self.count >= self.limit:
                raise CpuFault("no end in sight", pc, pc, _ILLEGAL)

    def call(self, address: int) -> None:
        """From a hook: run a function of the program until it returns."""
        back = self.registers[0]
        self.registers[0] = _RETURN
        self.hooks[_RETURN] = _returned
        try:
            self.run(address)
        except _Returned:
            self.registers[0] = back

    def refuse(self, what: str, pc: int) -> None:
        """An instruction that this bench cannot run."""
        raise CpuFault(what, pc, pc, _ILLEGAL)

    def _block(self, pc: int) -> Block:
        """The block at `pc`: a hook, one that was compiled before from the same words, or a new
        one.
        """
        if pc in self.hooks:
            return self._hooked(self.hooks[pc])
        if pc not in self.code:
            if pc in IRAM:
                raise Handover(pc)
            self.memory.fetch(pc)
        known = self._known.get(pc)
        if known is None:
            known = self._known[pc] = self._compile(pc)
        self.memory.add_code(known.words, known.literals)
        return known.block

    def _compile(self, start: int) -> _CompiledBlock:
        instructions: list[Instruction] = []
        pc = start
        while len(instructions) < BLOCK_INSTRUCTIONS_MAX:
            it = decode(pc, self.memory.fetch(pc))
            if it is None:
                if not instructions:
                    raise CpuFault("illegal instruction", pc, pc, _ILLEGAL)
                break
            instructions.append(it)
            pc = it.next
            if it.name in ENDS:
                break
        literals = {it.operands[1]: self._literal(it) for it in instructions if it.name == "l32r"}
        compiled = compile_block(instructions, literals)
        return _CompiledBlock(range(start & ~3, pc, 4), tuple(literals), compiled)

    def _literal(self, it: Instruction) -> int:
        address = it.operands[1]
        if address not in self.code:
            raise CpuFault("literal outside the code", it.pc, address, _ILLEGAL)
        return self.memory.load32(address, it.pc)

    def _program(self) -> bytes:
        return bytes(self.memory.data[self.code.start - BASE : self.code.stop - BASE])

    def _hooked(self, hook: Callable[[Cpu], None]) -> Block:
        def block(core: CoreState) -> int:
            hook(self)
            return self.registers[0]

        return block
