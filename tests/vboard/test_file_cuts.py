"""The board's files when power goes: a change is an operation, and there is no half of it."""

from __future__ import annotations

import pytest

from slotbench.vboard.flash.cuts import Cut, CutMode
from slotbench.vboard.flash.nor import NorFlash
from slotbench.vboard.network.base import NoNetwork
from slotbench.vboard.signals import PowerCut
from slotbench.vboard.soc import Soc
from slotbench.vboard.vm import CPythonVM

SOURCE = """\
import os
with open("new", "wb") as f:
    f.write(b"new")
os.rename("new", "old")
os.remove("gone")
with open("old", "rb") as f:
    f.read()
with open("old", "wb") as f:
    f.write(b"new")
"""
STEPS = [
    {"/old": b"old", "/gone": b""}, {"/old": b"old", "/gone": b"", "/new": b"new"}, {"/old": b"new", "/gone": b""},
    {"/old": b"new"},
]
"""The files after each operation; what is written as it was is none."""


def run(*cuts: Cut) -> tuple[dict[str, bytes], NorFlash]:
    files, flash = dict(STEPS[0]), NorFlash(0x10000)
    flash.arm(*cuts)
    vm = CPythonVM(Soc(flash), files, NoNetwork())
    try:
        vm.exec(SOURCE)
    except PowerCut:
        assert not flash.powered
    vm.close()
    return files, flash


def test_each_change_is_an_operation() -> None:
    files, flash = run()
    assert files == STEPS[-1] and flash.operations == 3
    assert [(op.kind, op.addr, op.length) for op in flash.log or ()] == [
        ("commit", -1, 3), ("commit", -1, 0), ("commit", -1, 0)]
    assert flash.erases == flash.programs == 0


@pytest.mark.parametrize("index", range(3))
@pytest.mark.parametrize(("mode", "seed", "happened"), [
    (CutMode.BEFORE, 1, False), (CutMode.AFTER, 0, True), (CutMode.TORN, 0, False), (CutMode.TORN, 1, True),
    (CutMode.WEAK, 0, False), (CutMode.WEAK, 1, True)])
def test_a_change_that_is_cut_is_there_or_is_not(index: int, mode: CutMode, seed: int, happened: bool) -> None:
    files, _ = run(Cut(index, mode, seed))
    assert files == STEPS[index + happened]


def test_without_power_nothing_changes() -> None:
    flash = NorFlash(0x1000)
    flash.power_off()
    with pytest.raises(PowerCut):
        flash.commit(lambda: pytest.fail("changed"), 1)
