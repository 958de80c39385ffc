"""A network that answers HTTP/1.1 by calling a WSGI application: no sockets, no threads, no real
time.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any
from urllib.parse import unquote_to_bytes

from slotbench.vboard.network.base import ECONNRESET, Network, RadioLink, TcpStream, parse_head
from slotbench.vboard.signals import BenchViolation, DeviceOSError

__all__ = ["WsgiApp", "WsgiNetwork"]

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
"""PEP 3333; written out because Flask's is not a subtype of wsgiref.types.WSGIApplication."""

_ADDRESS = "10.0.0.2"
_BODYLESS = (204, 304)


class WsgiNetwork(Network):
    """Every name resolves, every port answers, and `app` answers every request."""

    def __init__(self, app: WsgiApp, link: RadioLink | None = None) -> None:
        super().__init__(link)
        self.app = app

    def _resolve(self, host: str) -> str:
        return _ADDRESS

    def _connect(self, host: str, port: int, timeout_ms: int | None) -> TcpStream:
        return _WsgiStream(self, port)


class _WsgiStream:
    """A kept-alive connection to the application."""

    def __init__(self, network: WsgiNetwork, port: int) -> None:
        self._network = network
        self._port = port
        self._asked = b""
        self._answers = memoryview(b"")
        self._hung_up = False

    def write(self, data: bytes) -> int:
        if self._hung_up:
            raise DeviceOSError(ECONNRESET)
        self._asked += data
        while not self._hung_up and (request := self._next_request()) is not None:
            self._answers = memoryview(bytes(self._answers) + self._answer(*request))
        return len(data)

    def readinto(self, view: memoryview, *, patient: bool = True) -> int | None:
        count = min(len(view), len(self._answers))
        if count == 0 and len(view):
            return 0 if self._hung_up else None
        view[:count] = self._answers[:count]
        self._answers = self._answers[count:]
        return count

    def readable(self) -> bool:
        return self._hung_up or bool(self._answers)

    def close(self) -> None:
        self._hung_up = True
        self._answers = memoryview(b"")

    def _next_request(self) -> tuple[str, dict[str, str], bytes] | None:
        """Take one whole request off what was sent: its first line, its fields, its body."""
        head, end, rest = self._asked.partition(b"\r\n\r\n")
        if not end:
            return None
        first, fields = parse_head(head)
        length = int(fields.get("content-length", "0"))
        if len(rest) < length:
            return None
        self._asked = rest[length:]
        return first, fields, rest[:length]

    def _answer(self, first: str, fields: dict[str, str], body: bytes) -> bytes:
        """Call the application; return the bytes of the answer."""
        method, target, version = first.split(" ")
        environ = _environ(method, target, version, fields, body, self._port)
        started: list[tuple[str, list[tuple[str, str]]]] = []
        pieces: list[bytes] = []

        def start_response(
            status: str,
            headers: list[tuple[str, str]],
            exc_info: tuple[type[BaseException], BaseException, TracebackType] | None = None,
        ) -> Callable[[bytes], None]:
            started[:] = [(status, headers)]
            return pieces.append

        try:
            result = self._network.app(environ, start_response)
            try:
                pieces += result
            finally:
                close = getattr(result, "close", None)
                if close is not None:
                    close()
        except Exception as error:
            raise BenchViolation(f"the WSGI application failed at {method} {target}: {error!r}") from error
        status, headers = started[0]
        named = {name.lower() for name, _ in headers}
        answer = b"".join(pieces)
        if method == "HEAD" or int(status[:3]) in _BODYLESS:
            answer = b""
        elif "content-length" not in named:
            headers = [*headers, ("Transfer-Encoding", "chunked")]
            answer = (b"%x\r\n%b\r\n" % (len(answer), answer) if answer else b"") + b"0\r\n\r\n"
        if fields.get("connection", "").lower() == "close" or version == "HTTP/1.0":
            headers = [*headers, ("Connection", "close")]
            self._hung_up = True
        lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers)]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + answer


def _environ(
    method: str, target: str, version: str, fields: dict[str, str], body: bytes, port: int
) -> dict[str, Any]:
    path, _, query = target.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "SERVER_NAME": fields.get("host", _ADDRESS).partition(":")[0],
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": version,
        "REMOTE_ADDR": "10.0.0.3",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in fields.items():
        key = name.upper().replace("-", "_")
        environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value
    return environ
