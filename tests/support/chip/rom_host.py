"""The host's side of the boot ROM's download mode: frames, requests, and esptool on a socket."""

from __future__ import annotations

import os
import select
import socket
import struct
import subprocess
import sys
import tempfile
import time
from functools import reduce
from operator import xor
from typing import Final

from support.chip.rom_programs import ProgramBoard

FLASH_BEGIN, FLASH_DATA, FLASH_END, MEMORY_BEGIN, MEMORY_END, MEMORY_DATA, SYNC, WRITE_REGISTER, READ_REGISTER = range(2, 11)
SYNC_DATA: Final = b"\x07\x07\x12\x20" + b"\x55" * 32
_ESPTOOL_S: Final = 180
_SLICE_US: Final = 2_000


class DownloadResponse(tuple[int, int, int, int]):
    """Operation, value, status, error."""


def escape(data: bytes) -> bytes:
    """A frame of SLIP."""
    return b"\xc0" + data.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc") + b"\xc0"


def request(operation: int, data: bytes, checksum: int = 0) -> bytes:
    """A request as esptool sends it."""
    return escape(struct.pack("<2BHI", 0, operation, len(data), checksum) + data)


def block(operation: int, data: bytes, number: int, checksum: int | None = None) -> bytes:
    """A request with a block of data."""
    own = reduce(xor, data, 0xEF) if checksum is None else checksum
    return request(operation, struct.pack("<4I", len(data), number, 0, 0) + data, own)


def responses(sent: bytes) -> list[DownloadResponse]:
    """All responses in what the chip sent."""
    frames = (it.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb") for it in sent.split(b"\xc0"))
    found = []
    for frame in frames:
        if len(frame) == 10 and frame[0] == 1:
            _, operation, size, value, status, error = struct.unpack("<2BHI2B", frame)
            assert size == 2
            found.append(DownloadResponse((operation, value, status, error)))
    return found


class DownloadHost:
    """A board in download mode and who talks to it."""

    def __init__(self, content: bytes = b"") -> None:
        self.board = ProgramBoard(content, straps=1)
        self.machine = self.board.machine
        self.board.run_to("boot mode:(1,0)\n\n")
        self.machine.run_us(1_000)

    def ask(self, *frames: bytes, count: int = 1, limit_us: int = 5_000_000) -> list[DownloadResponse]:
        """Send frames; the responses. Fails when there are not `count`."""
        self.board.sent.clear()
        for frame in frames:
            self.machine.uart_write(frame)
        self.machine.run_until(lambda: len(responses(self.board.sent)) >= count, limit_us)
        found = responses(self.board.sent)
        assert len(found) == count, (found, bytes(self.board.sent), self.machine.last_exception())
        return found

    def synchronize(self) -> list[DownloadResponse]:
        """What esptool begins with."""
        return self.ask(request(SYNC, SYNC_DATA), count=8)


def run_esptool(board: ProgramBoard, *arguments: str) -> str:
    """Run esptool on the board's UART until it ends; what it printed. Fails when it failed."""
    with socket.create_server(("127.0.0.1", 0)) as server, tempfile.TemporaryFile() as log:
        server.settimeout(_ESPTOOL_S)
        port = server.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-m", "esptool", "--port", f"socket://127.0.0.1:{port}", "--before", "no-reset",
             "--after", "no-reset", *arguments], stdout=log, stderr=subprocess.STDOUT, env=os.environ)
        try:
            connection, _ = server.accept()
            with connection:
                _serve(board, process, connection)
            code = process.wait(_ESPTOOL_S)
        finally:
            process.kill()
            process.wait()
        log.seek(0)
        printed = log.read().decode(errors="replace")
    assert code == 0, f"{printed}\n{board.machine.last_exception()}"
    return printed


def _serve(board: ProgramBoard, process: subprocess.Popen[bytes], connection: socket.socket) -> None:
    board.sent.clear()
    deadline, wait_s = time.monotonic() + _ESPTOOL_S, 0.0
    while process.poll() is None and time.monotonic() < deadline:
        if select.select([connection], [], [], wait_s)[0]:
            data = connection.recv(1 << 16)
            if not data:
                return
            board.machine.uart_write(data)
        board.machine.run_us(_SLICE_US)
        wait_s = 0.0 if board.sent or board.machine.uart_waiting else 0.001
        connection.sendall(bytes(board.sent))
        board.sent.clear()
