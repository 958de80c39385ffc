"""The table of what works where: each program, run on the chip and on the VMs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from itertools import groupby
from typing import Final

from slotbench.boards import BoardProfile
from slotbench.prove.programs import PROGRAMS
from slotbench.prove.programs.on_chip import ChipPrograms
from slotbench.prove.programs.on_vm import NO_PARTS, VmPrograms
from slotbench.prove.programs.server import ProgramServer
from slotbench.vboard.vms import VMS

__all__ = ["CHIP", "Results", "markdown", "run_on_chip", "run_on_vms", "summary"]

CHIP: Final = "chip"
Results = Mapping[str, Mapping[str, str]]
"""VM -> name of a program -> what is wrong with it there, empty when nothing is."""


def run_on_chip(
    profile: BoardProfile, image: bytes, say: Callable[[str], object] = lambda line: None,
) -> dict[str, str]:
    """Run every program on the emulated chip; what is wrong, by the program's name. Raises BenchError."""
    with ProgramServer() as server, closing(ChipPrograms(profile, image, server=server.port)) as chip:
        return _run(chip.what_is_wrong, CHIP, say)


def run_on_vms(
    profile: BoardProfile, say: Callable[[str], object] = lambda line: None,
) -> dict[str, dict[str, str]]:
    """Run every program on each VM that runs the board's Python alone."""
    results = {}
    with ProgramServer() as server:
        for name, new_vm in VMS.items():
            vm = VmPrograms(profile, new_vm, server=server.port)
            results[name] = _run(vm.what_is_wrong, name, say)
    return results


def _run(what_is_wrong: Callable[..., str], vm: str, say: Callable[[str], object]) -> dict[str, str]:
    results = {}
    for program in PROGRAMS:
        results[program.name] = what_is_wrong(program)
        if results[program.name] and results[program.name] != NO_PARTS:
            say(f"{vm}: {program.name}: {results[program.name]}")
    return results


def summary(results: Results) -> list[str]:
    """How many work on each VM."""
    return [
        f"{vm}: {sum(not wrong for wrong in found.values())} of {len(found)}"
        for vm, found in results.items()]


def markdown(results: Results) -> list[str]:
    """The table as lines of Markdown, a table for each kind."""
    columns: Sequence[str] = list(results)
    lines = []
    for kind, programs in groupby(PROGRAMS, key=lambda program: program.kind):
        head = " | ".join((kind, *(f"`{vm}`" for vm in columns)))
        lines += ["", f"| {head} |", "|---" * (1 + len(columns)) + "|"]
        for program in programs:
            cells = ("no" if results[vm][program.name] else "yes" for vm in columns)
            lines.append(f"| {' | '.join((program.does, *cells))} |")
    counts = (str(sum(not wrong for wrong in results[vm].values())) for vm in columns)
    total = " | ".join((f"**of {len(PROGRAMS)}**", *counts))
    return [*lines[1:], "", f"| All | {' | '.join(f'`{vm}`' for vm in columns)} |",
            "|---" * (1 + len(columns)) + "|", f"| {total} |"]
