"""The same promises under a fuzzer that follows the coverage: so many inputs for each target, the same in every run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from slotbench.errors import BenchError
from slotbench.prove import fuzz
from support.fuzz.targets import TARGETS, Fuzzed
from support.sampling import Sampler

ROOT = Path(__file__).parents[2]
RUNS = {"answer": 500, "windowlog": 700, "journal": 700, "blocks": 700}
USUAL_RUNS = 1500
DRAWN = 1
"""Of the targets, without --whole: each is a process that is instrumented first, for longer than it runs."""


@pytest.fixture
def atheris() -> None:
    """The fuzzer is here, or the test is skipped."""
    if not fuzz.has_guide():
        if os.environ.get("TWOSLOT_REQUIRE_TOOLS"):
            pytest.fail("TWOSLOT_REQUIRE_TOOLS is set, and atheris is not installed")
        pytest.skip("no coverage-guided fuzzer: atheris is not installed here")


def test_the_targets_are_those_that_the_command_names() -> None:
    assert tuple(TARGETS) == fuzz.TARGETS


@pytest.mark.usefixtures("atheris")
@pytest.mark.sampled(DRAWN)
@pytest.mark.parametrize("target", fuzz.TARGETS)
def test_any_bytes(tmp_path: Path, target: str, sampler: Sampler) -> None:
    every = RUNS.get(target, USUAL_RUNS)
    runs = every if sampler.whole else every // 3
    sampler.say(f"inputs of the guided fuzzer, {target}", runs, every, "the same ones in every run")
    found = fuzz.run_guided(target, 0, [f"-runs={runs}"], found=tmp_path)
    assert not found.text, f"{found.text}\n{found.repeat}"
    assert found.examples == runs


DOORS = """\
def run(on, data):
    if data[:1] == b"D":
        if data[1:2] == b"O":
            if data[2:3] == b"O":
                assert data[3:4] != b"R"
"""
BEHIND_DOORS = """\
import sys, atheris
with atheris.instrument_imports(include=["doors"]):
    import doors
from support.fuzz import guided as fuzz_guided
from support.fuzz import targets as fuzz_targets
fuzz_targets.TARGETS["doors"] = fuzz_targets.Target("doors", doors.run, [b"...."], 8)
sys.exit(fuzz_guided.main("doors", sys.argv[1:]))
"""


@pytest.mark.usefixtures("atheris")
def test_it_finds_what_is_behind_four_doors(tmp_path: Path) -> None:
    """The canary: a defect that chance would find once in four thousand million inputs; its input repeats it."""
    (tmp_path / "doors.py").write_text(DOORS)
    path = os.pathsep.join([str(tmp_path), *(str(ROOT / part) for part in ("host", "tests", "tools"))])

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", BEHIND_DOORS, *arguments], cwd=ROOT, capture_output=True, text=True,
            errors="replace", env={**os.environ, "PYTHONPATH": path})

    fuzzed = run("-runs=200000", "-seed=1", f"-artifact_prefix={tmp_path}/doors-")
    (crash,) = tmp_path.glob("doors-crash-*")
    assert fuzzed.returncode and crash.read_bytes()[:4] == b"DOOR", fuzzed.stderr[-2000:]
    repeated = run(str(crash))
    assert repeated.returncode and "AssertionError" in repeated.stderr


def test_an_input_is_repeated_without_a_fuzzer(tmp_path: Path) -> None:
    (tmp_path / "tail-1").write_bytes(TARGETS["tail"].seeds[0])
    assert "nothing is wrong" in fuzz.repeat(tmp_path / "tail-1")


def test_an_input_of_no_target_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mystery-crash-1").write_bytes(b"")
    with pytest.raises(BenchError, match="no target 'mystery'"):
        fuzz.repeat(tmp_path / "mystery-crash-1")


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_takes_its_seeds_and_nothing(target: str) -> None:
    """Without a fuzzer too."""
    on = Fuzzed()
    for data in (*TARGETS[target].seeds, b"", b"\0", b"\xff" * 40):
        TARGETS[target].run(on, data)
