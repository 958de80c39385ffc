"""What starts the programs of tests: each is as if Python had started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.programs.pool import python

_TELLS = """
import os, sys
print(os.getcwd(), sys.argv[1:], os.environ["LAMP"], __name__, sys.stdin.read())
print("to the other", file=sys.stderr)
sys.exit(int(sys.argv[1]))
"""
_WAITS = """
import signal
print("it waits", flush=True)
signal.pause()
"""


@pytest.mark.parametrize("code", [0, 3])
def test_streams_arguments_environment_folder_and_end_are_its_own(tmp_path: Path, code: int) -> None:
    (tmp_path / "mpremote.py").write_text(_TELLS)
    ends = [
        subprocess.run(
            [starter, "-m", "mpremote", str(code), "", "a b"], cwd=tmp_path, env={**os.environ, "LAMP": "on"}, input="typed",
            capture_output=True, text=True, check=False)
        for starter in (python(), sys.executable)]
    assert [(it.returncode, it.stdout, it.stderr) for it in ends] == 2 * [
        (code, f"{tmp_path} ['{code}', '', 'a b'] on __main__ typed\n", "to the other\n")]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_it_and_what_it_is_started_by(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "mpremote.py").write_text(_WAITS)
    with subprocess.Popen(
            [python(), "-m", "mpremote"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as starter:
        assert starter.stdout is not None and starter.stdout.readline() == "it waits\n"
        starter.send_signal(number)
        said = starter.stdout.read()  # to its end: nobody has it open any more
        assert starter.wait() == -number
    assert said.endswith("KeyboardInterrupt\n") is (number == signal.SIGINT)
