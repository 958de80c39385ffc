"""Somebody at a terminal: a command on a pseudo-terminal, whose questions are answered."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

LIMIT_S = 120
"""No command at a terminal takes this long; one that does is hung."""
_OWN_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execv(sys.executable, [sys.executable, '-u', *sys.argv[1:]])")


class UserTerminal:
    """A Python program on a terminal of its own. `said` is what it printed, without the ends of lines of a tty.

    `answers` are typed as soon as the words before them are the last that was printed; several to the same
    words are typed one after another.
    """

    def __init__(
        self, arguments: Sequence[str], folder: Path, answers: Mapping[str, Sequence[str]] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._answers = {words: list(typed) for words, typed in (answers or {}).items()}
        self._master, slave = os.openpty()
        self.said = ""
        self._answered = 0
        self._process = subprocess.Popen(
            [sys.executable, "-c", _OWN_TERMINAL, *arguments], cwd=folder, stdin=slave, stdout=slave, stderr=slave,
            start_new_session=True,
            env={**os.environ, "COLUMNS": "120", "NO_COLOR": "1", "PYTHONPATH": os.pathsep.join(sys.path),
                 **(environment or {})})
        os.close(slave)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None,
    ) -> None:
        self.end()

    def wait(self) -> int:
        """Let it run to its end, and return its exit code."""
        end_s = time.monotonic() + LIMIT_S
        while self._read(end_s):
            pass
        return self._process.wait(LIMIT_S)

    def wait_for(self, words: str) -> None:
        """Let it run until it has printed these words. Raises AssertionError if it ends without them."""
        end_s = time.monotonic() + LIMIT_S
        while words not in self.said:
            assert self._read(end_s), f"it ended without {words!r}: {self.said}"

    def press_ctrl_c(self) -> int:
        """Press Ctrl-C, and return the exit code."""
        os.write(self._master, b"\x03")
        return self.wait()

    def end(self) -> None:
        """End it, if it goes on, as the closing of a terminal's window does."""
        if self._process.poll() is None:
            with suppress(OSError):
                os.write(self._master, b"\x03")
            try:
                self.wait()
            except (subprocess.TimeoutExpired, AssertionError):
                self._process.kill()
                self._process.wait()
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    def _read(self, end_s: float) -> bool:
        """Take what is printed next, and answer it; False at the end."""
        ready, _, _ = select.select([self._master], [], [], max(0.0, end_s - time.monotonic()))
        assert ready, f"it hangs: {self.said}"
        try:
            data = os.read(self._master, 65536)
        except OSError:  # Linux: the other side was closed
            return False
        self.said += data.decode("utf-8", "replace").replace("\r\n", "\n")
        for words, typed in self._answers.items():
            if typed and words in self.said[self._answered:] and self.said.rstrip(" ").endswith((":", "?", "]:")):
                self._answered = len(self.said)
                os.write(self._master, f"{typed.pop(0)}\n".encode())
        return bool(data)
