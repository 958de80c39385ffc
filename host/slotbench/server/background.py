"""The threaded HTTP/1.1 server for the application. It runs in its own thread."""

from __future__ import annotations

import logging
import os
import socket
from contextlib import suppress
from http import HTTPStatus
from threading import Lock, Thread
from types import TracebackType
from typing import Any, Self

from flask import Flask
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler
from werkzeug.wrappers import Response

from slotbench.errors import USAGE, BenchError

IDLE_S = 60
"""Seconds that a connection may be idle, between requests or while a board reads a piece of a response."""

_PIECE_BYTES = 64 * 1024
_POLL_S = 0.05

_log = logging.getLogger(__name__)


class _KeepAliveHandler(WSGIRequestHandler):
    """One connection. It stays open between requests, so a board fetches all blocks over one connection.

    Werkzeug's own `run_wsgi` closes the connection after each response, because it reads on to drain the body
    of the request. Requests here have no body. After a request with a body the connection is closed.
    """

    protocol_version = "HTTP/1.1"
    timeout = IDLE_S
    disable_nagle_algorithm = True

    def run_wsgi(self) -> None:
        has_body = self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers
        if has_body:
            self.close_connection = True
        environ = self.make_environ()
        try:
            response = Response.from_app(self.server.app, environ, buffered=True)
        except Exception:
            _log.exception("defect while answering %s", self.requestline)
            response = Response("", HTTPStatus.INTERNAL_SERVER_ERROR)
        self._send_response(response)

    def _send_response(self, response: Response) -> None:
        body = response.get_data()
        self.send_response(response.status_code)
        for key, value in response.headers:
            self.send_header(key, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command == "HEAD":
            return
        # A socket's timeout applies to each write. With pieces it sets the slowest rate that is allowed.
        for start in range(0, len(body), _PIECE_BYTES):
            self.wfile.write(body[start:start + _PIECE_BYTES])

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        status = code.value if isinstance(code, HTTPStatus) else code
        line = self.requestline.translate(self._control_char_table)
        self.log("info", '"%s" %s', line, status)

    def log(self, type: str, message: str, *args: Any) -> None:
        _log.info("%s " + message, self.client_address[0], *args)


class _ThreadedServer(ThreadedWSGIServer):
    """A server with a thread for each connection.

    It joins all of them on closing, even with silent clients.
    """

    daemon_threads = False

    def __init__(self, app: Flask, listener: socket.socket) -> None:
        host, port = listener.getsockname()[:2]
        super().__init__(host, port, app, _KeepAliveHandler, fd=listener.fileno())
        self._open: set[Any] = set()
        self._open_lock = Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        _log.exception("defect while serving %s", client_address[0])

    def close_connections(self) -> None:
        """Close all connections, which ends their threads."""
        with self._open_lock:
            for request in self._open:
                with suppress(OSError):
                    request.shutdown(socket.SHUT_RDWR)


class BackgroundServer:
    """A server that runs in a thread while its context is entered.

    With `port` 0 it takes a free port; `url` and `port` are known from construction on. Construction raises
    BenchError (usage) if the server cannot listen there. When the context is left, the port is closed and all
    threads have ended.
    """

    def __init__(self, app: Flask, host: str = "127.0.0.1", port: int = 0) -> None:
        with _open_listener(host, port) as listener:
            self._server = _ThreadedServer(app, listener)
        self.host = host
        self.port: int = self._server.port
        self._thread = Thread(target=self._server.serve_forever, args=(_POLL_S,), name="slotbench-server")

    @property
    def url(self) -> str:
        """http://host:port, for the `server` setting of a board."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.close_connections()
        self._thread.join()

    def wait(self) -> None:
        """Block until the server ends. It ends on KeyboardInterrupt only."""
        self._thread.join()


def _open_listener(host: str, port: int) -> socket.socket:
    """Open a listening socket. Werkzeug itself would print and exit the process on failure."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        # create_server adds the address to the text of the system's errors.
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise BenchError(
            f"cannot listen ({reason})", where=f"{host}:{port}",
            cure="choose another --port or --host", exit_code=USAGE,
        ) from None
