"""The README's section "Push while developing", typed as printed, each terminal a process of its own."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from slotbench.vboard.firmware import build

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
PLACE = "127.0.0.1:8266"
LIMIT_S = 120


def transcript() -> list[list[str]]:
    section = README.partition("\n## Push while developing\n")[2].partition("\n## ")[0]
    return [shlex.split(line, comments=True)[1:] for line in re.findall(r"^    (slotbench [^\n]*)$", section, re.M)]


class Terminals:
    """Programs that go on while others are typed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.open: list[subprocess.Popen[str]] = []

    def start(self, arguments: list[str], until: str) -> str:
        """Start one; the line that has `until` in it."""
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "slotbench", *arguments], cwd=self.folder, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
        self.open.append(process)
        assert process.stdout is not None
        seen = ""
        for line in process.stdout:
            seen += line
            if until in line:
                return line
        raise AssertionError(f"{arguments} ended without {until!r}: {seen}")

    def type(self, arguments: list[str]) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "slotbench", *arguments], cwd=self.folder, text=True, timeout=LIMIT_S,
            capture_output=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return done.stdout


@pytest.fixture
def terminals(tmp_path: Path) -> Iterator[Terminals]:
    terminals = Terminals(tmp_path)
    yield terminals
    for process in terminals.open:
        process.kill()
        process.communicate()


def test_a_firmware_is_pushed_as_the_readme_says(terminals: Terminals) -> None:
    (terminals.folder / "firmware.bin").write_bytes(build("2.0.0", size=64 * 1024))
    terminals.type(["keys", "new", "keys", "--product", "lamp"])
    key, new, run, repl, push = transcript()
    assert [words[0] for words in (key, new, run, repl, push)] == ["keys", "board", "board", "board", "push"]
    terminals.type(key)
    terminals.type(new)
    line = terminals.start([*run, "--speed", "20"], "Its port 8266")
    place = line.rpartition(" ")[2].strip()
    terminals.start(repl, "listening on port 8266")
    said = terminals.type([place if word == PLACE else word for word in push])
    assert "in all" in said and said.rstrip().endswith("lamp dev-1 in slot B, confirmed")
    assert place in terminals.type(["board", "status", "desk"])
