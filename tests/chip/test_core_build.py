"""The core's build: without a warning, kept by digest, safe at once in two processes, clean under sanitizers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from slotbench.errors import BenchError
from slotbench.vboard.chip import build, core_library
from slotbench.vboard.chip.benchmark import instructions_per_second

ROOT = Path(__file__).parents[2]
# The tools that tests start are not watched. Without optimization the compiler takes least, and all of it a third less.
RUNNER = """
import os, sys, pytest
from slotbench.vboard.chip import build
build.FLAGS = (*build.FLAGS, "-O0")
del os.environ["LD_PRELOAD"]
sys.exit(pytest.main(sys.argv[1:]))
"""
SANITIZERS = (
    "-fsanitize=address,undefined -fno-sanitize-recover=all -g1"
    " -fno-sanitize=null,object-size,pointer-overflow")  # what these see, the first of the two sees too
# What the sanitizers watch: random programs, the rules of memory, interrupts and waits, the flash with cuts.
WATCHED = (
    "test_differential.py::test_registers_and_memory_are_those_of_qemu[0]", "test_memory_rules.py", "test_interrupts.py", "test_spi.py")


def test_no_warning(core: Path, tmp_path: Path) -> None:
    sources = [str(it) for it in build.sources() if it.suffix == ".c"]
    # -O1 finds what -O2 finds (what is not set, say), and takes half.
    command = [*build.compiler(), *build.FLAGS, "-O1", "-Wall", "-Wextra", "-Werror", "-o", str(tmp_path / "core.so"), *sources]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_it_is_built_once(core: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, place = tmp_path / "small.c", tmp_path / "cores"
    source.write_text("int chip_api_version(void) { return 2; }\n")
    monkeypatch.setattr(build, "_CORE", tmp_path)  # of one small file: two compilers at once
    with ThreadPoolExecutor(2) as pool:
        built = list(pool.map(lambda _: core_library(place), range(2)))
    assert len(set(built)) == 1 and [it.name for it in place.iterdir()] == [built[0].name]
    monkeypatch.setattr(build, "_compile", lambda command: pytest.fail("compiled again"))
    assert core_library(place) == built[0]
    text = source.read_text()
    source.write_text(text.replace("2", "3"))
    with pytest.raises(BaseException, match="compiled again"):
        core_library(place)
    source.write_text(text)
    assert core_library(place) == built[0]
    monkeypatch.setattr(build, "FLAGS", (*build.FLAGS, "-g"))
    with pytest.raises(BaseException, match="compiled again"):
        core_library(place)


def test_no_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(build.VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(build.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BenchError, match="needs a C compiler") as error:
        core_library(tmp_path)
    assert "apt-get install gcc" in error.value.cure and error.value.exit_code == 2


def test_compiler_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    false = shutil.which("false")
    assert false is not None
    monkeypatch.setenv(build.VARIABLE, false)
    with pytest.raises(BenchError, match="does not compile"):
        core_library(tmp_path)
    assert not list(tmp_path.iterdir()), "nothing half-built is left"
    monkeypatch.setenv(build.VARIABLE, "no-such-compiler")
    with pytest.raises(BenchError, match="names no program"):
        core_library(tmp_path)


def test_folder_that_cannot_be_written(core: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BenchError, match="cannot keep the compiled chip"):
        core_library(tmp_path / "file")


def test_benchmark_counts_instructions(core: Path) -> None:
    ticks = iter((1.0, 3.0))
    assert instructions_per_second(1_000, now=lambda: next(ticks)) == pytest.approx(40_000, rel=0.01)


def test_sanitizers_find_nothing(with_qemu: Path) -> None:
    compiler = shutil.which("gcc")
    library = compiler and subprocess.run(
        [compiler, "-print-file-name=libasan.so"], capture_output=True, text=True, check=True).stdout.strip()
    if not library or not Path(library).is_absolute():
        if os.environ.get("TWOSLOT_REQUIRE_TOOLS"):
            pytest.fail("needs gcc with its sanitizers")
        pytest.skip("needs gcc with its sanitizers")
    environment = {
        **os.environ, build.VARIABLE: f"{compiler} {SANITIZERS}", "XDG_CACHE_HOME": str(with_qemu),
        "LD_PRELOAD": library, "ASAN_OPTIONS": "detect_leaks=0:verify_asan_link_order=0"}
    tests = [str(ROOT / "tests" / "chip" / name) for name in WATCHED]
    run = subprocess.run(
        [sys.executable, "-c", RUNNER, "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", *tests], cwd=ROOT, env=environment,
        capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    assert list((with_qemu / "twoslot" / "chip").glob("core-*")), "they watched a core of their own"
