"""The raw prompt of a board on an open serial line: scripts and files without another program."""

from __future__ import annotations

import time
from binascii import b2a_base64
from collections.abc import Callable, Mapping
from typing import Any, Final

from slotbench.repl.raw_prompt import RawPrompt
from slotbench.repl.transports import CopyProgress

__all__ = ["SerialPrompt"]

_PIECE_BYTES: Final = 384
_OPEN: Final = """\
from binascii import a2b_base64
f = open(%r, "wb")
"""
_WRITE: Final = "f.write(a2b_base64(%r))\n"
_CLOSE: Final = "f.close()\n"


class SerialPrompt(RawPrompt):
    """The prompt on `line`, a port that is open; its reads return after a part of a second."""

    def __init__(self, line: Any, port: str, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__(port, now)
        self._line = line

    @property
    def is_connected(self) -> bool:
        """Whether the port is open."""
        return bool(self._line.is_open)

    def close(self) -> None:
        """Leave the port to its owner."""

    def put_files(
        self, folder: str, files: Mapping[str, bytes], progress: CopyProgress = lambda done, total: None,
    ) -> None:
        """Copy files, by name, into an existing folder. Raises BenchError."""
        done, total = 0, sum(map(len, files.values()))
        for name, data in files.items():
            script = _OPEN % f"{folder}/{name}"
            for start in range(0, len(data), _PIECE_BYTES):
                piece = data[start : start + _PIECE_BYTES]
                self.run_script(script + _WRITE % b2a_base64(piece, newline=False).decode())
                script = ""
                progress(done + start + len(piece), total)
            self.run_script(script + _CLOSE)
            done += len(data)

    def restart(self) -> None:
        """Start the program again; what it says is for `listen`. Raises BenchError."""
        self.soft_reset()
        self._await(b"soft reboot\r\n", "its restart")

    def listen(self) -> bytes:
        """What the board says now, after a part of a second at most. Raises OSError."""
        heard = bytes(self._text)
        self._text.clear()
        return heard or bytes(self._line.read(max(1, self._line.in_waiting)))

    def _transmit(self, data: bytes) -> None:
        self._line.write(data)

    def _pump(self, limit_s: float) -> None:
        end_s = self._now() + limit_s
        while not (data := self._line.read(max(1, self._line.in_waiting))):
            if self._now() > end_s:
                raise TimeoutError
        self._text += data
