"""A board's row and its history, as one authenticated request after the other changes them. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from slotbench.fleet.schema import searched_text
from slotbench.formats.board_report import ReportEvent
from slotbench.formats.journal import Report
from slotbench.server import ProvenReport, ProvenRequest

__all__ = ["BoardStory", "NOT_KNOWN", "NO_ERROR"]

NO_ERROR: Final = -1
"""In `error_code` of a board that never told an error."""
NOT_KNOWN: Final = -1
"""In `slot` and `spare` of a board that never told them."""
_BLOCK: Final = 4096
_DETAIL_MAX: Final = 200

_HEAD = re.compile(r"heads/([a-z0-9_-]{1,32})/([a-z0-9_-]{1,32})\.head")


class BoardStory:
    """What is known of a board after some requests.

    `before` is its row of the database, None for a new board. `row` is what the row becomes, with `requests`
    and `events` as what is added to them; `entries` are the rows of its history that are new.
    """

    def __init__(self, before: Mapping[Any, Any] | None, late_s: int) -> None:
        self._before = dict(before) if before is not None else None
        self._late_s: Final = late_s
        self.entries: list[dict[str, Any]] = []
        self.row: dict[str, Any] = dict(before) if before is not None else {}
        self.row |= {"requests": 0, "events": 0}

    @property
    def length(self) -> int:
        """How many entries its history has then."""
        return (self._before["events"] if self._before else 0) + len(self.entries)

    def follow(self, request: ProvenRequest, counters: Mapping[str, int]) -> None:
        """Take one more request. `counters` has the counters of images by the names of their files."""
        if "device_id" not in self.row:
            self._begin(request)
        row = self.row
        if request.at - row["last_seen"] > self._late_s:
            self._add(request, "returned", request.running, str(request.at - row["last_seen"]))
        if row["running"] != request.running:
            # What it told of its slots was of another start.
            row |= {"running": request.running, "slot": NOT_KNOWN, "spare": NOT_KNOWN}
            self._add(request, "runs", request.running)
        if (row["report"], row["report_counter"]) != (request.report, request.report_counter):
            row["report"], row["report_counter"] = request.report, request.report_counter
            self._add(request, "report", request.report_counter, str(request.report))
        self._follow_program(request)
        if request.address != row["address"]:
            row["address"] = request.address[:64]
        if head := _HEAD.fullmatch(request.name):
            row["product"], row["channel"] = head.groups()
        self._follow_download(request, counters.get(request.name))
        row["last_seen"] = max(row["last_seen"], request.at)
        row["requests"] += 1
        row["events"] = len(self.entries)

    @property
    def proven_release(self) -> tuple[str, int] | None:
        """Product and counter of a release that the board checked, runs and confirmed, where that may tell
        its profile: it is one of those that the release is for.
        """
        row = self.row
        is_new = not row["board"] or self._before is None or self._before["running"] != row["running"]
        has_proven = (row["report"], row["report_counter"]) == (Report.CONFIRMED, row["running"])
        return (row["product"], row["running"]) if is_new and has_proven and row["product"] else None

    def follow_report(self, told: ProvenReport) -> None:
        """Take what the board told. Each report counts once; of a board that is not known, none does.

        Nothing here says that a board is well: only what its requests prove does.
        """
        row, report = self.row, told.report
        if "device_id" not in row:
            return
        if row["told_start"] == report.start and report.number <= row["told_number"]:
            return
        row |= {
            "told_start": report.start, "told_number": report.number, "told_at": told.at,
            "free_heap": report.free, "rssi": report.rssi, "reset_cause": report.reset}
        if report.board:
            row["board"] = report.board
        if report.slot is not None and report.spare is not None:
            row |= {"slot": report.slot, "spare": report.spare}
        if report.event is ReportEvent.START:
            self._add(told, "start", row["running"], str(report.reset))
        if report.code or report.event is ReportEvent.ERROR:
            row |= {"error_code": report.code, "error_where": report.where, "error_at": told.at}
            self._add(told, "error", 0, f"{report.code} {report.where}")
        if report.trace and report.trace != row["trace"]:
            row["trace"] = report.trace
            self._add(told, "trace", 0, report.trace[-_DETAIL_MAX:])
        if report.event is ReportEvent.DOWNLOAD and report.counter > row["running"]:
            if row["target"] != report.counter:
                row |= {"target": report.counter, "target_at": told.at, "progress": 0, "spare": NOT_KNOWN}
                self._add(told, "download", report.counter)
            row["progress"] = max(row["progress"], _BLOCK * report.done)
        row["last_seen"] = max(row["last_seen"], told.at)
        row["events"] = len(self.entries)

    def _begin(self, request: ProvenRequest) -> None:
        self.row |= {
            "device_id": request.device_id, "name": "", "place": "",
            "searched": searched_text(request.device_id, "", ""), "product": "", "channel": "",
            "running": request.running, "report": request.report, "report_counter": request.report_counter,
            "app_running": 0, "app_report": 0, "app_report_counter": 0,
            "target": 0, "target_at": 0, "progress": 0, "address": "", "first_seen": request.at,
            "last_seen": request.at, "told_start": 0, "told_number": 0, "told_at": 0, "free_heap": 0,
            "rssi": 0, "reset_cause": 0, "error_code": NO_ERROR, "error_where": 0, "error_at": 0,
            "trace": "", "board": "", "slot": NOT_KNOWN, "spare": NOT_KNOWN}
        self._add(request, "first-seen", request.running)

    def _follow_program(self, request: ProvenRequest) -> None:
        row = self.row
        running, report, about = request.app or (0, 0, 0)
        if row["app_running"] != running:
            row["app_running"] = running
            self._add(request, "app-runs", running)
        if (row["app_report"], row["app_report_counter"]) != (report, about):
            row["app_report"], row["app_report_counter"] = report, about
            self._add(request, "app-report", about, str(report))

    def _follow_download(self, request: ProvenRequest, counter: int | None) -> None:
        if counter is None:
            return
        if self.row["target"] != counter:
            self.row |= {"target": counter, "target_at": request.at, "progress": 0, "spare": NOT_KNOWN}
            self._add(request, "download", counter)
        self.row["progress"] = max(self.row["progress"], min(request.first_byte, 1 << 30))

    def _add(self, request: ProvenRequest | ProvenReport, kind: str, counter: int, detail: str = "") -> None:
        self.entries.append({
            "device_id": request.device_id, "at": request.at, "kind": kind, "counter": counter,
            "detail": detail})
