"""Preflight: what is told of firmware that starts, that crashes, and that no chip is asked about."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from slotbench import boards, cli
from slotbench.cli import preflight as preflight_command
from slotbench.errors import BenchError
from slotbench.formats import FormatError
from slotbench.formats.release import Preflight, Release
from slotbench.project import PROJECT_FILE
from slotbench.prove.chip.bed import PROMPT, ChipBed
from slotbench.prove.chip.broken import Fault, break_loop
from slotbench.prove.chip.preflight import preflight, reason_for_none
from slotbench.release.build import build_release
from slotbench.release.keys import SigningKey
from slotbench.release.sign import sign_file
from slotbench.vboard.chip.build import VARIABLE
from slotbench.vboard.chip.network import slirp
from support.chip.bench import any_micropython, need_slirp, oldest_micropython, recent_micropython
from support.commands import CommandResult, RunCommand
from support.samples import VECTOR_KEYS, make_firmware, write_ring

BOARD = "d1_mini"


@pytest.fixture
def slotbench(capsys: pytest.CaptureFixture[str]) -> RunCommand:
    """Run the command line in this process."""

    def run(*arguments: object) -> CommandResult:
        capsys.readouterr()
        code = cli.run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return CommandResult(code, captured.out, captured.err)

    return run


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder with keys, and the current one."""
    paths = {name: tmp_path / "keys" / f"{name}.pem" for name in ("offline", "online", "stranger")}
    (tmp_path / "keys").mkdir()
    for name, path in paths.items():
        path.write_bytes((VECTOR_KEYS / f"test-only-{name}.pem").read_bytes())
        path.chmod(0o600)
    write_ring(paths, tmp_path / "keys" / "lamp.keys", product="lamp")
    (tmp_path / PROJECT_FILE).write_text(f'product = "lamp"\nboard = "{BOARD}"\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def made(result: Preflight | None) -> Release:
    release = build_release(
        make_firmware(), product="lamp", boards=[boards.load(BOARD)], counter=2, created=1_750_000_000)
    return replace(release, preflight=result)


@pytest.mark.parametrize("result", [None, *Preflight])
def test_the_field_comes_back_and_may_be_missing(result: Preflight | None) -> None:
    payload = made(result).to_payload()
    assert Release.from_payload(payload).preflight is result
    assert ("preflight" in json.loads(payload)) is (result is not None)


def test_another_word_in_the_field_is_refused() -> None:
    payload = made(Preflight.PASSED).to_payload().replace(b'"passed"', b'"hoped"')
    with pytest.raises(FormatError, match="hoped.* is not one of passed, failed"):
        Release.from_payload(payload)


@pytest.mark.parametrize("result", [None, *Preflight])
def test_only_a_release_whose_preflight_failed_is_not_signed(result: Preflight | None, tmp_path: Path) -> None:
    path = tmp_path / "lamp-2.release"
    path.write_bytes(made(result).to_payload() + b"\n")
    key = SigningKey.load(VECTOR_KEYS / "test-only-offline.pem")
    if result is Preflight.FAILED:
        before = path.read_bytes()
        with pytest.raises(BenchError, match="its preflight failed: .*lamp-2.release; read the .preflight.json"):
            sign_file(path, key)
        assert path.read_bytes() == before
    else:
        sign_file(path, key)


def test_why_there_is_none(monkeypatch: pytest.MonkeyPatch, core: Path) -> None:
    board = boards.load(BOARD)
    real = b"no bench image"
    assert reason_for_none(boards.load("native_512k"), real) is Preflight.NATIVE
    assert reason_for_none(board, make_firmware()) is Preflight.BENCH
    monkeypatch.setattr(slirp, "missing", lambda: "gone")
    assert reason_for_none(board, real) is Preflight.NO_NETWORK
    monkeypatch.setattr(slirp, "missing", lambda: "")
    assert reason_for_none(board, real) is None
    monkeypatch.setenv(VARIABLE, "/nowhere/cc")
    assert reason_for_none(board, real) is Preflight.NO_COMPILER
    assert "install a C compiler" in preflight_command.words_for(Preflight.NO_COMPILER)


def test_no_preflight_and_a_bench_image_are_said(slotbench: RunCommand, tmp_path: Path) -> None:
    firmware, out = tmp_path / "firmware.bin", tmp_path / "lamp-2.release"
    firmware.write_bytes(make_firmware())
    ran = slotbench("preflight", firmware)
    assert ran.code == 1 and "no preflight: a bench image, which no chip runs" in ran.err
    ran = slotbench(
        "release", "build", firmware, "--product", "lamp", "--board", BOARD, "--counter", "2", "--no-preflight",
        "-o", out)
    assert ran.code == 0 and ran.out.endswith("no preflight: switched off\n")
    assert json.loads(out.read_bytes())["preflight"] == "skipped"
    ran = slotbench("release", "sign", out, "--key", VECTOR_KEYS / "test-only-offline.pem")
    assert ran.code == 0 and ran.out.startswith(f"{out}: no preflight: switched off\n")


@pytest.mark.parametrize("choose", [lambda: recent_micropython()[0], oldest_micropython], ids=["newest", "oldest"])
def test_firmware_that_twoslot_runs_on_passes_and_is_shipped(
    core: Path, choose: Callable[[], bytes], project: Path, slotbench: RunCommand,
) -> None:
    image = choose()
    need_slirp()
    (project / "firmware.bin").write_bytes(image)
    ran = slotbench("ship", "firmware.bin", "--yes")
    report = json.loads((project / "releases" / "lamp-2.preflight.json").read_bytes())
    assert (ran.code, report["result"]) == (0, "passed"), ran
    assert [check["name"] for check in report["checks"] if not check["passed"]] == []
    assert len(report["checks"]) == 10 and not report["crash"]
    assert report["figures"]["ended_by"] == "two minutes of its time"
    assert "lamp/stable is counter 2 for 100 % of the boards" in ran.out
    shown = slotbench("release", "show", "releases/lamp-2.release").out
    assert "passed on the emulated chip" in shown and "signature" in shown


def test_a_filesystem_that_the_board_does_not_have_fails(core: Path) -> None:
    """A board file with another map than the firmware's: the boot code would not find the files."""
    image = any_micropython()
    need_slirp()
    report = preflight(image, boards.load(BOARD), fs_version=0x00020009)
    assert report.result is Preflight.FAILED
    assert [check.passed for check in report.checks][0], "it starts"
    assert not report.checks[-1].passed
    assert "ilesystem" in report.checks[-1].name or "littlefs 2.9" in report.checks[-1].name


def test_a_crash_shows_exception_registers_and_the_last_words_and_is_not_shipped(
    core: Path, tmp_path: Path, project: Path, slotbench: RunCommand,
) -> None:
    image = any_micropython()
    need_slirp()
    board = boards.load(BOARD)
    bed = ChipBed(tmp_path, board, image)
    with bed, bed.running(bed.flash(), connected=False) as running:
        running.board.power_on()
        assert running.wait_for_text(PROMPT, 20)
        tap = running.board.tap
        assert tap is not None and running.run_until(lambda: tap.safe_point is not None, 5)
        address = tap.safe_point
    assert address is not None
    (project / "firmware.bin").write_bytes(break_loop(image, address, Fault.CRASH))
    ran = slotbench("ship", "firmware.bin", "--yes")
    assert ran.code == 1 and "its preflight failed, so it is not signed" in ran.err
    assert not (project / "site" / "heads").exists()
    report = json.loads((project / "releases" / "lamp-2.preflight.json").read_bytes())
    assert [(check["name"], check["passed"]) for check in report["checks"]] == [("starts on a blank board", False)]
    shown = "\n".join(report["crash"])
    assert f"exception 0 at pc {address:08x}" in shown
    assert "a0 " in shown and "a15 " in shown and "bcn 100" in shown
