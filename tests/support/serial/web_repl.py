"""A WebREPL in front of a virtual board's serial port: its prompt is the board's own, files are put into the board.

What it does at each step is what MicroPython's modwebrepl.c and webrepl.py do; tests/chip has the real ones.
"""

from __future__ import annotations

import base64
import hashlib
import re
import select
import socket
import struct
import threading
from collections.abc import Callable, MutableMapping
from types import TracebackType
from typing import Self

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
REQUEST = struct.Struct("<2sBBQLH64s")


class WebReplBridge:
    """Listens at `address`; `board` is the raw TCP port of the board's UART, `files` its files by path.

    After a soft reset it listens again once the board says `ready`, as a real one does once boot.py has started
    it. The connection is cut once, after `cut_after` bytes from the client.
    """

    def __init__(
        self, board: str, files: Callable[[], MutableMapping[str, bytes]], *, ready: bytes = b"", password: str = "secret",
        version: tuple[int, int, int] = (1, 26, 0),
    ) -> None:
        self._uart = socket.create_connection(("127.0.0.1", int(board.rpartition(":")[2])))
        self._files = files
        self._ready = ready
        self._password, self._version = password.encode(), bytes(version)
        self.cut_after: int | None = None
        self.cuts = 0
        self.put: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self._listener.getsockname()[1]
        self._stop, self._stopped = socket.socketpair()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None,
    ) -> None:
        self._stop.send(b"\0")
        self._thread.join(30)
        for each in (self._uart, self._listener, self._stop, self._stopped):
            each.close()

    def _serve(self) -> None:
        while True:
            ready = select.select([self._listener, self._stopped], [], [])[0]
            if self._stopped in ready:
                return
            peer, _ = self._listener.accept()
            with peer:
                session = _Session(self, peer, self._uart)
                try:
                    session.run()
                except (ConnectionError, _ConnectionOver):
                    pass
            if session.restarted:
                self._await_ready(session.said_after)

    def _await_ready(self, said: bytes) -> None:
        """Nobody is listened to before the board has started."""
        while self._ready not in said:
            ready = select.select([self._uart, self._stopped], [], [])[0]
            if self._stopped in ready:
                return
            said += self._uart.recv(4096)

    def check_password(self, given: bytes) -> bool:
        return given == self._password

    @property
    def version(self) -> bytes:
        return self._version

    def store(self, path: str, data: bytes) -> None:
        self.put.append(path)
        self._files()["/" + path.lstrip("/")] = data

    def count(self, data: bytes) -> None:
        """So much came from the client. Raises _ConnectionOver where the connection is to be cut."""
        if self.cut_after is not None:
            self.cut_after -= len(data)
            if self.cut_after < 0:
                self.cut_after = None
                self.cuts += 1
                raise _ConnectionOver

    def listens_to_stop(self) -> socket.socket:
        return self._stopped


class _ConnectionOver(Exception):
    """The connection is over."""


class _Session:
    def __init__(self, bridge: WebReplBridge, peer: socket.socket, uart: socket.socket) -> None:
        self._bridge, self._peer, self._uart = bridge, peer, uart
        self._held = b""
        self._typed: bytes | None = b""  # None: logged in
        self._said = b""
        self._record = b""
        self._path: str | None = None
        self._size = 0
        self.restarted = False
        self.said_after = b""

    def run(self) -> None:
        while b"\r\n\r\n" not in self._held:
            self._held += self._received()
        head, _, self._held = self._held.partition(b"\r\n\r\n")
        key = re.search(rb"Sec-WebSocket-Key: (\S+)", head)
        if key is None:
            self._peer.sendall(b"HTTP/1.0 200 OK\r\n\r\n<html>")
            raise _ConnectionOver
        accept = base64.b64encode(hashlib.sha1(key[1] + GUID).digest())
        self._peer.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        self._tell(b"Password: ")
        while select.select([self._uart], [], [], 0)[0]:
            self._uart.recv(4096)  # what was said to nobody
        while True:
            self._take_frames()
            ready = select.select([self._peer, self._uart, self._bridge.listens_to_stop()], [], [])[0]
            if self._bridge.listens_to_stop() in ready:
                raise _ConnectionOver
            if self._uart in ready:
                self._from_board()
            if self._peer in ready:
                self._held += self._received()

    def _from_board(self) -> None:
        data = self._uart.recv(4096)
        if not data:
            raise _ConnectionOver
        if self._typed is None:
            self._tell(data)
        self._said = self._said[-64:] + data
        if b"soft reboot" in self._said:
            self.restarted, self.said_after = True, self._said.partition(b"soft reboot")[2]
            raise _ConnectionOver  # the socket is among what a soft reset sweeps away

    def _take_frames(self) -> None:
        while len(self._held) >= 6:
            size, at = self._held[1] & 0x7F, 2
            if size == 126:
                size, at = int.from_bytes(self._held[2:4], "big"), 4
            if len(self._held) < at + 4 + size:
                return
            mask, data = self._held[at : at + 4], self._held[at + 4 : at + 4 + size]
            kind, self._held = self._held[0] & 0xF, self._held[at + 4 + size :]
            content = bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))
            self._text(content) if kind == 1 else self._binary(content)

    def _text(self, data: bytes) -> None:
        if self._typed is None:
            self._uart.sendall(data)
            return
        self._typed += data
        if self._typed.endswith(b"\r"):
            if not self._bridge.check_password(self._typed[:-1]):
                self._tell(b"\r\nAccess denied\r\n")
                raise _ConnectionOver
            self._typed = None
            self._tell(b"\r\nWebREPL connected\r\n>>> ")

    def _binary(self, data: bytes) -> None:
        self._record += data
        if self._path is None and len(self._record) >= REQUEST.size:
            _, operation, _, _, self._size, _, name = REQUEST.unpack(self._record[: REQUEST.size])
            self._record = self._record[REQUEST.size :]
            if operation == 3:
                self._frame(2, self._bridge.version)
                return
            self._path = name.rstrip(b"\0").decode()
            self._bridge.store(self._path, b"")  # open("wb")
            self._frame(2, b"WB\0\0")
        if self._path is not None and len(self._record) >= self._size:
            self._bridge.store(self._path, self._record)
            self._record, self._path = b"", None
            self._frame(2, b"WB\0\0")

    def _tell(self, data: bytes) -> None:
        for start in range(0, len(data), 100):
            self._frame(1, data[start : start + 100])

    def _frame(self, kind: int, data: bytes) -> None:
        self._peer.sendall(bytes((0x80 | kind, len(data))) + data)

    def _received(self) -> bytes:
        data = self._peer.recv(4096)
        if not data:
            raise _ConnectionOver
        self._bridge.count(data)
        return data
