"""Thonny's back-end for bare metal, unmodified and without its windows, on the port of a board."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

__all__ = ["ThonnyBackend"]

_LIMIT_S = 120


class ThonnyBackend:
    """A process of the back-end; `folder` is for its log. `output` is what programs printed so far."""

    def __init__(self, port: str, folder: Path) -> None:
        path = list(sys.path)
        from thonny import common

        # It puts older copies of other people's libraries first: the rest of the run must not get them.
        sys.path[:] = path
        self._common: Any = common
        settings = {
            "port": port, "clean": True, "local_rtc": True, "sync_time": False, "validate_time": False,
            "interrupt_on_connect": True, "cwd": None}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "thonny.plugins.micropython.bare_metal_backend", repr(settings)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "THONNY_USER_DIR": str(folder)})
        self._heard: queue.Queue[Any] = queue.Queue()
        self._thread = threading.Thread(target=self._listen, name="thonny", daemon=True)
        self.output = ""

    def __enter__(self) -> Self:
        self._thread.start()
        self.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._thread.join(_LIMIT_S)
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()
        self._process.wait(_LIMIT_S)

    def run(self, source: str, *, wait: bool = True) -> str:
        """Run a source as its editor does; what it printed."""
        self._send(self._common.ToplevelCommand("execute_source", source=source))
        return self.wait() if wait else ""

    def interrupt(self) -> str:
        """What its stop button sends; what was printed until the prompt is back."""
        self._send(self._common.ImmediateCommand("interrupt"))
        return self.wait()

    def ask(self, name: str, **fields: object) -> Any:
        """The answer to a command of its windows."""
        self._send(self._common.InlineCommand(name, id=name, **fields))
        return self._next(lambda message: getattr(message, "command_name", None) == name)

    def until_printed(self, words: str) -> None:
        """Wait until a program has printed that."""
        self._next(lambda message: words in self.output)

    def wait(self) -> str:
        """Wait for its prompt; what was printed meanwhile."""
        begin = len(self.output)
        self._next(lambda message: getattr(message, "event_type", None) == "ToplevelResponse")
        return self.output[begin:].replace("\r\n", "\n")

    def _send(self, command: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(self._common.serialize_message(command) + "\n")
        self._process.stdin.flush()

    def _next(self, is_it: Callable[[Any], bool]) -> Any:
        seen = []
        while True:
            try:
                message = self._heard.get(timeout=_LIMIT_S)
            except queue.Empty:
                raise AssertionError(f"it does not answer: {seen}") from None
            seen.append(message)
            if getattr(message, "event_type", None) == "ProgramOutput":
                self.output += message.data
            if is_it(message):
                return message

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            is_message = line.startswith(self._common.MESSAGE_MARKER)
            self._heard.put(self._common.parse_message(line) if is_message else line)
