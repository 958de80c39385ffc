"""A cache of the responses of a release directory that does not change."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from slotbench.vboard.network.wsgi import WsgiApp

__all__ = ["Remembered"]

_ASKED = ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "HTTP_RANGE", "HTTP_IF_NONE_MATCH", "HTTP_HOST")

_Answer = tuple[str, list[tuple[str, str]], bytes]


class Remembered:
    """A WSGI application that asks `app` once for each GET, and repeats its response after that."""

    def __init__(self, app: WsgiApp) -> None:
        self._app = app
        self._known: dict[tuple[object, ...], _Answer] = {}

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        key = tuple(environ.get(name) for name in _ASKED)
        if environ["REQUEST_METHOD"] != "GET":
            return self._app(environ, start_response)
        if key not in self._known:
            self._known[key] = self._ask(environ)
        status, headers, body = self._known[key]
        start_response(status, list(headers))
        return [body]

    def _ask(self, environ: dict[str, Any]) -> _Answer:
        started: list[tuple[str, list[tuple[str, str]]]] = []
        answer = self._app(environ, lambda status, headers, exc_info=None: started.append((status, headers)))
        try:
            # Joined first: an application may start its response with its first piece.
            body = b"".join(answer)
        finally:
            close = getattr(answer, "close", None)
            if close is not None:
                close()
        return (*started[0], body)
