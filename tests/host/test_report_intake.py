"""POST report: taken from authenticated boards only, bounded, limited, and never a success before its proof."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from slotbench.formats import FormatError
from slotbench.formats.board_report import REPORT_BYTES_MAX, BoardReport, ReportEvent
from slotbench.release.identities import Identities
from slotbench.server import BoardAuthenticator, ProvenReport, ReportIntake, create_app
from slotbench.server.report_intake import REPORTS_A_MINUTE
from support.board_client import SECRET, BoardClient
from support.samples import NOW
from support.sampling import examples

REPORT = BoardReport(
    start=12345, number=1, event=ReportEvent.ERROR, code=12, where=7, free=21344, rssi=-61, reset=4)
BODY = REPORT.to_payload()
OTHER = bytes(range(1, 33))


class Told:
    """A server that takes reports, and what it took. `clock` is its time."""

    def __init__(self, folder: Path, *, require: bool = False) -> None:
        Identities({"lamp-7": SECRET, "lamp-8": OTHER}).save(folder / "identities.json")
        (folder / "www/heads/sensor").mkdir(parents=True)
        (folder / "www/heads/sensor/stable.head").write_bytes(b"a head\n")
        self.clock = float(NOW)
        self.reports: list[ProvenReport] = []
        boards = BoardAuthenticator(folder / "identities.json", require=require, clock=lambda: self.clock)
        intake = ReportIntake(self.reports.append, clock=lambda: self.clock)
        self.client: FlaskClient = create_app(folder / "www", boards, intake).test_client()
        self.board = BoardClient(self.client)


@pytest.fixture(params=[False, True], ids=["open", "require"])
def told(tmp_path: Path, request: pytest.FixtureRequest) -> Told:
    return Told(tmp_path, require=request.param)


def test_a_report_is_taken_from_a_board_that_proves_who_it_is(told: Told) -> None:
    first = told.board.post(BODY)
    assert (first.status_code, first.data) == (401, b"") and told.board.nonce and not told.reports
    taken = told.board.post(BODY)
    assert (taken.status_code, taken.data, taken.headers["Content-Length"]) == (200, b"", "0")
    assert told.reports == [ProvenReport(device_id="lamp-7", at=NOW, report=REPORT)]
    assert told.board.get().status_code == 200, "the same challenge goes on"
    assert told.board.post(BODY).status_code == 200 and len(told.reports) == 2, "who keeps it tells them apart"


def test_without_a_proof_nothing_is_taken(told: Told) -> None:
    assert told.client.post("/report", data=BODY).status_code == 401
    told.board.post(BODY)
    header = told.board.proof("/report", nc=1, method="POST", body=BODY)
    stranger = BoardClient(told.client, secret=bytes(32))
    stranger.nonce = told.board.nonce
    expected = (401, 403)
    for refused in (
        told.board.post(BODY, proves=BODY + b" "), told.board.post(BODY, proves=b""), stranger.post(BODY),
        told.client.post("/report", data=BODY, headers={"Authorization": header.replace("lamp-7", "lamp-8")}),
        told.client.post("/report", data=BODY, headers={"Authorization": told.board.proof("/report", nc=9)}),
    ):
        assert refused.status_code in expected
    assert not told.reports


def test_a_recorded_report_is_not_taken_again(told: Told) -> None:
    told.board.post(BODY)
    header = told.board.proof("/report", nc=1, method="POST", body=BODY)
    answers = [told.client.post("/report", data=BODY, headers={"Authorization": header}).status_code for _ in "12"]
    assert answers == [200, 401] and len(told.reports) == 1


@pytest.mark.parametrize(("header", "status"), [
    ({"report": "1/5", "running": 5}, 200), ({"report": "0/0", "running": 5}, 400),
    ({"report": "2/5", "running": 5}, 400), ({"report": "1/5", "running": 6}, 400),
    ({"report": "1/4", "running": 5}, 400),
])
def test_a_success_counts_beside_its_proof_only(told: Told, header: dict[str, Any], status: int) -> None:
    told.board.post(BODY)
    body = replace(REPORT, event=ReportEvent.CONFIRMED, code=0, where=0).to_payload()
    assert told.board.post(body, **header).status_code == status
    assert len(told.reports) == (status == 200)


def test_a_body_that_is_too_long_or_has_no_length_is_refused_before_it_is_looked_at(told: Told) -> None:
    told.board.post(BODY)
    assert told.board.post(b" " * (REPORT_BYTES_MAX - len(BODY)) + BODY).status_code == 200
    for body in (b" " * (REPORT_BYTES_MAX + 1), b"", b"x" * 60_000):
        assert told.board.post(body).status_code == 413
    chunked = told.client.post("/report", input_stream=None, headers={"Transfer-Encoding": "chunked"})
    assert chunked.status_code == 413 and len(told.reports) == 1


def test_too_many_reports_are_refused_for_a_minute(told: Told) -> None:
    told.board.post(BODY)
    answers = [told.board.post(BODY) for _ in range(REPORTS_A_MINUTE + 3)]
    assert [each.status_code for each in answers] == [200] * REPORTS_A_MINUTE + [429] * 3
    assert answers[-1].headers["Retry-After"] == "60" and len(told.reports) == REPORTS_A_MINUTE
    other = BoardClient(told.client, "lamp-8", OTHER)
    other.post(BODY)
    assert other.post(BODY).status_code == 200, "another board is not held back"
    told.clock += 60
    assert told.board.post(BODY).status_code == 200
    assert told.board.get().status_code == 200, "its other requests never were"


@pytest.mark.parametrize("method", ["get", "head", "put", "delete"])
def test_there_is_nothing_else_at_that_place(told: Told, method: str) -> None:
    if method in ("get", "head"):
        told.board.get("/report")
        assert told.board.get("/report").status_code == 404
    else:
        assert getattr(told.client, method)("/report").status_code in (401, 405)


def test_a_server_without_a_place_for_reports_says_so(tmp_path: Path) -> None:
    told = Told(tmp_path)
    without = create_app(tmp_path / "www", BoardAuthenticator(tmp_path / "identities.json")).test_client()
    assert without.post("/report", data=BODY).status_code == 405
    assert create_app(tmp_path / "www").test_client().post("/report", data=BODY).status_code == 405
    assert not told.reports


HOSTILE: list[Callable[[dict[str, Any]], object]] = [
    lambda r: r.update(event=5), lambda r: r.update(event=0), lambda r: r.update(event="1"), lambda r: r.pop("event"),
    lambda r: r.update(number=0), lambda r: r.update(number=1 << 31), lambda r: r.update(start=-1),
    lambda r: r.update(start=1 << 30), lambda r: r.update(code=256), lambda r: r.update(code=-1),
    lambda r: r.update(where=1 << 32), lambda r: r.update(where=-(1 << 31)), lambda r: r.update(where=True),
    lambda r: r.update(done=3, blocks=2), lambda r: r.update(blocks=4097), lambda r: r.update(counter=1 << 32),
    lambda r: r.update(free=-1), lambda r: r.update(rssi=1e9), lambda r: r.update(rssi=None),
    lambda r: r.update(reset=[]), lambda r: r.update(trace=7), lambda r: r.update(trace="x" * 241),
    lambda r: r.update(trace="\x1b[2J"), lambda r: r.update(trace="caf\u00e9"), lambda r: r.update(trace="a\r\nb"),
    lambda r: r.update(free={"$gt": 0}),
]


@pytest.mark.parametrize("spoil", HOSTILE)
def test_a_wrong_field_is_refused(told: Told, spoil: Callable[[dict[str, Any]], object]) -> None:
    fields = json.loads(BODY)
    spoil(fields)
    told.board.post(BODY)
    assert told.board.post(json.dumps(fields).encode()).status_code == 400 and not told.reports


@pytest.mark.parametrize("body", [
    b"\x00", b"[]", b"{}", b"{", b'{"event":1,"event":2}', b"[" * 1000, b'{"start":' + b"9" * 900 + b"}", b"\xff\xfe{}"])
def test_what_is_no_report_is_refused(told: Told, body: bytes) -> None:
    told.board.post(BODY)
    assert told.board.post(body).status_code == 400 and not told.reports


def test_fields_of_a_newer_board_are_left_out() -> None:
    assert BoardReport.from_payload(BODY[:-1] + b',"moon":"full"}') == REPORT


@given(body=st.binary(max_size=200) | st.text(max_size=100).map(lambda text: json.dumps({"trace": text}).encode()))
@examples(200)
def test_any_bytes_are_a_report_or_refused(body: bytes) -> None:
    try:
        report = BoardReport.from_payload(body)
    except FormatError:
        return
    assert BoardReport.from_payload(report.to_payload()) == report


def test_a_report_that_the_format_does_not_allow_is_not_written() -> None:
    with pytest.raises(FormatError, match="trace is not printable ASCII"):
        replace(REPORT, trace="\x1b").to_payload()
    with pytest.raises(FormatError, match="field done"):
        replace(REPORT, done=1).to_payload()
