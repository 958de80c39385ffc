"""The HTTP server of an application. It runs in its own thread."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Iterable
from threading import Event, Thread
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

from waitress import wasyncore

from slotbench.errors import USAGE, BenchError
from slotbench.server.connections import BoardListener, new_workers

_LOOP_S: Final = 30.0
_DAY_S: Final = 86400.0
_NOTICE_S: Final = 0.5
"""How soon Ctrl-C is noticed where it ends no wait for a thread: on Windows."""
_SAFE: Final = "/!$&'()*+,;=:@-._~"
_LOOPBACK: Final = "127.0.0.1"

_log = logging.getLogger(__name__)

WsgiApp = Callable[..., Iterable[bytes]]


class BackgroundServer:
    """A server that runs in a thread while its context is entered.

    With `port` 0 it takes a free port; `url` and `port` are known from construction on. `local_app` is served
    at another place, `local_host` and `local_port`, by threads of its own: by itself to this computer alone,
    and no reverse proxy in front of `port` reaches it. Construction raises BenchError (usage) if the server
    cannot listen there. When the context is left, the ports are closed and all threads have ended.
    """

    def __init__(
        self, app: WsgiApp, host: str = _LOOPBACK, port: int = 0, *, local_app: WsgiApp | None = None,
        local_host: str = _LOOPBACK, local_port: int = 0,
    ) -> None:
        self.host, self.local_host = host, local_host
        self._sockets = [_open_listener(host, port)]
        self._apps = [app]
        if local_app is not None:
            try:
                self._sockets.append(_open_listener(local_host, local_port))
            except BenchError:
                self._sockets[0].close()
                raise
            self._apps.append(local_app)
        self.port, self.local_port = (
            each.getsockname()[1] for each in (self._sockets[0], self._sockets[-1]))
        self._channels: dict[int, Any] = {}
        self._stopping = False
        self._told_to_stop = Event()
        self._thread = Thread(target=self._serve, name="slotbench-server")

    @property
    def url(self) -> str:
        """http://host:port, for the `server` setting of a board."""
        return _url(self.host, self.port)

    @property
    def local_url(self) -> str:
        """Where `local_app` is."""
        return _url(self.local_host, self.local_port)

    def __enter__(self) -> Self:
        # What people look at takes no thread from boards.
        self._workers = [new_workers() for _ in self._apps]
        self._listeners = [
            BoardListener(_Logged(app), each, self._channels, workers)
            for app, each, workers in zip(self._apps, self._sockets, self._workers, strict=True)]
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None,
    ) -> None:
        self._listeners[0].trigger.pull_trigger(self._stop)
        self._told_to_stop.set()
        self._thread.join()

    def wait(self, look: Callable[[], object] = lambda: None, every_s: float = _DAY_S) -> None:
        """Block until the server ends. It ends on KeyboardInterrupt only. `look` is called every `every_s`
        seconds.
        """
        next_s = time.monotonic() + every_s
        while self._thread.is_alive():
            self._thread.join(_NOTICE_S)
            if time.monotonic() >= next_s:
                next_s += every_s
                look()

    def _stop(self) -> None:
        """Called in the server's thread: nothing is closed before."""
        self._stopping = True

    def _serve(self) -> None:
        while not self._stopping:
            wasyncore.loop(_LOOP_S, use_poll=True, map=self._channels, count=1)
        self._told_to_stop.wait()  # the other thread may be about to write to the pipe that is closed below
        for workers in self._workers:
            workers.shutdown()  # before the pipe closes that they write to
        wasyncore.close_all(self._channels, ignore_all=True)


class _Logged:
    """A WSGI application, with a line in the log for each request; a defect in it is a response 500."""

    def __init__(self, app: WsgiApp) -> None:
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = quote(environ["PATH_INFO"].encode("latin-1"), safe=_SAFE)
        request = f"{environ['REQUEST_METHOD']} {path} {environ['SERVER_PROTOCOL']}"
        line = f'{environ["REMOTE_ADDR"]} "{request}"'

        def start_logged(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            _log.info("%s %s", line, status.partition(" ")[0])
            return start_response(status, headers, *rest)

        try:
            return self._app(environ, start_logged)
        except Exception:
            _log.exception("defect while answering %s", line)
            start_response("500 Internal Server Error", [("Content-Length", "0")])
            return []


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    try:
        _open_listener(host, port).close()
    except BenchError:
        return False
    return True


def _url(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _open_listener(host: str, port: int) -> socket.socket:
    """Open a listening socket. Raises BenchError (usage)."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        # create_server adds the address to the text of the system's errors.
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise BenchError(
            f"cannot listen ({reason})", where=f"{host}:{port}",
            cure="choose another --port or --host", exit_code=USAGE,
        ) from None
