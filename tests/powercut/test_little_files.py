"""The littlefs under the proof of applications: what the flash forbids ends the proof, and is not dropped by C code."""

from __future__ import annotations

import pytest

from slotbench import boards
from slotbench.prove.applications.little_files import LittleFiles
from slotbench.vboard.flash.nor import NorFlash
from slotbench.vboard.signals import BenchViolation


@pytest.fixture
def files() -> LittleFiles:
    profile = boards.load("generic_4m")
    return LittleFiles(NorFlash(profile.chip_bytes), profile.filesystem, fresh=True)


def test_a_violation_reaches_the_one_who_asked(files: LittleFiles) -> None:
    def refuse(*arguments: object) -> None:
        raise BenchViolation("python programs what it may not")

    files.blocks.flash.write = refuse  # type: ignore[method-assign]
    with pytest.raises(BenchViolation, match="what it may not"):
        files.do(lambda: files.fs.mkdir("/lamp"))


def test_littlefs_programs_as_the_part_does_and_nobody_else_may(files: LittleFiles) -> None:
    flash, start = files.blocks.flash, boards.load("generic_4m").filesystem.start
    free = start + 200 * 4096
    flash.poke(free, b"\xf0" * 16)
    assert files.blocks.prog(None, 200, 0, b"\x3c" * 16) == 0
    assert flash.peek(free, 16) == b"\x30" * 16
    with pytest.raises(BenchViolation, match="only an erase raises bits"):
        flash.write(free, b"\x3c" * 16)
