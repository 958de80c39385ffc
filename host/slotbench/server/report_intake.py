"""POST report (FORMATS, board report): what boards tell beside their requests, checked and passed on."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from threading import Lock
from typing import Final

from flask import Response, g, request

from slotbench.formats import FormatError
from slotbench.formats.board_report import BoardReport, ReportEvent
from slotbench.formats.identity import IdentityProof
from slotbench.formats.journal import Report

__all__ = ["ProvenReport", "REPORTS_A_MINUTE", "ReportIntake"]

REPORTS_A_MINUTE: Final = 12
"""More reports than these of one board are refused with 429: an update makes five."""
_MINUTE_S: Final = 60

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenReport:
    """A report, and the board that proved to have sent it. `at` is Unix seconds."""

    device_id: str
    at: int
    report: BoardReport


class ReportIntake:
    """Takes the reports of authenticated boards, REPORTS_A_MINUTE of each, and passes them to `observer`.

    `observer` must not wait for anything. It hears of a report again when the board did not hear the
    answer.
    """

    def __init__(
        self, observer: Callable[[ProvenReport], None], clock: Callable[[], float] = time.time,
    ) -> None:
        self._observer = observer
        self._clock = clock
        self._lock = Lock()
        self._minute = 0
        self._counts: dict[str, int] = {}

    def take(self) -> Response:
        """Take the report in the current request, whose board is authenticated."""
        device_id, proof = g.board
        if not self._has_room(device_id):
            _log.warning("%s: too many reports, refused", device_id)
            return _empty(HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": str(_MINUTE_S)})
        try:
            report = BoardReport.from_payload(request.get_data())
            if report.event is ReportEvent.CONFIRMED and not _is_confirmed(proof):
                raise FormatError("it says that a trial ended well, and its boot journal does not")
        except FormatError as error:
            _log.warning("%s: report refused: %s", device_id, error)
            return _empty(HTTPStatus.BAD_REQUEST)
        self._observer(ProvenReport(device_id=device_id, at=int(self._clock()), report=report))
        return _empty(HTTPStatus.OK)

    def _has_room(self, device_id: str) -> bool:
        """Count a report. Only authenticated boards are counted, so there are no more counts than boards."""
        with self._lock:
            minute = int(self._clock()) // _MINUTE_S
            if minute != self._minute:
                self._minute = minute
                self._counts.clear()
            self._counts[device_id] = self._counts.get(device_id, 0) + 1
            return self._counts[device_id] <= REPORTS_A_MINUTE


def _is_confirmed(proof: IdentityProof) -> bool:
    """Whether a firmware or an application that runs is what the board says it confirmed."""
    app, app_report, app_about = proof.app or (0, 0, 0)
    firmware = proof.report == Report.CONFIRMED and proof.about == proof.running
    return firmware or app_report == Report.CONFIRMED and app_about == app


def _empty(status: HTTPStatus, headers: dict[str, str] | None = None) -> Response:
    return Response(status=status, headers={"Content-Length": "0", **(headers or {})})
