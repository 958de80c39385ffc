"""The Flask application: files of FORMATS, files on the server with validators, ranges and cache headers."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from threading import Lock
from urllib.parse import urlsplit

from flask import Flask, Response, g, request
from werkzeug.wsgi import wrap_file

from slotbench.errors import BenchError
from slotbench.formats.board_report import REPORT_PATH
from slotbench.release.store import Store, digest_in, is_name
from slotbench.server.board_authenticator import BoardAuthenticator
from slotbench.server.report_intake import ReportIntake

IMMUTABLE = "public, max-age=31536000, immutable"
"""Cache header of files whose name holds their digest: their content never changes."""
REVALIDATE = "no-cache"
"""Cache header of heads and keys: a cache asks before each use."""

_RANGE = re.compile(r"bytes=([0-9]{0,12})-([0-9]{0,12})")
_PATCH = re.compile(r"(patches/[0-9a-f]{32})-[0-9a-f]{32}\.patch")
_DECODES = re.compile(r"twoslot/[^ ]{1,32} \(([0-9A-Za-z ]{1,64})\)")
"""What a board can decode (FORMATS, what a request says)."""
_LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
_BOARDS_IN_A_PIECE = 200
_CACHE_BYTES_MAX = 64 * 1024 * 1024

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _CachedFile:
    """A file in memory. While `stamp` is the same, the file on disk has not changed."""

    data: bytes
    etag: str
    stamp: tuple[int, int, int]


class _FileCache:
    """Files of a site in memory.

    Changed files are read again; the least recently used ones are dropped first.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._held: OrderedDict[str, _CachedFile] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def get(self, name: str) -> _CachedFile | None:
        """The file with this name of FORMATS, files on the server; None if it does not exist.

        Raises BenchError if it is damaged.
        """
        with self._lock:
            path = self._store.path(name)
            try:
                if any(part.is_symlink() for part in (path, *path.parents[: name.count("/")])):
                    return None  # it may lead anywhere on this computer
                stat = path.stat()
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
            return self._keep(name, _CachedFile(data, etag, stamp))

    def _keep(self, name: str, content: _CachedFile) -> _CachedFile:
        old = self._held.pop(name, None)
        self._bytes += len(content.data) - (len(old.data) if old else 0)
        self._held[name] = content
        while self._bytes > _CACHE_BYTES_MAX:
            _, dropped = self._held.popitem(last=False)
            self._bytes -= len(dropped.data)
        return content


def create_app(
    root: Path, boards: BoardAuthenticator | None = None, reports: ReportIntake | None = None,
) -> Flask:
    """The application that serves the site `root`. Later changes to the site are served too.

    With `boards` it authenticates boards, and with `reports` it takes what they report.
    """
    app = Flask(__name__, static_folder=None)
    if boards is not None:
        app.before_request(boards.check_request)
    contents = _FileCache(Store(root))

    if boards is not None and reports is not None:
        @app.post(f"/{REPORT_PATH}")
        def report() -> Response:
            """Take a board's report."""
            return reports.take() if "board" in g else boards.challenge()

    @app.get("/", defaults={"name": ""})
    @app.get("/<path:name>")
    def file(name: str) -> Response:
        """Serve a file of the site to GET and HEAD."""
        if not is_name(name):
            return _text_response(HTTPStatus.NOT_FOUND)
        try:
            content = contents.get(name)
            if content is None and (whole := _whole_patch(name)) is not None:
                content = contents.get(whole)
        except BenchError as error:
            _log.error("file not served: %s", error)
            return _text_response(HTTPStatus.INTERNAL_SERVER_ERROR)
        if content is None:
            return _text_response(HTTPStatus.NOT_FOUND)
        return _file_response(name, content)

    return app


def create_boards_app(boards: BoardAuthenticator) -> Flask:
    """The application that lists the last authenticated report of each board at GET /boards.

    For a port of this computer's own. A web page that had its name point here (DNS rebinding) asks for that
    name, and gets nothing.
    """
    app = Flask(__name__, static_folder=None)

    @app.get("/boards")
    def list_boards() -> Response:
        """The reports, to whoever names this computer by its loopback address."""
        if (urlsplit(f"//{request.host}").hostname or "") not in _LOOPBACK_NAMES:
            return _text_response(HTTPStatus.NOT_FOUND)
        return Response(boards_json(boards), mimetype="application/json")

    return app


def boards_json(boards: BoardAuthenticator) -> Iterator[str]:
    """The reports of all boards as a JSON object, in pieces: other threads run between two of them."""
    begin = "{"
    piece: list[str] = []
    for device_id, report in boards.iter_boards():
        piece.append(f"{begin}\n  {json.dumps(device_id)}: {json.dumps(report)}")
        begin = ","
        if len(piece) == _BOARDS_IN_A_PIECE:
            yield "".join(piece)
            piece.clear()
    yield "".join(piece) + ("{}\n" if begin == "{" else "\n}\n")


def _whole_patch(name: str) -> str | None:
    """The patch that needs no old image, for a board that asks for one from an image and decodes both."""
    found = _PATCH.fullmatch(name)
    decodes = _DECODES.match(request.headers.get("User-Agent", ""))
    if found is None or decodes is None or "deflate" not in decodes[1].split():
        return None
    return f"{found[1]}.patch"


def _file_response(name: str, content: _CachedFile) -> Response:
    """The response 200, 206, 304 or 416 to this request, as RFC 9110 (13.2, 14.2) requires."""
    size = len(content.data)
    headers = {
        "ETag": f'"{content.etag}"',
        "Cache-Control": IMMUTABLE if digest_in(name) else REVALIDATE,
        "Accept-Ranges": "bytes",
    }
    if _PATCH.fullmatch(name):
        headers["Vary"] = "User-Agent"
    if request.if_none_match.contains_weak(content.etag):
        return Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
    part = _requested_range(content)
    if part is None:
        return _data_response(content.data, HTTPStatus.OK, headers, name)
    start, end = part
    if start == end:
        headers["Content-Range"] = f"bytes */{size}"
        return _text_response(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers)
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    return _data_response(content.data[start:end], HTTPStatus.PARTIAL_CONTENT, headers, name)


def _data_response(data: bytes, status: HTTPStatus, headers: dict[str, str], name: str) -> Response:
    """A response that the server sends from the one copy in memory, whoever reads it how slowly."""
    body = wrap_file(request.environ, BytesIO(data))
    response = Response(body, status, headers, mimetype=_mime_type(name), direct_passthrough=True)
    response.content_length = len(data)
    return response


def _requested_range(content: _CachedFile) -> tuple[int, int] | None:
    """The first byte of the requested range and the byte behind its last; None for the whole file.

    They are equal if the file has no such range. The whole file is sent if there is no Range, if it cannot be
    parsed or has several parts, or if If-Range names another version. Only a strong validator counts there;
    this server sends no dates.
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


def _mime_type(name: str) -> str:
    is_text = name.endswith((".head", ".keys", ".release", ".application", ".list"))
    return "text/plain" if is_text else "application/octet-stream"


def _text_response(status: HTTPStatus, headers: dict[str, str] | None = None) -> Response:
    return Response(f"{status.phrase}\n", status, headers, mimetype="text/plain")
