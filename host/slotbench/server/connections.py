"""The connections of the server: all of them in one thread, and room for a new one at any time.

waitress reads requests and sends responses in one thread, so a board that reads slowly, or not at all, holds
no other one up; its worker threads only look files up. What is left to decide is who goes when there are as
many connections as this process may have descriptors: of the address with the most connections, the one that
has been owed a response, or has been idle, for the longest. A board that loses one continues its download.

Chosen by measurement, with 200 readers that take a byte now and then from small socket buffers: gunicorn's
threads and cheroot's ten leave a poll unanswered for 5 s; gevent, granian and waitress answer in a
millisecond or two. With 400 readers and 256 descriptors all of them starve as they come, and only waitress
lets this module decide who goes (tests/host/test_server_load.py).
"""

from __future__ import annotations

import errno
import logging
import socket
import time
from collections import Counter
from contextlib import suppress
from importlib import import_module
from typing import Any, Final

from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, ThreadedTaskDispatcher, WSGITask
from waitress.utilities import build_http_date

__all__ = ["BoardListener", "connections_max", "new_workers", "raise_descriptor_limit"]

IDLE_S: Final = 60
"""Seconds that a connection may be idle, between requests or while a board reads nothing of a response."""
_THREADS: Final = 4
_CONNECTIONS_MAX: Final = 2000
_CONNECTIONS_MIN: Final = 8
_CONNECTIONS_SELECT: Final = 400
"""Where there is no limit to ask for: select() on Windows takes 512 sockets."""
_RESERVED: Final = 64
"""Descriptors for files, and for what the rest of the process opens meanwhile."""
_HEADER_BYTES_MAX: Final = 16 * 1024
_BODY_BYTES_MAX: Final = 64 * 1024
_ANY_SIZE: Final = 1 << 40
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

try:
    _resource: Any = import_module("resource")
except ImportError:  # Windows
    _resource = None

_log = logging.getLogger(__name__)
logging.getLogger("waitress").setLevel(logging.CRITICAL)  # what it has to say is said here


class _ResponseTask(WSGITask):  # type: ignore[misc]
    """One response, with the application's headers in their order.

    waitress itself sorts them, and closes the connection after each response without a body, such as 304.
    Every body of ours has a length.
    """

    def build_response_header(self) -> bytes:
        """The head of the response."""
        self.close_on_finish: bool
        headers = [
            (key, value) for key, value in self.response_headers
            if self.has_body or key.lower() != "content-length"]
        asked = self.request.headers.get("CONNECTION", "").lower()
        has_end = not self.has_body or self.content_length is not None
        stays = asked == "keep-alive" if self.version == "1.0" else asked != "close"
        if self.close_on_finish or not has_end or not stays:
            self.close_on_finish = True
            headers.append(("Connection", "close"))
        elif self.version == "1.0":
            headers.append(("Connection", "keep-alive"))
        headers.append(("Date", build_http_date(self.start_time)))
        lines = [f"HTTP/1.1 {self.status}", *(f"{key}: {value}" for key, value in headers)]
        return "\r\n".join((*lines, "", "")).encode("latin-1")


class _RefusalTask(ErrorTask):  # type: ignore[misc]
    """The answer to what is no request, or too long for one. It reaches no application: it is logged here."""

    def execute(self) -> None:
        error = self.request.error
        _log.warning("%s: a request was refused: %d %s", self.channel.addr[0], error.code, error.reason)
        super().execute()


class _BoardConnection(HTTPChannel):  # type: ignore[misc]
    """One connection. `waits_since` is when it last had all that it asked for, in monotonic seconds."""

    task_class = _ResponseTask
    error_task_class = _RefusalTask

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self.waits_since = time.monotonic()
        super().__init__(*arguments, **named)

    def service(self) -> None:
        super().service()
        self._settle()

    def handle_write(self) -> None:
        super().handle_write()
        self._settle()

    def _settle(self) -> None:
        if not self.total_outbufs_len and not self.requests:
            self.waits_since = time.monotonic()


class BoardListener(TcpWSGIServer):  # type: ignore[misc]
    """A listening socket and its connections, for one WSGI application."""

    channel_class = _BoardConnection

    def __init__(self, app: Any, listener: socket.socket, channels: dict[int, Any], workers: Any) -> None:
        about = (listener.family, listener.type, listener.proto, listener.getsockname())
        self.next_channel_cleanup: float = 0
        super().__init__(
            app, channels, True, listener, dispatcher=workers, adj=_adjustments(), sockinfo=about,
            bind_socket=False)

    def readable(self) -> bool:
        """True while connections are accepted: there is always room for one. Closes those that are idle."""
        now = time.time()
        if now >= self.next_channel_cleanup:
            self.next_channel_cleanup = now + self.adj.cleanup_interval
            self.maintenance(now)
        return bool(self.accepting)

    def handle_accept(self) -> None:
        """Accept a connection; another one goes if there are as many as there may be."""
        if len(self.active_channels) >= connections_max():
            self.make_room()
        try:
            accepted = self.accept()
            if accepted is None:
                return
            connection, address = accepted
            self.set_socket_options(connection)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            if error.errno in _EXHAUSTED:
                self.make_room()
            return
        self.channel_class(self, connection, self.fix_addr(address), self.adj, map=self._map)

    def make_room(self) -> None:
        """Close the connection that matters least."""
        channels = list(self.active_channels.values())
        if not channels:
            return
        count = Counter(channel.addr[0] for channel in channels)
        last = max(channels, key=lambda channel: (count[channel.addr[0]], -channel.waits_since))
        _log.debug("%s: closed for a newer connection", last.addr[0])
        last.handle_close()


def _adjustments() -> Adjustments:
    """What waitress is told: nothing of it depends on the application."""
    return Adjustments(
        host="127.0.0.1", ident=None, channel_timeout=IDLE_S, cleanup_interval=5, log_socket_errors=False,
        max_request_header_size=_HEADER_BYTES_MAX, max_request_body_size=_BODY_BYTES_MAX,
        outbuf_high_watermark=_ANY_SIZE, clear_untrusted_proxy_headers=False)


def new_workers() -> ThreadedTaskDispatcher:
    """The threads that look up what to send."""
    workers = ThreadedTaskDispatcher()
    workers.set_thread_count(_THREADS)
    return workers


def connections_max() -> int:
    """How many connections there may be: what is left of this process's descriptors."""
    if _resource is None:
        return _CONNECTIONS_SELECT
    soft: int = _resource.getrlimit(_resource.RLIMIT_NOFILE)[0]
    if soft == _resource.RLIM_INFINITY:
        return _CONNECTIONS_MAX
    return max(_CONNECTIONS_MIN, min(_CONNECTIONS_MAX, soft - _RESERVED))


def raise_descriptor_limit() -> None:
    """Let this process open as many files as its user may at most, within reason."""
    if _resource is None:
        return
    soft, hard = _resource.getrlimit(_resource.RLIMIT_NOFILE)
    wanted = 2 * _CONNECTIONS_MAX if hard == _resource.RLIM_INFINITY else min(hard, 2 * _CONNECTIONS_MAX)
    if soft != _resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            _resource.setrlimit(_resource.RLIMIT_NOFILE, (wanted, hard))
