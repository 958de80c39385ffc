"""The control socket of a running board: one request and its response, as lines of JSON over a Unix
socket.

A request is one object with the key `command`. The response is any number of `{"text": ...}`, then one
object: the `facts` asked for, or an `error` (what, where, cure, exit_code). Only the user who runs
the board may connect: the socket has mode 0600. Where Python has no Unix sockets, a private file at its place
holds a port of this machine and a token, which each request has to carry.
"""

from __future__ import annotations

import json
import os
import secrets
import select
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from hmac import compare_digest
from pathlib import Path
from typing import Any, Final, Self

from slotbench.errors import USAGE, BenchError
from slotbench.private import PRIVATE
from slotbench.shell_words import quoted
from slotbench.untrusted import load_json

__all__ = ["ControlRequest", "ControlSocket", "request_facts"]

_REQUEST_BYTES_MAX: Final = 64 * 1024
_PATH_BYTES_MAX: Final = 100
"""A Unix socket's address takes 104 (BSD) or 108 (Linux) bytes with its end."""
_SEND_S: Final = 1.0
_LOOPBACK: Final = "127.0.0.1"
_TOKEN_BYTES: Final = 16


class ControlRequest:
    """A request of a client, and the way to respond. `gone`: the client hung up."""

    def __init__(self, connection: socket.socket) -> None:
        self.fields: Mapping[str, Any] = {}
        self.gone = False
        self._connection = connection

    def send_text(self, text: str) -> None:
        """Send a piece of output."""
        self._send({"text": text})

    def complete(self, facts: Mapping[str, Any] | None = None) -> None:
        """End the response: the request was carried out."""
        self._send({"facts": dict(facts or {})})
        self._connection.close()

    def refuse(self, error: BenchError) -> None:
        """End the response: the request failed, and why."""
        fields = {"what": error.what, "where": error.where, "cure": error.cure, "exit_code": error.exit_code}
        self._send({"error": fields})
        self._connection.close()

    def _send(self, message: Mapping[str, Any]) -> None:
        if self.gone:
            return
        try:
            self._connection.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            self.gone = True


class ControlSocket:
    """The listening end, at `path`, for the process that holds the board's lock. Serves only inside
    `poll`.

    Each of `wake` is a file descriptor that ends a poll early when it becomes readable, or a function that
    returns such descriptors.
    """

    def __init__(self, path: Path, *wake: int | Callable[[], Sequence[int]]) -> None:
        self.path = path
        self._wake = wake
        self._unread: dict[socket.socket, bytes] = {}
        self._open: dict[socket.socket, ControlRequest] = {}
        self._ready: list[ControlRequest] = []
        path.unlink(missing_ok=True)
        self._listener, self._token = _listen(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections and remove the socket."""
        for connection in (self._listener, *self._unread, *self._open):
            connection.close()
        self.path.unlink(missing_ok=True)

    def poll(self, seconds: float | None) -> ControlRequest | None:
        """The next request, waiting for it up to so many real seconds (None: for ever); else None.
        """
        if not self._ready:
            self._forget_closed()
            wake = [fd for each in self._wake for fd in ([each] if isinstance(each, int) else each())]
            watched: list[Any] = [self._listener, *self._unread, *self._open, *wake]
            for readable in select.select(watched, [], [], seconds)[0]:
                if readable is self._listener:
                    self._accept()
                elif isinstance(readable, socket.socket):
                    self._receive(readable)
        return self._ready.pop(0) if self._ready else None

    def _accept(self) -> None:
        connection = self._listener.accept()[0]
        connection.settimeout(_SEND_S)
        self._unread[connection] = b""

    def _receive(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(_REQUEST_BYTES_MAX)
        except OSError:
            data = b""
        if connection in self._open:
            # One request a connection: whatever else arrives, mostly its end, the client is done.
            self._open.pop(connection).gone = True
            connection.close()
            return
        text = self._unread.pop(connection) + data
        if not data:
            connection.close()
        elif b"\n" not in text and len(text) <= _REQUEST_BYTES_MAX:
            self._unread[connection] = text
        else:
            self._understand(connection, text)

    def _understand(self, connection: socket.socket, text: bytes) -> None:
        request = ControlRequest(connection)
        try:
            fields = load_json(text)
        except ValueError:
            fields = None
        if not isinstance(fields, dict):
            request.refuse(BenchError(
                "not a request", where=repr(text[:40]), cure="use the slotbench that runs the board",
                exit_code=USAGE))
            return
        if self._token and not compare_digest(str(fields.pop("token", "")).encode(), self._token.encode()):
            connection.close()
            return
        request.fields = fields
        self._open[connection] = request
        self._ready.append(request)

    def _forget_closed(self) -> None:
        still = {connection: asked for connection, asked in self._open.items() if connection.fileno() >= 0}
        self._open = still


def request_facts(
    path: Path, fields: Mapping[str, Any], on_text: Callable[[str], object] = lambda text: None
) -> dict[str, Any]:
    """Ask the board whose control socket is at `path`; its facts. `on_text` gets output as it
    comes.

    Raises BenchError: nothing runs there (exit code 2), or what the board's side says.
    """
    connection, secret = _connect(path)
    with connection:
        with suppress(ConnectionError):
            connection.sendall(json.dumps({**fields, **secret}).encode() + b"\n")
            with connection.makefile("rb") as lines:
                for line in lines:
                    message = json.loads(line)
                    if "text" in message:
                        on_text(message["text"])
                    elif "error" in message:
                        raise BenchError(**message["error"])
                    else:
                        facts: dict[str, Any] = message["facts"]
                        return facts
    raise BenchError(
        "the board's process ended before it answered", where=str(path.parent),
        cure="start it: slotbench board run")


def _listen(path: Path) -> tuple[socket.socket, str]:
    """The listening end, and the token that requests must carry; "" where the modes of `path` protect it."""
    listener, token = None, ""
    try:
        if hasattr(socket, "AF_UNIX"):
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            with _short(path) as address:
                listener.bind(address)
            path.chmod(PRIVATE)
            listener.listen()
        else:
            listener, token = socket.create_server((_LOOPBACK, 0)), secrets.token_hex(_TOKEN_BYTES)
            path.touch(PRIVATE)
            path.write_text(json.dumps({"port": listener.getsockname()[1], "token": token}))
    except OSError as error:
        if listener is not None:
            listener.close()
        raise _unusable(path, error) from None
    return listener, token


def _connect(path: Path) -> tuple[socket.socket, dict[str, str]]:
    """A connection to the listening end, and what requests carry beside their fields. Raises BenchError."""
    connection = None
    try:
        if hasattr(socket, "AF_UNIX"):
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            with _short(path) as address:
                connection.connect(address)
            return connection, {}
        place = load_json(path.read_bytes())
        return socket.create_connection((_LOOPBACK, int(place["port"]))), {"token": str(place["token"])}
    except OSError as error:
        if connection is not None:
            connection.close()
        if not isinstance(error, FileNotFoundError | ConnectionRefusedError):
            raise _unusable(path, error) from None
        folder = path.parent
        raise BenchError(
            "no board runs there", where=str(folder),
            cure=f"start it in another terminal: slotbench board run {quoted(folder)}",
            exit_code=USAGE) from None


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """The path in a form that fits a socket address: through a descriptor of its folder when it is
    long.
    """
    if len(os.fsencode(path)) <= _PATH_BYTES_MAX:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def _unusable(path: Path, error: OSError) -> BenchError:
    long = len(os.fsencode(path)) > _PATH_BYTES_MAX
    return BenchError(
        f"control socket cannot be used ({error.strerror or error})", where=str(path),
        cure="move the board's folder to a shorter path" if long else "choose a folder on a local disk",
        exit_code=USAGE)
