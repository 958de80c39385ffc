"""The Flask application: files of FORMATS 7 with validators, ranges and the right caching."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections import OrderedDict
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path
from threading import Lock

from flask import Flask, Response, request

from slotbench.errors import USAGE, BenchError
from slotbench.release.store import Store, digest_in, is_name
from slotbench.server.board_authenticator import BoardAuthenticator

IMMUTABLE = "public, max-age=31536000, immutable"
"""For names that carry their digest: what they name can never change."""
REVALIDATE = "no-cache"
"""For heads and keys: kept, but asked about every time."""

_RANGE = re.compile(r"bytes=([0-9]{0,12})-([0-9]{0,12})")
_CACHE_BYTES_MAX = 64 * 1024 * 1024

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Content:
    """A file as it is served. `stamp` tells whether the one on disk is still the same."""

    data: bytes
    etag: str
    stamp: tuple[int, int, int]


class _Contents:
    """Files of a store held in memory, read again when they change; the least used go first."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._held: OrderedDict[str, _Content] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def get(self, name: str) -> _Content | None:
        """The content under a name of FORMATS 7, None when there is none.

        Raises BenchError when it is damaged.
        """
        with self._lock:
            try:
                stat = self._store.path(name).stat()
            except OSError:
                return None
            stamp = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            held = self._held.get(name)
            if held and held.stamp == stamp:
                self._held.move_to_end(name)
                return held
            data = self._store.read(name)
            if data is None:
                return None
            etag = digest_in(name) or hashlib.sha256(data).hexdigest()
            return self._hold(name, _Content(data, etag, stamp))

    def _hold(self, name: str, content: _Content) -> _Content:
        old = self._held.pop(name, None)
        self._bytes += len(content.data) - (len(old.data) if old else 0)
        self._held[name] = content
        while self._bytes > _CACHE_BYTES_MAX:
            _, dropped = self._held.popitem(last=False)
            self._bytes -= len(dropped.data)
        return content


def create_app(root: Path, boards: BoardAuthenticator | None = None) -> Flask:
    """The application that serves the release directory `root`, now and as it changes.

    With `boards` it checks who asks, and tells this computer what they said: GET /boards.
    """
    app = Flask(__name__, static_folder=None)
    if boards is not None:
        _know(app, boards)
    contents = _Contents(Store(root))

    @app.get("/", defaults={"name": ""})
    @app.get("/<path:name>")
    def file(name: str) -> Response:
        """Any file of the directory; GET and HEAD."""
        if not is_name(name):
            return _text(HTTPStatus.NOT_FOUND)
        try:
            content = contents.get(name)
        except BenchError as error:
            _log.error("not served: %s", error)
            return _text(HTTPStatus.INTERNAL_SERVER_ERROR)
        if content is None:
            return _text(HTTPStatus.NOT_FOUND)
        return _answer(name, content)

    return app


def _know(app: Flask, boards: BoardAuthenticator) -> None:
    app.before_request(boards.check)

    @app.get("/boards")
    def listed() -> Response:
        """What boards proved to have said last; not for the network that they are in."""
        if not ip_address(request.remote_addr or "0.0.0.0").is_loopback:
            return _text(HTTPStatus.NOT_FOUND)
        return Response(json.dumps(boards.listed(), indent=2) + "\n", mimetype="application/json")


def require_published(root: Path) -> None:
    """Raise BenchError (usage) unless `root` is a release directory with at least one head."""
    do = "publish a release into it with `slotbench release publish`"
    if not root.is_dir():
        raise BenchError("no such folder", where=str(root), do=do, exit_code=USAGE)
    if not any(root.glob("heads/*/*.head")):
        raise BenchError("nothing is published here", where=str(root), do=do, exit_code=USAGE)


def _answer(name: str, content: _Content) -> Response:
    """200, 206, 304 or 416, as RFC 9110 (13.2, 14.2) has them for a GET with these headers."""
    size = len(content.data)
    headers = {
        "ETag": f'"{content.etag}"',
        "Cache-Control": IMMUTABLE if digest_in(name) else REVALIDATE,
        "Accept-Ranges": "bytes",
    }
    if request.if_none_match.contains_weak(content.etag):
        return Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
    part = _requested_part(content)
    if part is None:
        return Response(content.data, HTTPStatus.OK, headers, mimetype=_mimetype(name))
    start, end = part
    if start == end:
        headers["Content-Range"] = f"bytes */{size}"
        return _text(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers)
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    return Response(
        content.data[start:end], HTTPStatus.PARTIAL_CONTENT, headers, mimetype=_mimetype(name))


def _requested_part(content: _Content) -> tuple[int, int] | None:
    """First byte and the one behind the last that Range asks for; None for the whole.

    Equal when there is no such part. The whole is right for no Range, one that cannot be read,
    several at once, and an If-Range that names another version (only a strong validator counts, and
    dates are not given out here).
    """
    if request.method != "GET":
        return None
    asked = _RANGE.fullmatch(request.headers.get("Range", ""))
    if_range = request.headers.get("If-Range")
    if not asked or (if_range is not None and if_range.strip() != f'"{content.etag}"'):
        return None
    first, last = asked.groups()
    size = len(content.data)
    if not first:
        return (max(0, size - int(last)), size) if last else None
    if last and int(last) < int(first):
        return None
    return min(int(first), size), min(int(last) + 1, size) if last else size


def _mimetype(name: str) -> str:
    return "text/plain" if name.endswith((".head", ".keys", ".release")) else "application/octet-stream"


def _text(status: HTTPStatus, headers: dict[str, str] | None = None) -> Response:
    return Response(f"{status.phrase}\n", status, headers, mimetype="text/plain")
