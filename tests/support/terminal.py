"""Somebody at a terminal: a command on a pseudo-terminal, whose questions are answered."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from support.programs.pool import TERMINAL, python

LIMIT_S = 120
"""No command at a terminal takes this long; one that does is hung."""


class UserTerminal:
    """A Python program (`-m` and a module) on a terminal of its own. `said` is what it printed, without the ends of lines of a tty.

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
            [python(), TERMINAL, *arguments], cwd=folder, stdin=slave, stdout=slave, stderr=slave,
            start_new_session=True,
            env={**os.environ, "COLUMNS": "120", "NO_COLOR": "1", "PYTHONPATH": os.pathsep.join(sys.path),
                 **(environment or {})})
        os.close(slave)
        self._news = threading.Condition()
        self._is_closed = False
        # It reads on while nobody waits: a program on a full terminal stands still.
        self._reader = threading.Thread(target=self._read_all, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None,
    ) -> None:
        self.end()

    def wait(self) -> int:
        """Let it run to its end, and return its exit code."""
        with self._news:
            assert self._news.wait_for(lambda: self._is_closed, LIMIT_S), f"it hangs: {self.said}"
        return self._process.wait(LIMIT_S)

    def wait_for(self, words: str) -> None:
        """Let it run until it has printed these words. Raises AssertionError if it ends without them."""
        with self._news:
            assert self._news.wait_for(lambda: words in self.said or self._is_closed, LIMIT_S), f"it hangs: {self.said}"
            assert words in self.said, f"it ended without {words!r}: {self.said}"

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
        self._reader.join(LIMIT_S)
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    def _read_all(self) -> None:
        """Take what is printed, and answer it, until the other side is closed."""
        while True:
            try:
                data = os.read(self._master, 65536)
            except OSError:  # Linux: the other side was closed
                data = b""
            with self._news:
                self.said += data.decode("utf-8", "replace").replace("\r\n", "\n")
                self._is_closed = not data
                self._news.notify_all()
                for words, typed in self._answers.items():
                    is_asked = self.said.rstrip(" ").endswith((":", "?", "]:"))
                    if typed and is_asked and words in self.said[self._answered:]:
                        self._answered = len(self.said)
                        os.write(self._master, f"{typed.pop(0)}\n".encode())
            if not data:
                return
