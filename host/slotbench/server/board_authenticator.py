"""Which board asks, and what it says of itself: proven, or not believed (FORMATS 6.4)."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from http import HTTPStatus
from pathlib import Path
from threading import Lock
from typing import Final

from flask import Response, request

from slotbench.errors import BenchError
from slotbench.formats import identity
from slotbench.formats.identity import IdentityProof
from slotbench.formats.journal import Report
from slotbench.release.identities import Identities

LIFE_S: Final = 600
"""How long a challenge is good: a board gets a new one when it is over."""

_SERIAL_CHARS: Final = 16
_MAC_CHARS: Final = 32
_US: Final = 1_000_000
_NOT_A_REPORT: Final = "unknown"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BoardRecord:
    """What a board proved to have said last: the counter of the release that runs, the report of its journal
    and the counter that speaks of; and when (Unix seconds).
    """

    running: int
    report: str
    report_counter: int
    seen: int


class BoardAuthenticator:
    """Checks who asks, by the secrets in a file that is read again when it changes.

    A challenge needs no memory: it is a time, sealed with a key of this process. What is remembered is one
    pair (challenge, count) for each known board; only a higher one is believed, so nothing replays. With
    `require` nobody else is served. `clock` gives Unix seconds.
    """

    def __init__(
        self, path: Path, *, require: bool = False, clock: Callable[[], float] = time.time,
    ) -> None:
        self.require = require
        self._path = path
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._serial = 0
        self._used: dict[str, tuple[int, int]] = {}
        self._seen: dict[str, BoardRecord] = {}
        self._stamp: tuple[int, int] | None = None
        self._lock = Lock()
        self._known = Identities.load(path)

    def check(self) -> Response | None:
        """The refusal of the request at hand, None when it is to be served."""
        if request.path == "/boards":
            return None
        with self._lock:
            self._read_again()
            return self._check(request.method, request.path, request.headers.get("Authorization", ""))

    def listed(self) -> dict[str, dict[str, object]]:
        """What all boards proved to have said last, by device id."""
        with self._lock:
            return {device_id: asdict(board) for device_id, board in sorted(self._seen.items())}

    def _check(self, method: str, path: str, header: str) -> Response | None:
        claim = identity.parse(header)
        if claim is None:
            return self._refuse(HTTPStatus.UNAUTHORIZED) if self.require else None
        device_id, proof = claim
        secret = self._known.secrets.get(device_id)
        if secret is None:
            return self._doubt(device_id, "is not known here")
        if proof is None:
            return self._refuse(HTTPStatus.UNAUTHORIZED)
        serial = self._serial_of(proof.nonce)
        if serial is None:
            return self._refuse(HTTPStatus.UNAUTHORIZED)
        if not proof.is_of(secret, method, path):
            return self._doubt(device_id, "has another secret")
        if (serial, proof.nc) <= self._used.get(device_id, (0, 0)):
            _log.warning("%s: said once already, and now again: not believed", device_id)
            return self._refuse(HTTPStatus.UNAUTHORIZED)
        self._used[device_id] = serial, proof.nc
        self._remember(device_id, proof)
        return None

    def _remember(self, device_id: str, proof: IdentityProof) -> None:
        named = {int(report): report.name.lower() for report in Report}
        report = named.get(proof.report, _NOT_A_REPORT)
        board = BoardRecord(proof.running, report, proof.about, int(self._clock()))
        before = self._seen.get(device_id)
        self._seen[device_id] = board
        if before is None or (before.running, before.report, before.report_counter) != (
            board.running, board.report, board.report_counter
        ):
            _log.info(
                "%s runs %d, its report: %s %d", device_id, board.running, board.report, board.report_counter)

    def _doubt(self, device_id: str, why: str) -> Response | None:
        """Of a board that could not show who it is nothing is believed."""
        _log.warning("%s %s: not believed", device_id, why)
        return self._refuse(HTTPStatus.FORBIDDEN) if self.require else None

    def _refuse(self, status: HTTPStatus) -> Response:
        challenge = f'{identity.SCHEME} nonce="{self._challenge()}"'
        return Response(status=status, headers={"WWW-Authenticate": challenge, "Content-Length": "0"})

    def _challenge(self) -> str:
        # Never the same twice: they are in an order, too.
        self._serial = max(self._serial + 1, int(self._clock() * _US))
        return self._sealed(f"{self._serial:0{_SERIAL_CHARS}x}")

    def _sealed(self, serial: str) -> str:
        return serial + identity.mac(self._key, serial.encode())[:_MAC_CHARS]

    def _serial_of(self, nonce: str) -> int | None:
        """The number of a challenge that was made here and is good still."""
        serial = nonce[:_SERIAL_CHARS]
        if not secrets.compare_digest(self._sealed(serial), nonce):
            return None
        number = int(serial, 16)
        return number if self._clock() * _US - number <= LIFE_S * _US else None

    def _read_again(self) -> None:
        try:
            stat = self._path.stat()
            if self._stamp != (stamp := (stat.st_mtime_ns, stat.st_ino)):
                self._known, self._stamp = Identities.load(self._path), stamp
        except (OSError, BenchError) as error:
            _log.error("identities as they were: %s", error)
