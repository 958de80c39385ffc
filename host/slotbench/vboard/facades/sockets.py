"""socket and select, as ports/esp8266 and extmod/modlwip.c have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from slotbench.vboard.facades.datagrams import UdpSocket
from slotbench.vboard.network.base import EHOSTUNREACH, EINPROGRESS, ETIMEDOUT, TcpListener, TcpStream
from slotbench.vboard.runtime import CALL_US, Runtime
from slotbench.vboard.signals import DeviceOSError

__all__ = ["MODULES"]

_EBADF: Final = 9
_EAGAIN: Final = 11
_EALREADY: Final = 114
_EINVAL: Final = 22
_EISCONN: Final = 106
_ENOTCONN: Final = 107

_ACCEPT_LOOK_US: Final = 10_000
_ANY: Final = "0.0.0.0"
_PEER, _PEER_PORT = "10.0.0.9", 49152
"""Whoever connects to the board, as the board sees it."""

_SYN_US: Final = 18_000_000
"""After about this long lwIP gives up on a peer that never answers (TCP_SYNMAXRTX); an estimate."""

_SILENT_NAMES_MS: Final = 14_000
"""As long lwIP asks a silent name server (DNS_MAX_RETRIES); an estimate."""

_POLLIN, _POLLOUT, _POLLERR, _POLLHUP = 1, 4, 8, 16


def _socket(rt: Runtime) -> Mapping[str, Any]:
    def getaddrinfo(host: str, port: int, *hints: int) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        if host == _ANY:
            return [(2, 1, 0, "", (host, port))]
        ms = rt.network.name_ms if any(map(str.isalpha, host)) else rt.network.link.round_trip_ms
        rt.wait_us((_SILENT_NAMES_MS if ms is None else ms) * 1000)
        if not rt.is_associated() or ms is None:
            raise DeviceOSError(-2)
        return [(2, 1, 0, "", (rt.network.resolve(host), port))]

    return {
        "socket": lambda af=2, type=1, proto=0: UdpSocket(rt) if type == 2 else _BoardSocket(rt, type),
        "getaddrinfo": getaddrinfo,
        "AF_INET": 2,
        "AF_INET6": 10,
        "SOCK_STREAM": 1,
        "SOCK_DGRAM": 2,
        "SOCK_RAW": 3,
        "SOL_SOCKET": 1,
        "SO_REUSEADDR": 4,
        "IPPROTO_IP": 0,
    }


class _BoardSocket:
    """A TCP socket. Its read calls are MicroPython's streams (py/stream.c mp_stream_rw)."""

    def __init__(self, rt: Runtime, kind: int) -> None:
        if kind != 1:
            raise DeviceOSError(_EINVAL)
        self._rt = rt
        self._stream: TcpStream | None = None
        self._port: int | None = None
        self._listener: TcpListener | None = None
        self._waiting: TcpStream | None = None
        self._closed = False
        self._timeout_us: int | None = None
        self._connecting: tuple[int, TcpStream | DeviceOSError] | None = None
        """A connection under way: when it is decided, and what it comes to."""

    def settimeout(self, seconds: float | None) -> None:
        self._timeout_us = None if seconds is None else round(seconds * 1_000_000)

    def setblocking(self, blocking: bool) -> None:
        self._timeout_us = None if blocking else 0

    def setsockopt(self, *option: Any) -> None:
        pass

    def makefile(self, mode: str = "rwb", buffering: int = 0) -> _BoardSocket:
        return self

    def connect(self, address: tuple[str, int]) -> None:
        if self._closed:
            raise DeviceOSError(_EBADF)
        rt = self._rt
        if self._connecting is not None:
            rt.wait_us(CALL_US)
            self._settle(raises=False)
        if self._connecting is not None:
            raise DeviceOSError(_EALREADY)
        if self._stream is not None:
            raise DeviceOSError(_EISCONN)
        if not rt.is_associated():
            raise DeviceOSError(EHOSTUNREACH)
        if self._timeout_us == 0:
            self._begin_connecting(address)
            raise DeviceOSError(EINPROGRESS)
        ms = None if self._timeout_us is None else self._timeout_us // 1000
        try:
            stream = rt.network.connect(address[0], address[1], ms)
        except DeviceOSError as error:
            silent = error.errno == EINPROGRESS
            waits = _SYN_US if self._timeout_us is None else self._timeout_us
            rt.wait_us(waits if silent else self._round_trip_us())
            raise
        self._stream = stream
        rt.streams.append(stream)
        rt.wait_us(self._round_trip_us())

    def _begin_connecting(self, address: tuple[str, int]) -> None:
        """Without blocking: what it comes to shows after the round trip, or never."""
        rt = self._rt
        try:
            end: TcpStream | DeviceOSError = rt.network.connect(address[0], address[1], 0)
        except DeviceOSError as error:
            end = error
        silent = isinstance(end, DeviceOSError) and end.errno == EINPROGRESS
        us = _SYN_US if silent else self._round_trip_us()
        self._connecting = rt.clock.us + us, DeviceOSError(ETIMEDOUT) if silent else end

    def _settle(self, *, raises: bool = True) -> None:
        """Let a connection under way come about, or fail, if its time has come."""
        if self._connecting is None or self._rt.clock.us < self._connecting[0]:
            return
        end = self._connecting[1]
        if not isinstance(end, DeviceOSError):
            self._stream, self._connecting = end, None
            self._rt.streams.append(end)
        elif raises:
            raise end

    def bind(self, address: tuple[str, int]) -> None:
        if self._closed or self._stream is not None:
            raise DeviceOSError(_EBADF if self._closed else _EINVAL)
        self._port = address[1]

    def listen(self, backlog: int = 2) -> None:
        if self._port is None or self._listener is not None:
            raise DeviceOSError(_EINVAL)
        self._listener = self._rt.network.listen(self._port)
        self._rt.streams.append(self._listener)

    def accept(self) -> tuple[_BoardSocket, tuple[str, int]]:
        """lwip_socket_accept: without blocking, or with a time limit, nobody is an error."""
        rt = self._rt
        rt.soc.require_power()
        if self._listener is None:
            raise DeviceOSError(_EBADF if self._closed else _EINVAL)
        end_us = None if self._timeout_us is None else rt.clock.us + self._timeout_us
        # Who connects to a board that has no address does not reach it.
        while (stream := self._next_stream()) is None:
            rt.wait_us(CALL_US if self._timeout_us == 0 else _ACCEPT_LOOK_US)
            if end_us is not None and rt.clock.us >= end_us:
                raise DeviceOSError(_EAGAIN if self._timeout_us == 0 else ETIMEDOUT)
        taken = _BoardSocket(rt, 1)
        taken._stream = stream
        rt.streams.append(stream)
        rt.wait_us(self._round_trip_us())
        return taken, (_PEER, _PEER_PORT)

    def _next_stream(self) -> TcpStream | None:
        """Who connects: somebody whom `poll` has seen already, else the next one."""
        if self._waiting is None and self._listener is not None and self._rt.is_associated():
            return self._listener.accept()
        stream, self._waiting = self._waiting, None
        return stream

    def close(self) -> None:
        self._closed = True
        if self._waiting is not None:
            self._waiting.close()
            self._waiting = None
        for end in (self._stream, self._listener):
            if end is not None:
                end.close()
                self._rt.streams.remove(end)
        self._stream = self._listener = self._connecting = None

    def send(self, data: bytes | bytearray | memoryview) -> int:
        stream = self._connected()
        taken = stream.write(bytes(data))
        self._rt.wait_us(self._round_trip_us() + self._rt.network.link.transfer_us(taken))
        return taken

    def sendall(self, data: bytes | bytearray | memoryview) -> None:
        self.write(data)

    def write(self, data: bytes | bytearray | memoryview, length: int | None = None) -> int:
        view = memoryview(data)[:length]
        done = 0
        while done < len(view):
            done += self.send(view[done:])
        return done

    def recv(self, length: int) -> bytes:
        buffer = bytearray(length)
        return bytes(buffer[: self._receive(memoryview(buffer))])

    def readinto(self, buffer: bytearray | memoryview, length: int | None = None) -> int | None:
        """Fill the buffer: less at the end or, without blocking, when no more is there; None for
        nothing.
        """
        view = memoryview(buffer)[:length]
        done = 0
        while done < len(view):
            try:
                count = self._receive(view[done:], patient=not done)
            except DeviceOSError as error:
                if error.errno != _EAGAIN:
                    raise
                return done or None
            if count == 0:
                break
            done += count
        return done

    def read(self, length: int = -1) -> bytes | None:
        if length >= 0:
            buffer = bytearray(length)
            count = self.readinto(buffer)
            return None if count is None else bytes(buffer[:count])
        whole = bytearray()
        while piece := self.read(256):
            whole += piece
        return bytes(whole) if whole or piece is not None else None

    def readline(self) -> bytes | None:
        line = bytearray()
        while not line.endswith(b"\n"):
            byte = self.read(1)
            if byte is None and not line:
                return None
            if not byte:
                break
            line += byte
        return bytes(line)

    def poll(self) -> int:
        """What select.poll sees."""
        if self._listener is not None:
            if self._waiting is None and self._rt.is_associated():
                self._waiting = self._listener.accept()
            return _POLLIN if self._waiting is not None else 0
        self._settle(raises=False)
        if self._connecting is not None:
            return 0 if self._rt.clock.us < self._connecting[0] else _POLLOUT | _POLLERR
        if self._stream is None:
            return _POLLHUP
        try:
            return _POLLOUT | (_POLLIN if self._stream.readable() else 0)
        except DeviceOSError:
            return _POLLERR

    def _receive(self, view: memoryview, *, patient: bool = True) -> int:
        """lwip_tcp_receive: what is there, once."""
        self._settle()
        if self._connecting is not None:
            self._rt.poll()
            raise DeviceOSError(_EAGAIN)
        stream = self._connected()
        wait = self._timeout_us
        count = stream.readinto(view, patient=patient or wait != 0)
        if count is None:
            if wait == 0:
                self._rt.poll()
                raise DeviceOSError(_EAGAIN)
            self._rt.wait_us(wait)
            count = stream.readinto(view)
            if count is None:
                raise DeviceOSError(ETIMEDOUT)
        self._rt.wait_us(self._rt.network.link.transfer_us(count))
        return count

    def _connected(self) -> TcpStream:
        self._rt.soc.require_power()
        if self._stream is None:
            raise DeviceOSError(_EBADF if self._closed else _ENOTCONN)
        return self._stream

    def _round_trip_us(self) -> int:
        return self._rt.network.link.round_trip_ms * 1000


def _select(rt: Runtime) -> Mapping[str, Any]:
    return {
        "poll": lambda: _SocketPoll(rt),
        "POLLIN": _POLLIN, "POLLOUT": _POLLOUT, "POLLERR": _POLLERR, "POLLHUP": _POLLHUP,
    }


class _SocketPoll:
    """select.poll over sockets."""

    def __init__(self, rt: Runtime) -> None:
        self._rt = rt
        self._wanted: dict[int, tuple[_BoardSocket, int]] = {}

    def register(self, sock: _BoardSocket, events: int = _POLLIN | _POLLOUT) -> None:
        self._wanted[id(sock)] = (sock, events)

    def modify(self, sock: _BoardSocket, events: int) -> None:
        if id(sock) not in self._wanted:
            raise DeviceOSError(2)
        self.register(sock, events)

    def unregister(self, sock: _BoardSocket) -> None:
        self._wanted.pop(id(sock), None)

    def poll(self, timeout: int = -1) -> list[tuple[_BoardSocket, int]]:
        ready = self._ready()
        if not ready and timeout:
            self._wait(None if timeout < 0 else timeout * 1000)
            ready = self._ready()
        self._rt.wait_us(CALL_US)
        return ready

    ipoll = poll

    def _wait(self, us: int | None) -> None:
        """Until the time is over; standard input, or a socket that has something, ends it early."""
        stdin = next((each for each, wanted in self._wanted.values() if hasattr(each, "wait")), None)
        if stdin is not None or not self._wanted:
            (stdin.wait if stdin is not None else self._rt.wait_us)(us)
            return
        end_us = None if us is None else self._rt.clock.us + us
        while not self._ready() and (end_us is None or self._rt.clock.us < end_us):
            left_us = _ACCEPT_LOOK_US if end_us is None else end_us - self._rt.clock.us
            self._rt.wait_us(min(_ACCEPT_LOOK_US, left_us))

    def _ready(self) -> list[tuple[_BoardSocket, int]]:
        always = _POLLERR | _POLLHUP
        states = [(sock, sock.poll() & (wanted | always)) for sock, wanted in self._wanted.values()]
        return [(sock, state) for sock, state in states if state]


MODULES = {"socket": _socket, "select": _select}
