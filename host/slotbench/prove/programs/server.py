"""The programs' server on this machine: HTTP, MQTT and lines on one port, datagrams on the same one."""

from __future__ import annotations

import socket
import socketserver
import threading
from types import TracebackType
from typing import Final, Self

__all__ = ["ProgramServer"]

_PAGE: Final = b"lamp is on"
_CONNECT, _PUBLISH, _SUBSCRIBE, _PING = 0x10, 0x30, 0x82, 0xC0
_TIMEOUT_S: Final = 20.0


class ProgramServer:
    """Listens at `port` of 127.0.0.1 while its context is open; a thread for each connection.

    The first byte of a connection tells what it speaks. Lines come back in capitals, datagrams reversed, and
    what is published by MQTT goes back to its publisher. `served` counts pages and publications.
    """

    def __init__(self) -> None:
        self._tcp = _LineServer(("127.0.0.1", 0), _Conversation)
        self._tcp.program_server = self
        self.served = 0
        self.port: int = self._tcp.server_address[1]
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", self.port))
        self._threads = [
            threading.Thread(target=target, daemon=True)
            for target in (self._tcp.serve_forever, self._serve_datagrams)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None,
    ) -> None:
        self._tcp.shutdown()
        self._tcp.server_close()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.1", self.port))
        for thread in self._threads:
            thread.join()
        self._udp.close()

    def _serve_datagrams(self) -> None:
        while (received := self._udp.recvfrom(1024))[0]:
            self._udp.sendto(received[0][::-1], received[1])


class _LineServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    program_server: ProgramServer


class _Conversation(socketserver.StreamRequestHandler):
    timeout = _TIMEOUT_S
    server: _LineServer

    def handle(self) -> None:
        try:
            first = self.rfile.peek(1)[:1]  # type: ignore[attr-defined]
            if first in (b"G", b"P"):
                self._serve_page()
            elif first == bytes((_CONNECT,)):
                self._serve_mqtt()
            else:
                for line in self.rfile:
                    self.wfile.write(line.upper())
        except OSError:
            pass  # the board is gone

    def _serve_page(self) -> None:
        method, length = self.rfile.readline().split()[0], 0
        while (line := self.rfile.readline()).strip():
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        self.server.program_server.served += 1
        body = self.rfile.read(length) if method == b"POST" else _PAGE
        head = f"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
        self.wfile.write(head.encode() + body)

    def _serve_mqtt(self) -> None:
        while head := self.rfile.read(1):
            length, shift = 0, 0
            while (byte := self.rfile.read(1)[0]) & 0x80:
                length, shift = length | (byte & 0x7F) << shift, shift + 7
            body = self.rfile.read(length | byte << shift)
            if head[0] == _CONNECT:
                self.wfile.write(b"\x20\x02\0\0")
            elif head[0] == _SUBSCRIBE:
                self.wfile.write(b"\x90\x03" + body[:2] + b"\0")
            elif head[0] & 0xF0 == _PUBLISH:
                self._hand_back(head[0], body)
            elif head[0] == _PING:
                self.wfile.write(b"\xd0\0")

    def _hand_back(self, head: int, body: bytes) -> None:
        self.server.program_server.served += 1
        end = 2 + int.from_bytes(body[:2], "big")
        topic, quality = body[:end], head >> 1 & 3
        data = body[end + 2 :] if quality else body[end:]
        if quality:
            self.wfile.write(b"\x40\x02" + body[end : end + 2])
        self.wfile.write(bytes((_PUBLISH, len(topic) + len(data))) + topic + data)
