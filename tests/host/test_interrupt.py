"""Ctrl-C ends a proof or a demo at once: exit code 130, one line, no process left."""

from __future__ import annotations

import os
import select
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import pytest
from click.testing import CliRunner

from slotbench.cli.prove import prove
from slotbench.errors import BenchError
from slotbench.interrupts import StoppedByUser, stopping_on_interrupt
from slotbench.prove.parallel import workers
from support.started import start

ENDS_S = 30.0
"""A second on a computer that does nothing else."""
LIMIT_S = 300.0


def children(pid: int) -> list[int]:
    lists = (path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children"))
    return [int(child) for text in lists for child in text.split()]


def has_children(count: int) -> Callable[[int, str], bool]:
    return lambda pid, said: len(children(pid)) >= count


def has_said(words: str) -> Callable[[int, str], bool]:
    return lambda pid, said: words in said


@pytest.mark.parametrize(("arguments", "reached"), [
    ("prove fleet --boards 60 --processes 2", has_children(3)),
    ("prove network --updates 400 --rate 0.3 --processes 2", has_children(2)),
    ("prove powercut --board generic_4m --scenario download --loader model", has_said("seed 0")),
    ("prove field --processes 2", has_children(2)),
    ("prove fuzz --minutes 5 --processes 1", has_children(1)),
    ("prove push --size 1000", has_said("pushing")),
    ("demo", has_said("blocks")),
    ("demo --attacks", has_said("refused")),
])
def test_ctrl_c_ends_it(arguments: str, reached: Callable[[int, str], bool]) -> None:
    pid, reading = start(arguments.split())
    said, pressed_s, end_s = b"", 0.0, time.monotonic() + LIMIT_S
    status: int | None = None
    try:
        while time.monotonic() < end_s:
            if select.select([reading], [], [], 0.05)[0]:
                if not (new := os.read(reading, 65536)):
                    break
                said += new
            if not pressed_s and reached(pid, said.decode()):
                pressed_s = time.monotonic()
                os.killpg(pid, signal.SIGINT)
        seconds = time.monotonic() - pressed_s
        text = said.decode()
        assert pressed_s, f"it ended by itself:\n{text}"
        status = os.waitpid(pid, 0)[1]
        with pytest.raises(ProcessLookupError):
            os.killpg(pid, 0)
    finally:
        os.close(reading)
        if status is None:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 130, text
    assert text.splitlines()[-1].startswith("slotbench: stopped; run the same command again"), text
    assert "Traceback" not in text and seconds < ENDS_S, (seconds, text)


def test_a_program_that_catches_everything_does_not_catch_it() -> None:
    with pytest.raises(StoppedByUser), stopping_on_interrupt():
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except (Exception, KeyboardInterrupt):
            pytest.fail("a board's program caught it")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_job_that_was_cancelled_says_nothing_when_its_process_is_killed(capsys: pytest.CaptureFixture[str]) -> None:
    def fail_job() -> None:
        job: Future[int] = Future()
        job.cancel()
        job.set_exception(OSError("its process is gone"))  # as the pool's own thread does

    with pytest.raises(StoppedByUser), workers(1):
        thread = threading.Thread(target=fail_job)
        thread.start()
        thread.join()
        raise StoppedByUser
    assert capsys.readouterr().err == ""


def test_an_interrupt_that_python_drops_comes_again() -> None:
    """As in a callback of fork(), or of a garbage collection."""
    class Dropping:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            sum(range(1000))

    before = sys.unraisablehook, signal.getsignal(signal.SIGALRM)
    with pytest.raises(StoppedByUser), stopping_on_interrupt():
        Dropping()
        signal.pause()
    assert (sys.unraisablehook, signal.getsignal(signal.SIGALRM)) == before


def test_fuzz_without_pytest_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It must not say that all is well because it did nothing."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho /usr/bin/python: No module named pytest >&2\nexit 1\n")
    python.chmod(stat.S_IRWXU)
    monkeypatch.setattr(sys, "executable", str(python))
    ran = CliRunner().invoke(prove, ["fuzz", "--minutes", "0", "--processes", "1", "--only", "x"])
    assert isinstance(ran.exception, BenchError) and ran.exception.exit_code == 2
    assert "nothing is proven: " in str(ran.exception) and "No module named pytest" in str(ran.exception)


def test_powercut_without_a_cut_fails() -> None:
    """The loader has no part in a rollback's writes by Python alone."""
    ran = CliRunner().invoke(prove, ["powercut", "--scenario", "poll", "--loader", "machine"])
    assert isinstance(ran.exception, BenchError) and ran.exception.exit_code == 2
    assert "no power was cut, so nothing is proven" in str(ran.exception)
