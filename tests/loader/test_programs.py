"""Our CPU against QEMU's: random programs of every instruction that a compiler emits."""

from __future__ import annotations

from pathlib import Path

import pytest

from slotbench.vboard.lx106 import translation
from support.loader.programs import Programs

PROGRAMS, FEW_PROGRAMS = 100, 30


@pytest.mark.parametrize("seed", range(4))
def test_random_programs_do_the_same_under_qemu(scratch: Path, seed: int) -> None:
    programs = Programs(scratch, seed, PROGRAMS)

    theirs, their_data = programs.by_qemu()
    ours, our_data = programs.by_our_cpu()

    for number, (their, our) in enumerate(zip(theirs, ours, strict=True)):
        assert our == their, f"seed {seed}, program {number}:\n{programs.sources[number]}"
    assert our_data == their_data
    assert len(set(theirs)) == PROGRAMS, "they do something"
    print(f"\nseed {seed}: {PROGRAMS} programs, registers and data equal after each")


def test_every_instruction_that_is_translated_occurs_in_them(scratch: Path) -> None:
    occurred = set()
    for seed in range(4):
        occurred |= Programs(scratch, seed, PROGRAMS).instructions()
    assert translation.NAMES <= occurred, translation.NAMES - occurred


@pytest.mark.parametrize(("name", "wrong"), [
    ("addx4", "{0} = ({1} << 3) + {2} & M"), ("sra", "{0} = {1} >> sar"), ("nsa", "{0} = 32 - {1}.bit_length()"),
    ("src", "{0} = ({2} << 32 | {1}) >> sar & M"), ("movltz", "{0} = {1}"),
])  # fmt: skip
def test_a_wrong_instruction_is_noticed(
    scratch: Path, monkeypatch: pytest.MonkeyPatch, name: str, wrong: str,
) -> None:
    programs = Programs(scratch, 0, FEW_PROGRAMS)
    monkeypatch.setitem(translation.PLAIN, name, wrong)
    monkeypatch.setattr("slotbench.vboard.lx106.cpu._KNOWN", {})

    assert programs.by_our_cpu() != programs.by_qemu()
