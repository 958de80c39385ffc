"""Random programs on the core and under QEMU's lx106: the same registers and the same memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from slotbench.vboard.chip.machine import ROM_BASE, Machine, StopReason
from slotbench.vboard.flash.nor import NorFlash
from support.chip.machine import FLASH_BYTES, assemble, with_vectors
from support.chip.random_programs import RESULTS, RESULT_WORDS, Generator
from support.loader.qemu import run_qemu, tool

_PROGRAMS = 150
"""In one image: it has 64 KB."""
_BATCHES = 8
_LIMIT_US = 1_000_000

# Opens the file at `path`, writes the results there, exits. A breakpoint ends the core's run before.
_FINISH = f"""\
    movi    a2, 5
    movi    a3, path
    movi    a4, 2
    movi    a5, 0
    simcall
    mov     a3, a2
    movi    a2, 4
    movi    a4, {RESULTS}
    movi    a5, {_PROGRAMS * RESULT_WORDS * 4}
    simcall
    movi    a2, 1
    movi    a3, 0
    simcall
    j       .
"""


@pytest.mark.parametrize("seed", range(_BATCHES))
def test_registers_and_memory_are_those_of_qemu(with_qemu: Path, seed: int) -> None:
    print(f"seed {seed}: {_PROGRAMS} programs")
    elf, rom = _build(with_qemu, seed)
    job = with_qemu / "job"
    job.touch()
    run_qemu(elf, [])
    theirs = job.read_bytes()
    assert len(theirs) == _PROGRAMS * RESULT_WORDS * 4

    machine = Machine(NorFlash(FLASH_BYTES), rom=rom, seed=seed)
    machine.power_on()
    finish = int(next(line for line in tool("nm", elf).splitlines() if line.endswith(" finish")).split()[0], 16)
    machine.set_breakpoint(finish)
    stop = machine.run_us(_LIMIT_US)
    assert stop.reason is StopReason.BREAKPOINT, f"{stop}; {machine.last_exception()}"
    ours = machine.read(RESULTS, _PROGRAMS * RESULT_WORDS * 4)

    differences = [
        f"seed {seed}, program {index}: {_words(ours, index)} here, {_words(theirs, index)} under QEMU"
        for index in range(_PROGRAMS) if _words(ours, index) != _words(theirs, index)]
    assert not differences, f"{len(differences)} of {_PROGRAMS} differ; the first: {differences[0]}"
    assert len({_words(ours, index) for index in range(_PROGRAMS)}) == _PROGRAMS


def _words(results: bytes, program: int) -> tuple[str, ...]:
    size = 4 * RESULT_WORDS
    part = results[program * size : (program + 1) * size]
    return tuple(f"{int.from_bytes(part[at : at + 4], 'little'):08x}" for at in range(0, len(part), 4))


def _build(folder: Path, seed: int) -> tuple[Path, bytes]:
    """The program as ELF for QEMU, and the same bytes as a ROM."""
    text = with_vectors(Generator(seed).image(_PROGRAMS, _FINISH))
    path = folder / "job"
    text += f'    .align 4\npath: .asciz "{path}"\n'
    rom = assemble(folder, text, ROM_BASE, "programs")
    return folder / "programs.elf", rom
