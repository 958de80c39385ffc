"""A board that runs under `live_runner` while somebody presses buttons: in one thread, with time made up."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from slotbench.flashing.plan import Firmware, factory_writes
from slotbench.vboard.factory import board_files, factory_flash
from slotbench.vboard.firmware import Behaviour
from slotbench.vboard.live.control_socket import ControlRequest, ControlSocket
from slotbench.vboard.live.folder import BoardFolder
from slotbench.vboard.live.runner import LiveRunner
from slotbench.vboard.network.base import Network, NoNetwork
from support.vboard.flash import generic, image

ID = bytes.fromhex("0a1b2c3d")
QUIET = "import time\nwhile True:\n    time.sleep(1)\n"
SETTINGS = {"product": "lamp", "board": "generic_4m", "channel": "stable", "server": "http://updates.lan"}


def make_folder(path: Path, main: str = QUIET, does: Behaviour = Behaviour.HEALTHY, **files: str) -> BoardFolder:
    """A board of 48 KB firmware 1.0.0 with this main.py; `files` are further ones, by name without .py."""
    first = Firmware(data=image("1.0.0", does), product="lamp", version="1.0.0", counter=1)
    flash = factory_flash(generic(), [(write.offset, write.data) for write in factory_writes(generic(), first)])
    content = board_files(SETTINGS, b"", main=main)
    content |= {f"/{name}.py": text.encode() for name, text in files.items()}
    return BoardFolder.create(path, "generic_4m", flash, content, unique_id=ID)


class ControlClient:
    """A client of the control socket, with one request."""

    def __init__(self, path: Path, text: bytes) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(str(path))
        self._socket.sendall(text)
        self._lines: list[bytes] = []

    def hang_up(self) -> None:
        self._socket.close()

    def read(self) -> None:
        """Take all of the answer; the board's side is over."""
        if self._socket.fileno() >= 0:
            self._socket.settimeout(60)
            with self._socket, self._socket.makefile("rb") as lines:
                self._lines = list(lines)

    def answer(self) -> tuple[str, dict[str, Any]]:
        """The printed text, and the end: {"facts": ...} or {"error": ...}."""
        messages = [json.loads(line) for line in self._lines]
        assert messages, "no answer"
        return "".join(message.get("text", "") for message in messages[:-1]), messages[-1]

    def facts(self) -> dict[str, Any]:
        """The facts of an answer that is not an error."""
        end = self.answer()[1]
        assert "facts" in end, end
        found: dict[str, Any] = end["facts"]
        return found

    def refusal(self) -> str:
        """What an answer that is an error says was wrong."""
        return str(self.answer()[1]["error"]["what"])


class LiveBench:
    """A runner, its made-up real time, and what is on the screen: `shown`, pairs of second and text.

    `at(second, act)` has `act` done at that real second. It ends when nothing is left to do and the board
    waits for ever, or when the runner ends by itself.
    """

    def __init__(
        self, folder: BoardFolder, network: Network | None = None, *, speed: float | None = 1
    ) -> None:
        self.folder = folder
        self.real = 0.0
        self.shown: list[tuple[float, str]] = []
        self.control = ControlSocket(folder.socket_path)
        self.runner = LiveRunner(
            folder, network if network is not None else NoNetwork(), speed=speed, now=lambda: self.real,
            poll=self._poll, say=lambda text: self.shown.append((self.real, text)))
        self.board = self.runner.board
        self._acts: list[tuple[float, Callable[[], object]]] = []
        self._people: list[ControlClient] = []

    def at(self, second: float, act: Callable[[], object]) -> None:
        self._acts.append((second, act))
        self._acts.sort(key=lambda timed: timed[0])

    def request(self, second: float, **fields: Any) -> Iterator[ControlClient]:
        """Make a request at that second; `next()` of the result is its client, once the response ended."""
        asked: list[ControlClient] = []
        request = json.dumps(fields).encode() + b"\n"

        def act() -> None:
            asked.append(ControlClient(self.folder.socket_path, request))
            self._people += asked

        self.at(second, act)
        return (person for person in asked)

    def run(self, for_s: float | None = None) -> str:
        """Run to the end; what was shown."""
        try:
            with self.control:
                self.runner.run(for_s)
        finally:
            for person in self._people:
                person.read()
        return self.text

    @property
    def text(self) -> str:
        return "".join(text for _, text in self.shown)

    def request_when(self, words: str) -> float:
        """The real second at which this was shown first."""
        return next(second for second, text in self.shown if words in text)

    def _poll(self, seconds: float | None) -> ControlRequest | None:
        if self._acts and (seconds is None or self._acts[0][0] <= self.real + seconds):
            second, act = self._acts.pop(0)
            self.real = max(self.real, second)
            act()
        elif seconds is None:
            self.runner.stop()
        else:
            self.real += seconds
        # Connecting, and what is sent over the connection, are two events.
        return self.control.poll(0) or self.control.poll(0)


def saved(folder: BoardFolder) -> bytes:
    """The flash as it is on disk."""
    return folder.flash_path.read_bytes()
