"""What boards reported is kept once, in order, and as words (`fleet.board_story`)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import insert

from slotbench.fleet.board_list import BoardHealth, BoardView, find_board, list_entries
from slotbench.fleet.board_words import entry_words, view_words
from slotbench.fleet.database import FleetDatabase
from slotbench.fleet.recorder import BoardRecorder
from slotbench.fleet.schema import images
from slotbench.formats.board_report import BoardReport, ReportEvent
from slotbench.server import ProvenReport
from support.cockpit import Browser
from support.fleet import proven
from support.samples import NOW, PRODUCT

REPORT = BoardReport(start=7, number=1, event=ReportEvent.START, free=21344, rssi=-61, reset=4)


class ReportingLife:
    """A board that is known, and what it reports."""

    def __init__(self, database: FleetDatabase, recorder: BoardRecorder) -> None:
        self._database, self._recorder = database, recorder
        recorder.observe(proven())
        recorder.flush()

    def tell(self, *reports: BoardReport, device_id: str = "lamp-7", at: int = NOW + 60) -> None:
        for report in reports:
            self._recorder.observe(ProvenReport(device_id=device_id, at=at, report=report))
        self._recorder.flush()

    @property
    def view(self) -> BoardView:
        with self._database.reading() as connection:
            found = find_board(connection, "lamp-7", NOW + 90, 3600)
        assert found is not None
        return found

    @property
    def words(self) -> list[str]:
        """Its history as people read it, without its first entry, the oldest first."""
        with self._database.reading() as connection:
            entries = list_entries(connection, "lamp-7", PRODUCT)
        return [entry_words(entry) for entry in reversed(entries)][1:]


@pytest.fixture
def life(database: FleetDatabase, recorder: BoardRecorder) -> ReportingLife:
    return ReportingLife(database, recorder)


def test_a_start_and_an_error_are_told_in_words(life: ReportingLife) -> None:
    assert not any("reported" in line or "error" in line for line in view_words(life.view, NOW))
    life.tell(REPORT, replace(REPORT, number=2, event=ReportEvent.ERROR, code=12, where=7, free=20000))
    assert life.words == [
        "was started by a restart by the program",
        "reported the error 12 block-mismatch (7): block differs from the block table"]
    assert view_words(life.view, NOW + 90)[-2:] == [
        "It reported just now: 20000 bytes of heap are free, the signal has -61 dBm, it was started by a restart "
        "by the program.",
        "Its last error, just now: 12 block-mismatch (7): block differs from the block table."]
    life.tell(replace(REPORT, number=3, event=ReportEvent.ERROR), replace(REPORT, start=8, code=99, reset=77))
    assert life.words[2:] == [
        "reported the error no memory", "was started by something", "reported the error 99"]


def test_each_report_counts_once_and_none_comes_back(life: ReportingLife) -> None:
    second = replace(REPORT, number=2, event=ReportEvent.ERROR, code=12)
    life.tell(REPORT, REPORT, second)
    life.tell(second, REPORT)
    assert len(life.words) == 2
    life.tell(replace(REPORT, start=8))
    assert len(life.words) == 3, "a new start counts anew"


def test_a_download_is_followed_where_the_bytes_come_from_elsewhere(life: ReportingLife, database: FleetDatabase) -> None:
    with database.writing() as connection:
        connection.execute(insert(images).values(
            sha256="ab" * 32, digest="cd" * 32, product=PRODUCT, counter=7, bytes=160 * 4096))
    download = replace(REPORT, event=ReportEvent.DOWNLOAD, counter=7, done=40, blocks=160)
    life.tell(download, replace(download, number=2, done=80))
    view = life.view
    assert (view.state, view.target, view.progress) == (BoardHealth.UPDATING, 7, 50)
    assert life.words == ["began to fetch counter 7"]
    life.tell(replace(download, number=3, counter=5, done=1))
    assert life.view.target == 7, "what runs already is not fetched"


def test_no_report_says_that_a_board_is_well(life: ReportingLife, recorder: BoardRecorder) -> None:
    recorder.observe(proven(report=2, report_counter=7))
    recorder.flush()
    life.tell(replace(REPORT, event=ReportEvent.CONFIRMED, counter=7))
    assert (life.view.state, life.view.running, life.view.report) == (BoardHealth.TROUBLE, 5, "bad")


def test_a_traceback_is_told_once_for_each(life: ReportingLife) -> None:
    trace = '4 1 10\n  File "main.py", line 3\nValueError: no\n'
    life.tell(replace(REPORT, trace=trace), replace(REPORT, start=8, trace=trace), replace(REPORT, start=9))
    told = [words for words in life.words if "traceback" in words]
    assert told == ['reported a traceback of its application: 4 1 10 |   File "main.py", line 3 | ValueError: no']
    assert life.view.trace == trace


def test_of_a_board_that_is_not_known_nothing_is_kept(life: ReportingLife, database: FleetDatabase) -> None:
    life.tell(REPORT, device_id="lamp-9")
    with database.reading() as connection:
        assert find_board(connection, "lamp-9", NOW, 3600) is None
    assert not life.words


def test_what_a_board_says_is_text_on_its_page(life: ReportingLife, browser: Browser) -> None:
    life.tell(replace(REPORT, trace='"><script>alert(1)</script>{{7*7}}\n'))
    found = browser.get("/board?id=lamp-7")
    assert found.status_code == 200
    assert "<script>alert" not in found.text and "&lt;script&gt;alert(1)" in found.text and "{{7*7}}" in found.text
