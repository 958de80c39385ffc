"""Things that people do on this chip, on the official firmware: pins, buses, parts, time, files, network."""

from __future__ import annotations

from pathlib import Path

from slotbench import boards
from slotbench.prove.programs import PROGRAMS
from slotbench.prove.programs.table import CHIP, markdown, run_on_chip, run_on_vms
from support.chip.bench import need_slirp, recent_micropython

PAGE = Path(__file__).parents[2] / "host/docs/programs.md"


def test_each_does_on_the_chip_what_it_does_on_a_board(core: object) -> None:
    need_slirp()
    assert len({program.name for program in PROGRAMS}) == len(PROGRAMS) >= 74
    wrong = {
        name: reason for name, reason in run_on_chip(boards.load("d1_mini"), recent_micropython()[0]).items() if reason}
    assert not wrong, "\n".join(f"{name}: {reason}" for name, reason in wrong.items())


def test_the_page_says_what_works_on_which_vm() -> None:
    results = {CHIP: {program.name: "" for program in PROGRAMS}, **run_on_vms(boards.load("d1_mini"))}
    assert "\n".join(markdown(results)) in PAGE.read_text(), "make it anew: slotbench prove programs --markdown FIRMWARE"
