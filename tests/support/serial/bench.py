"""A virtual board on a serial port that other programs open: served by a thread of its own, in real time."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from slotbench import boards
from slotbench.flashing.plan import Firmware, factory_writes
from slotbench.formats.segments import pack_ram_part
from slotbench.images.frozen import twoslot_number
from slotbench.vboard.board import VirtualBoard
from slotbench.mpy.pack import packed_files
from slotbench.repl import package
from slotbench.repl.first_application import no_application
from slotbench.vboard.factory import board_files, factory_flash
from slotbench.vboard.firmware import SMALLEST_BYTES, build, for_board
from slotbench.vboard.live.control_socket import ControlSocket, request_facts
from slotbench.vboard.live.folder import BoardFolder
from slotbench.vboard.live.runner import LiveRunner
from slotbench.vboard.network.base import Network, NoNetwork
from slotbench.vboard.serial.uart import Uart
from slotbench.vboard.signals import PowerCut
from slotbench.vboard.vms import VMS
from support.live.bench import ID, QUIET, SETTINGS
from support.programs.pool import python
from support.vboard.flash import image

LIMIT_S = 180
"""No client takes this long; one that does is hung."""
_MOMENT_S = 0.05


def stand_in_loader() -> bytes:
    """An E9 image where slotboot would be; the virtual board boots through the loader's model."""
    return pack_ram_part([(0x4010E000, bytes(range(256)))], 0x4010E000, flash_mode=0, size_freq=0)


def plain_folder(path: Path, *, frozen: tuple[str, ...] = ()) -> BoardFolder:
    """A board set up by `slotbench flash`: 1.0.0 in slot A, a main.py in a LittleFS, no twoslot on it.

    `frozen` are frozen modules of its firmware.
    """
    board = boards.load("generic_4m")
    data = build("1.0.0", size=SMALLEST_BYTES, frozen=frozen) if frozen else image("1.0.0")
    first = Firmware(
        data=data, product="lamp", version="1.0.0", counter=1, twoslot=twoslot_number(frozen))
    flash = factory_flash(board, [(write.offset, write.data) for write in factory_writes(board, first)])
    flash.poke(board.filesystem.start, b"\xff" * board.filesystem.size)
    return BoardFolder.create(path, board.name, flash, {"/main.py": QUIET.encode()}, unique_id=ID)


def put_package(folder: BoardFolder) -> None:
    """Put twoslot's own files there, as after a deploy that was interrupted: the next one copies the others."""
    for name, data in (package.package_files() | package.hook_file()).items():
        place = folder.files_path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)


def stock_folder(path: Path, files: Mapping[str, bytes]) -> BoardFolder:
    """An ESP-01S with stock firmware, these files in its LittleFS, and no twoslot on it."""
    board = boards.load("esp01s_1m")
    flash = factory_flash(board, [(0, stock_firmware())])
    flash.poke(board.fs_start, b"\xff" * board.filesystem.size)
    return BoardFolder.create(path, board.name, flash, files, unique_id=ID)


def stock_folder_with_twoslot(path: Path, main: str) -> BoardFolder:
    """The same after `slotbench deploy`: twoslot is one file, and waits for its first application."""
    bundled = {f"/{path}": data for path, data in {**packed_files(), **no_application()}.items()}
    own = {path: data for path, data in board_files(SETTINGS | {"board": "esp01s_1m"}, b"", main=main).items()
           if not path.startswith("/twoslot/")}
    return stock_folder(path, own | bundled)


def stock_firmware() -> bytes:
    """What is on such a board."""
    return for_board(boards.load("esp01s_1m"), "1.0.0", size=SMALLEST_BYTES)[0]


class PulledUart(Uart):
    """A serial port whose cable is pulled after `pull_after` bytes from the host, once; and put back at once."""

    pull_after: int | None = None
    pulls = heard_bytes = 0

    def arrived(self, transport: object, data: bytes) -> None:
        super().arrived(transport, data)  # type: ignore[arg-type]
        self.heard_bytes += len(data)
        if self.pull_after is not None:
            self.pull_after -= len(data)

    def serve(self) -> None:
        try:
            super().serve()
        except PowerCut:
            self._pull()
            raise
        if self.pull_after is not None and self.pull_after < 0:
            self._pull()

    def _pull(self) -> None:
        self.pull_after = None
        self.pulls += 1
        for transport in list(self.transports):
            self.hung_up(transport)
            transport.close()
            self.transports.remove(transport)
            self.open_pty(Path(transport.name))


class SerialBench:
    """The board of a folder, switched on while this is entered; `port` is its pty."""

    def __init__(
        self, folder: BoardFolder, *, tcp: bool = False, rfc2217: bool = False, vm: str = "cpython",
        network: Network | None = None, speed: float = 1000,
    ) -> None:
        self.port = str(folder.path.parent / "tty")
        self.uart = PulledUart(time.monotonic)
        self.uart.open_pty(Path(self.port))
        if tcp:
            self.uart.open_tcp(0)
        if rfc2217:
            self.uart.open_rfc2217(0)
        self.urls = [transport.name for transport in self.uart.transports[1:]]
        self._said = ""
        self._stopped = False
        self._news = threading.Condition()
        self._wake, woken = socket.socketpair()
        self._woken = woken
        self._control = ControlSocket(folder.socket_path, woken.fileno(), self.uart.fileno())
        self.runner = LiveRunner(
            folder, network if network is not None else NoNetwork(), speed=speed, now=time.monotonic,
            poll=self._control.poll, say=self._hear, uart=self.uart, vm=VMS[vm])
        self._thread = threading.Thread(target=self.runner.run)

    @property
    def board(self) -> VirtualBoard:
        return self.runner.board

    def _hear(self, text: str) -> None:
        with self._news:
            self._said += text
            self._news.notify_all()

    def said(self, words: str) -> int:
        """How often the board's console had `words`."""
        return self._said.count(words)

    def wait_for(self, words: str, times: int = 1) -> None:
        """Wait until the board's console had `words` so many times."""
        with self._news:
            assert self._news.wait_for(lambda: self.said(words) >= times, LIMIT_S), self._said

    def wait_until_ms(self, ms: int) -> None:
        """Wait until the board's clock shows this time."""
        with self._news:
            for _ in range(round(LIMIT_S / _MOMENT_S)):
                if self.board.clock.ms >= ms:
                    return
                self._news.wait(_MOMENT_S)
        raise AssertionError(f"the board's clock stands at {self.board.clock.ms} ms")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Pull the plug; what the board's flash has is still to be looked at."""
        if self._thread.is_alive():
            self.runner.stop()
            self._wake.send(b"\0")
            self._thread.join(LIMIT_S)
            assert not self._thread.is_alive(), "the board does not come to its end"
        if self._stopped:
            return
        self._stopped = True
        self.uart.close()
        self._control.close()
        self._wake.close()
        self._woken.close()

    def power_on(self) -> None:
        """Put the plug back."""
        request_facts(self._control.path, {"command": "on"})

    def flash(self, start: int = 0, size: int | None = None) -> bytes:
        """What the cells have."""
        return self.board.flash.peek(start, size if size is not None else self.board.flash.size - start)


def esptool(port: str, *arguments: str | Path, fails: bool = False) -> str:
    """Run esptool, unmodified, on `port`; what it said."""
    command = [python(), "-m", "esptool", "--port", port, *map(str, arguments)]
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "120"}
    run = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    said = run.stdout + run.stderr
    assert (run.returncode != 0) is fails, said
    return said
