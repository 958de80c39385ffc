"""What is told of programs that run, crash, restart and end, on the emulated chip under a real firmware."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from slotbench import boards
from slotbench.application.bundle import Bundle, build_bundle
from slotbench.formats.release import Preflight
from slotbench.mpy import compile_mpy
from slotbench.prove.chip import program_preflight as module
from slotbench.prove.chip.preflight import PreflightReport
from slotbench.prove.chip.program_preflight import program_preflight
from support.chip.bench import any_micropython, need_slirp

LOOP = "import time, twoslot, lamp\nwhile True:\n    twoslot.tick()\n    lamp.shine()\n    time.sleep_ms(100)\n"


@pytest.fixture(scope="module")
def image(core: Path) -> bytes:
    found = any_micropython()
    need_slirp()
    return found


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten seconds of the chip's time are enough for these programs."""
    monkeypatch.setattr(module, "RUN_S", 10.0)


def tried(image: bytes, folder: Path, files: Mapping[str, str]) -> PreflightReport:
    for path, text in files.items():
        (folder / path).write_text(text)
    return program_preflight(build_bundle(folder), image, boards.load("d1_mini"))


def seen(report: PreflightReport, name: str) -> str:
    return next(check.seen for check in report.checks if check.name.startswith(name))


def test_a_program_that_runs_passes_with_what_it_leaves(image: bytes, tmp_path: Path) -> None:
    """It finds its modules and its files where the board has them."""
    report = tried(image, tmp_path, {
        "main.py": 'print(open("hello.txt").read())\n' + LOOP, "hello.txt": "hello", "lamp.py": "def shine():\n    pass\n"})
    assert report.result is Preflight.PASSED, report
    assert seen(report, "main.py goes on") == "it runs, for 10 s"
    assert 10_000 < int(report.figures["heap_free_bytes"]) < 40_000
    assert 2_000 < int(report.figures["stack_bytes"]) < 8_192
    assert seen(report, "heap") == f"{report.figures['heap_free_bytes']} bytes left"


def test_a_crash_fails_and_shows_its_traceback_with_the_source_s_lines(image: bytes, tmp_path: Path) -> None:
    report = tried(image, tmp_path, {
        "main.py": LOOP, "lamp.py": 'left = 20\n\n\ndef shine():\n    global left\n    left -= 1\n    1 / left\n'})
    assert report.result is Preflight.FAILED
    assert report.crash == [
        "Traceback (most recent call last):", '  File "main.py", line 4, in <module>', '  File "lamp.py", line 7, in shine',
        "ZeroDivisionError: divide by zero"]
    assert seen(report, "main.py goes on").endswith("s: ZeroDivisionError: divide by zero")


def test_a_program_that_takes_all_memory_fails(image: bytes, tmp_path: Path) -> None:
    report = tried(image, tmp_path, {"main.py": "held = []\nwhile True:\n    held.append(bytearray(500))\n"})
    assert report.result is Preflight.FAILED and report.crash[-1].startswith("MemoryError")


def test_a_program_that_restarts_the_board_fails_and_one_that_ends_is_told_of(image: bytes, tmp_path: Path) -> None:
    report = tried(image, tmp_path, {"main.py": "import machine\nprint('on')\nmachine.reset()\n"})
    assert report.result is Preflight.FAILED and "the board restarted after" in seen(report, "main.py goes on")
    report = tried(image, tmp_path, {"main.py": "print('done')\n"})
    assert report.result is Preflight.PASSED and "it ended after" in seen(report, "main.py goes on")
    assert seen(report, "main.py goes on").endswith("it never called twoslot.tick(): no trial of it ends well, and boards go back")


def test_main_mpy_is_started_by_no_firmware(image: bytes) -> None:
    """Which is why a bundle needs main.py, as source: the prompt comes, and nothing ran."""
    files = {"main.py": b""}
    bundle = Bundle(files, 6)
    files |= {"main.mpy": compile_mpy("main.py", b"1 / 0\n")}
    del files["main.py"]
    report = program_preflight(bundle, image, boards.load("d1_mini"))
    assert not report.crash and "it ended after" in seen(report, "main.py goes on")
