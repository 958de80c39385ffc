"""Authentication of boards and their reports (FORMATS). Only reports with a valid proof are kept."""

from __future__ import annotations

import ipaddress
import logging
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from http import HTTPStatus
from pathlib import Path
from threading import Lock
from typing import Final

from flask import Response, g, request

from slotbench.errors import USAGE, BenchError
from slotbench.formats import identity
from slotbench.formats.board_report import REPORT_BYTES_MAX, REPORT_PATH
from slotbench.formats.identity import IdentityProof
from slotbench.formats.journal import Report
from slotbench.release.identities import Identities

LIFE_S: Final = 600
"""Seconds until a challenge expires. The board then gets a new one."""

_SERIAL_CHARS: Final = 16
_MAC_CHARS: Final = 32
_US: Final = 1_000_000
_NOT_A_REPORT: Final = "unknown"
_FIRST_BYTE = re.compile(r"bytes=([0-9]{1,9})-[0-9]{0,9}")
_SERVER_URL = re.compile(r"http://([!-.0-~]+)((?:/[!-~]*)?)")

_log = logging.getLogger(__name__)


def split_server_url(url: str) -> tuple[str, str]:
    """Host and path of a board's setting `server`, as the board sends them. Raises BenchError (usage)."""
    match = _SERVER_URL.fullmatch(url)
    if not match:
        raise BenchError(
            f"{url!r} is not a server of boards", cure="give it as the boards have it: http://HOST/PATH",
            exit_code=USAGE)
    return match[1], match[2].rstrip("/")


@dataclass(frozen=True, slots=True)
class BoardRecord:
    """The last authenticated report of a board.

    `running` is the counter of the running release; `report` is the report in its boot journal, and
    `report_counter` the counter it is about. `seen` is Unix seconds.
    """

    running: int
    report: str
    report_counter: int
    seen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenRequest:
    """What one authenticated request of a board proves, and what it asks for.

    `running`, `report` and `report_counter` are the numbers of its header (FORMATS); `at` is Unix seconds.
    `name` is the file of the site, and `first_byte` the first byte of it that the board wants. `address` is
    where the request comes from. `app` is what a board with applications says of them: the counter that
    runs (0: none), the report, and the counter that it is about.
    """

    device_id: str
    at: int
    running: int
    report: int
    report_counter: int
    name: str
    first_byte: int
    address: str
    app: tuple[int, int, int] | None = None


class BoardAuthenticator:
    """Authenticates boards by the secrets in an identities file, which is read again when it changes.

    A challenge is a time with a MAC by a key of this process, so it needs no memory. For each board the last
    pair (challenge, count) is remembered, and only a higher pair is accepted. Therefore no request replays.
    With `require`, other clients are not served. `clock` gives Unix seconds. `public_url` is what the boards
    have as their server, where a reverse proxy changes the host or the path: a MAC covers both. With it the
    proxy is believed where a request comes from (X-Forwarded-For). `observer` is
    told of each authenticated request, before it is answered: it must not wait for anything.
    """

    def __init__(
        self, path: Path, *, require: bool = False, public_url: str | None = None,
        clock: Callable[[], float] = time.time, observer: Callable[[ProvenRequest], None] | None = None,
    ) -> None:
        self.require = require
        self.observer = observer
        self._public = split_server_url(public_url) if public_url else None
        self._path = path
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._serial = 0
        self._used: dict[str, tuple[int, int]] = {}
        self._seen: dict[str, BoardRecord] = {}
        self._stamp: tuple[int, int] | None = None
        self._lock = Lock()
        self._known = Identities.load(path)

    def check_request(self) -> Response | None:
        """Check the current request. Return the response that refuses it, or None to serve it."""
        body = b""
        if request.method == "POST" and request.path == f"/{REPORT_PATH}":
            if not 0 < (request.content_length or 0) <= REPORT_BYTES_MAX:
                return Response(status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE, headers={"Content-Length": "0"})
            body = request.get_data()
        with self._lock:
            self._reload_identities()
            header = request.headers.get("Authorization", "")
            host, prefix = self._public or (request.headers.get("Host", ""), request.root_path)
            path = prefix + request.path
            return self._check_header(request.method, host, path, header, body)

    def challenge(self) -> Response:
        """The response to a board that has to prove who it is."""
        with self._lock:
            return self._send_challenge(HTTPStatus.UNAUTHORIZED)

    def list_boards(self) -> dict[str, dict[str, object]]:
        """The last authenticated report of each board, by device id."""
        return dict(self.iter_boards())

    def iter_boards(self) -> Iterator[tuple[str, dict[str, object]]]:
        """The same, one board after the other. No request waits: only the table is copied in the lock."""
        with self._lock:
            seen = dict(self._seen)
        for device_id in sorted(seen):
            yield device_id, asdict(seen[device_id])

    def _check_header(
        self, method: str, host: str, path: str, header: str, body: bytes,
    ) -> Response | None:
        claim = identity.parse_authorization(header)
        if claim is None:
            return self._send_challenge(HTTPStatus.UNAUTHORIZED) if self.require else None
        device_id, proof = claim
        secret = self._known.secrets.get(device_id)
        if secret is None:
            return self._reject_claim(device_id, "is not in the identities file")
        if proof is None:
            return self._send_challenge(HTTPStatus.UNAUTHORIZED)
        serial = self._challenge_serial(proof.nonce)
        if serial is None:
            return self._send_challenge(HTTPStatus.UNAUTHORIZED)
        if not proof.matches(secret, method, host, path, body):
            return self._reject_claim(device_id, "has another secret")
        if (serial, proof.nc) <= self._used.get(device_id, (0, 0)):
            _log.warning("%s: replayed request refused", device_id)
            return self._send_challenge(HTTPStatus.UNAUTHORIZED)
        self._used[device_id] = serial, proof.nc
        g.board = device_id, proof
        self._record_report(device_id, proof)
        return None

    def _record_report(self, device_id: str, proof: IdentityProof) -> None:
        named = {int(report): report.name.lower() for report in Report}
        report = named.get(proof.report, _NOT_A_REPORT)
        board = BoardRecord(proof.running, report, proof.about, int(self._clock()))
        if self.observer is not None:
            self.observer(ProvenRequest(
                device_id=device_id, at=board.seen, running=proof.running, report=proof.report,
                report_counter=proof.about, name=request.path.lstrip("/"), first_byte=_first_byte(),
                address=self._address(), app=proof.app))
        before = self._seen.get(device_id)
        self._seen[device_id] = board
        if before is None or (before.running, before.report, before.report_counter) != (
            board.running, board.report, board.report_counter
        ):
            _log.info(
                "%s runs %d, its report: %s %d", device_id, board.running, board.report, board.report_counter)

    def _address(self) -> str:
        """Where the current request comes from. Behind a proxy that is named (`public_url`) it says so."""
        if self._public is not None and (said := request.headers.get("X-Forwarded-For")):
            nearest = said.rpartition(",")[2].strip()
            with suppress(ValueError):
                return str(ipaddress.ip_address(nearest))
        return request.remote_addr or ""

    def _reject_claim(self, device_id: str, why: str) -> Response | None:
        """Refuse a board without a valid proof if identities are required; else serve it, not its report."""
        _log.warning("%s %s: not authenticated", device_id, why)
        return self._send_challenge(HTTPStatus.FORBIDDEN) if self.require else None

    def _send_challenge(self, status: HTTPStatus) -> Response:
        challenge = f'{identity.SCHEME} nonce="{self._new_challenge()}"'
        return Response(status=status, headers={"WWW-Authenticate": challenge, "Content-Length": "0"})

    def _new_challenge(self) -> str:
        # Strictly increasing, so no challenge is given twice and later ones compare higher.
        self._serial = max(self._serial + 1, int(self._clock() * _US))
        return self._seal_challenge(f"{self._serial:0{_SERIAL_CHARS}x}")

    def _seal_challenge(self, serial: str) -> str:
        return serial + identity.compute_mac(self._key, serial.encode())[:_MAC_CHARS]

    def _challenge_serial(self, nonce: str) -> int | None:
        """The serial number of a challenge of this server that has not expired; else None."""
        serial = nonce[:_SERIAL_CHARS]
        if not secrets.compare_digest(self._seal_challenge(serial), nonce):
            return None
        number = int(serial, 16)
        return number if self._clock() * _US - number <= LIFE_S * _US else None

    def _reload_identities(self) -> None:
        try:
            stat = self._path.stat()
            if self._stamp != (stamp := (stat.st_mtime_ns, stat.st_ino)):
                self._known, self._stamp = Identities.load(self._path), stamp
        except (OSError, BenchError) as error:
            _log.error("identities file not reloaded, the loaded secrets stay in use: %s", error)


def _first_byte() -> int:
    """The first byte that the current request asks for."""
    asked = _FIRST_BYTE.fullmatch(request.headers.get("Range", ""))
    return int(asked[1]) if asked else 0
