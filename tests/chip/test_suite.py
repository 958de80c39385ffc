"""MicroPython's own tests: a sample of them, or all when that is asked for, on the chip and on the MicroPython VM."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from slotbench import boards
from slotbench.errors import BenchError
from slotbench.micropython_vm import suite_cache
from slotbench.prove.programs.on_chip import ChipPrograms
from slotbench.prove.programs.on_vm import VmPrograms
from slotbench.prove.suite.cases import CHIP, VM, SuiteCase, cases, reason_for
from slotbench.prove.suite.results import run_suite, suite_table
from slotbench.vboard.signals import BenchViolation
from slotbench.vboard.vms import VMS
from support.chip.bench import recent_micropython

ALL = os.environ.get("TWOSLOT_SUITE") == "all"
EVERY = 1 if ALL else 29
PASSED_MIN = {CHIP: 740, VM: 710}
"""Of all 879."""


@pytest.fixture
def chosen() -> list[SuiteCase]:
    if not suite_cache().is_dir():
        pytest.skip("tools/get-micropython --tests has not been run")
    return list(cases(suite_cache()))[::EVERY]


def check(where: str, chosen: list[SuiteCase], run: Callable[..., str]) -> None:
    result = run_suite(where, chosen, run)
    assert not result.unexplained
    assert result.passed >= PASSED_MIN[where] / EVERY * 0.8 and (not ALL or result.passed >= PASSED_MIN[where])
    assert suite_table([result])[2].startswith(f"| `--vm {where}` | {result.passed} |")


def test_on_the_chip(core: Path, chosen: list[SuiteCase]) -> None:
    with closing(ChipPrograms(boards.load("d1_mini"), recent_micropython()[0])) as chip:
        check(CHIP, chosen, lambda program: chip.run(program)[0])


def test_on_the_vm(micropython: None, chosen: list[SuiteCase]) -> None:
    vm = VmPrograms(boards.load("d1_mini"), VMS[VM])

    def run(program: object) -> str:
        try:
            return vm.run(program)  # type: ignore[arg-type]
        except BenchViolation as error:
            return str(error)

    check(VM, chosen, run)


def test_a_failure_needs_a_reason(tmp_path: Path) -> None:
    (tmp_path / "basics").mkdir()
    for name, source, expected in (("good", "print(1)", "1\n"), ("odd", "print(2)", "3\n"), ("skips", "print('SKIP')", "")):
        (tmp_path / "basics" / f"{name}.py").write_text(source)
        (tmp_path / "basics" / f"{name}.py.exp").write_text(expected)
    (tmp_path / "basics" / "same.py").write_text("print(6 * 7)")
    said = {"basics/good": "1\n", "basics/odd": "2\n", "basics/skips": "SKIP\n", "basics/same": "42\n"}
    result = run_suite(CHIP, cases(tmp_path), lambda program: said[program.name])
    assert (result.passed, result.skipped, result.unexplained) == (2, ["basics/skips"], {"basics/odd": "2"})
    assert reason_for(CHIP, "float/complex1") and reason_for(CHIP, "basics/class1") is None
    with pytest.raises(BenchError, match="no tests of MicroPython"):
        list(cases(tmp_path / "elsewhere"))
