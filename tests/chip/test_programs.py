"""Things that people do on this chip, on the official firmware: pins, buses, parts, time, files, network."""

from __future__ import annotations

from slotbench import boards
from slotbench.prove.programs import PROGRAMS
from slotbench.prove.programs.on_chip import ChipPrograms
from slotbench.prove.programs.server import ProgramServer
from support.chip.bench import need_slirp, recent_micropython


def test_each_does_on_the_chip_what_it_does_on_a_board(core: object) -> None:
    need_slirp()
    assert len({program.name for program in PROGRAMS}) == len(PROGRAMS) >= 74
    wrong = {}
    with ProgramServer() as server:
        chip = ChipPrograms(boards.load("generic_4m"), recent_micropython()[0], server=server.port)
        try:
            for program in PROGRAMS:
                if reason := chip.what_is_wrong(program):
                    wrong[program.name] = reason
        finally:
            chip.close()
    assert not wrong, "\n".join(f"{name}: {reason}" for name, reason in wrong.items())
