"""What boards reported is kept once, in order, and as words (`fleet.board_story`)."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from sqlalchemy import insert

from slotbench.fleet.board_list import BoardHealth, BoardView, find_board, list_entries
from slotbench.fleet.board_words import entry_words, view_words
from slotbench.fleet.database import FleetDatabase
from slotbench.fleet.recorder import BoardRecorder
from slotbench.fleet.schema import images, releases
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


def test_profile_slot_and_both_releases_are_kept(life: ReportingLife, recorder: BoardRecorder) -> None:
    life.tell(REPORT)
    assert (life.view.board, life.view.slot, life.view.spare) == ("", "", None), "an older board says nothing of it"
    told = replace(REPORT, start=8, board="d1_mini", slot=1, spare=4)
    life.tell(told)
    assert (life.view.board, life.view.slot, life.view.spare) == ("d1_mini", "B", 4)
    assert view_words(life.view, NOW)[1] == (
        "It runs counter 5 of sensor/stable on d1_mini, in slot B; the other slot has counter 4.")
    life.tell(replace(told, start=9, slot=0, spare=0))
    assert "in slot A; the other slot is empty." in view_words(life.view, NOW)[1]
    life.tell(replace(told, start=10), replace(REPORT, start=10, number=2, event=ReportEvent.DOWNLOAD, counter=7))
    assert (life.view.slot, life.view.spare) == ("B", None), "an update changes the other slot"
    life.tell(replace(told, start=11, spare=7))
    recorder.observe(proven(running=7, report_counter=7))
    recorder.flush()
    assert (life.view.board, life.view.slot, life.view.spare) == ("d1_mini", "", None), "told of another start"


@pytest.mark.parametrize(("listed", "proof", "expected"), [
    (["d1_mini"], {}, "d1_mini"), (["d1_mini", "nodemcu"], {}, ""), (["d1_mini"], {"report": 0}, ""),
    (["d1_mini"], {"report_counter": 4}, ""), (["d1_mini"], {"running": 6, "report_counter": 6}, ""),
    (["d1_mini"], {"name": "blocks/00.blocks"}, ""),
])
def test_a_release_for_one_profile_tells_it_of_boards_that_confirmed_it(
    database: FleetDatabase, recorder: BoardRecorder, listed: list[str], proof: dict[str, object], expected: str,
) -> None:
    with database.writing() as connection:
        connection.execute(insert(releases).values(
            digest="ab" * 32, product=PRODUCT, counter=5, version="1.0.0", channels="[]", boards=json.dumps(listed),
            notes="", preflight="", floor=0, created=NOW, bytes=1))
    recorder.observe(proven(**proof))
    recorder.flush()
    with database.reading() as connection:
        found = find_board(connection, "lamp-7", NOW, 3600)
    assert found is not None and found.board == expected


def test_of_a_board_that_is_not_known_nothing_is_kept(life: ReportingLife, database: FleetDatabase) -> None:
    life.tell(REPORT, device_id="lamp-9")
    with database.reading() as connection:
        assert find_board(connection, "lamp-9", NOW, 3600) is None
    assert not life.words


def test_what_a_board_says_is_text_on_its_page(life: ReportingLife, browser: Browser) -> None:
    life.tell(replace(
        REPORT, trace='"><script>alert(1)</script>{{7*7}}\n', board='"><script>alert(2)</script>', slot=0, spare=0))
    for page in ("/board?id=lamp-7", "/boards", "/boards?search=alert", "/boards?board=%22%3E%3Cscript%3E"):
        found = browser.get(page)
        assert found.status_code == 200 and "<script>alert" not in found.text
    found = browser.get("/board?id=lamp-7")
    assert "&lt;script&gt;alert(1)" in found.text and "&lt;script&gt;alert(2)" in found.text
    assert "{{7*7}}" in found.text
