"""What boards prove reaches the database, and no request waits for it (`fleet.recorder`, `fleet.board_story`)."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from slotbench.errors import BenchError
from slotbench.fleet import recorder as recorder_module
from slotbench.fleet.board_list import (
    LATE_S,
    BoardFilter,
    BoardHealth,
    count_boards,
    find_board,
    list_entries,
)
from slotbench.fleet.board_words import entry_words, view_words
from slotbench.fleet.database import FleetDatabase
from slotbench.fleet.recorder import EVENTS_MAX, HISTORY_S, BoardRecorder
from slotbench.fleet.schema import boards, events
from slotbench.fleet.service import FleetService
from slotbench.fleet.site_mirror import SiteMirror
from slotbench.formats.release import Release
from slotbench.release.identities import Identities
from slotbench.release.publish import publish_release
from slotbench.release.store import Store
from slotbench.server import BoardAuthenticator, create_app
from support.board_client import SECRET, BoardClient
from support.commands import MakeRelease
from support.fleet import HEAD_NAME, proven
from support.samples import NOW, PRODUCT, KeyRing

DAY_S = 86400


def words(database: FleetDatabase, device_id: str = "lamp-7") -> list[str]:
    """A board's history as people read it, the oldest first."""
    with database.reading() as connection:
        return [entry_words(entry) for entry in reversed(list_entries(connection, device_id, PRODUCT))]


def test_an_authenticated_request_is_kept_and_others_are_not(tmp_path: Path) -> None:
    (tmp_path / "www/heads/sensor").mkdir(parents=True)
    (tmp_path / "www/heads/sensor/stable.head").write_bytes(b"a head\n")
    Identities({"lamp-7": SECRET}).save(tmp_path / "boards.json")
    authenticator = BoardAuthenticator(tmp_path / "boards.json", clock=lambda: NOW)
    fleet = FleetService(f"sqlite:///{tmp_path}/fleet.sqlite", tmp_path / "www", clock=lambda: NOW)
    authenticator.observer = fleet.recorder.observe
    client = create_app(tmp_path / "www", authenticator).test_client()
    with fleet:
        board, thief = BoardClient(client), BoardClient(client, secret=bytes(32))
        for each in (board, board, thief, thief):
            assert each.get().status_code in (200, 401)
    again = FleetDatabase.open(f"sqlite:///{tmp_path}/fleet.sqlite")  # written when the service ended
    with again.reading() as connection:
        found = find_board(connection, "lamp-7", NOW, 3600)
    assert found is not None
    assert (found.running, found.report, found.report_counter, found.requests) == (5, "confirmed", 5, 1)
    assert (found.product, found.channel, found.address) == ("sensor", "stable", "127.0.0.1")
    again.close()


def test_a_life_is_told(
    database: FleetDatabase, recorder: BoardRecorder, site: Store, ring: KeyRing, make_release: MakeRelease,
    firmware: bytes,
) -> None:
    head = publish_release(site, make_release(7), ring.document, [firmware], ring.load("online"), NOW)
    SiteMirror(database, site.root, lambda: NOW).sync()
    release = Release.from_payload(site.path(f"releases/{head.release}.release").read_bytes().splitlines()[0])
    image = release.images["any"].url
    for request in (
        proven(), proven(at=NOW + 60),
        proven(name=image, at=NOW + 70), proven(name=image, first_byte=50_646, at=NOW + 80),
    ):
        recorder.observe(request)
    assert recorder.flush() == 4
    with database.reading() as connection:
        found = find_board(connection, "lamp-7", NOW + 90, 3600)
    assert found is not None and found.state is BoardHealth.UPDATING
    assert (found.progress, found.target, found.first_seen, found.last_seen) == (50, 7, NOW, NOW + 80)
    recorder.observe(proven(running=7, at=NOW + 100))
    recorder.observe(proven(running=7, report_counter=7, at=NOW + 110))
    recorder.flush()
    recorder.observe(proven(running=7, report=6, report_counter=7, at=NOW + 3 * DAY_S))
    recorder.observe(proven(running=7, report=99, report_counter=7, at=NOW + 3 * DAY_S))
    recorder.flush()
    assert words(database) == [
        "proved for the first time who it is, with counter 5",
        f"began to fetch {release.version} (counter 7)",
        f"runs {release.version} (counter 7)",
        f"confirmed {release.version} (counter 7)",
        "is back after 2 days of silence",
        f"left main.py out: {release.version} (counter 7) crashed or restarted again and again",
        "sent a report that this slotbench does not know"]


def test_the_same_again_is_no_news(database: FleetDatabase, recorder: BoardRecorder) -> None:
    for _ in range(3):
        recorder.observe(proven())
        recorder.flush()
    with database.reading() as connection:
        assert connection.execute(select(boards.c.requests)).scalar_one() == 3
        assert connection.execute(select(func.count()).select_from(events)).scalar_one() == 1


def test_a_full_queue_drops_and_counts(recorder: BoardRecorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "QUEUE_MAX", 3)
    for number in range(5):
        recorder.observe(proven(f"lamp-{number}"))
    assert (recorder.waiting, recorder.dropped) == (3, 2)
    assert recorder.flush() == 3 and recorder.waiting == 0


def test_requests_wait_while_the_database_is_away(database: FleetDatabase, recorder: BoardRecorder) -> None:
    with database.writing() as connection:
        connection.execute(text("ALTER TABLE events RENAME TO elsewhere"))
    recorder.observe(proven())
    with pytest.raises(BenchError, match="cannot be used"):
        recorder.flush()
    recorder.observe(proven("lamp-8"))
    assert recorder.waiting == 2
    with database.writing() as connection:
        connection.execute(text("ALTER TABLE elsewhere RENAME TO events"))
    assert recorder.flush() == 2
    assert len(words(database)) == len(words(database, "lamp-8")) == 1


def test_a_board_that_flickers_fills_no_disk(database: FleetDatabase, recorder: BoardRecorder) -> None:
    for number in range(2 * EVENTS_MAX):
        recorder.observe(proven(running=5 + number % 2, at=NOW + number))
        if number % 40 == 0:
            recorder.flush()
    recorder.flush()
    with database.reading() as connection:
        kept = connection.execute(select(func.count()).select_from(events)).scalar_one()
        newest = connection.execute(select(func.max(events.c.at))).scalar_one()
    assert EVENTS_MAX <= kept <= EVENTS_MAX + 50 and newest == NOW + 2 * EVENTS_MAX - 1


def test_old_history_is_deleted(database: FleetDatabase, recorder: BoardRecorder, clock: list[float]) -> None:
    recorder.observe(proven())
    recorder.observe(proven(running=6, at=NOW + 10))
    recorder.flush()
    clock[0] = NOW + HISTORY_S + 5
    recorder.prune()
    assert words(database) == ["runs counter 6"]


def test_documents_that_cannot_be_read_are_left_out(
    database: FleetDatabase, site: Store, ring: KeyRing, make_release: MakeRelease, firmware: bytes,
    caplog: pytest.LogCaptureFixture,
) -> None:
    publish_release(site, make_release(7), ring.document, [firmware], ring.load("online"), NOW)
    (site.root / f"releases/{'0' * 64}.release").write_bytes(b"{")
    (site.root / "heads/sensor/beta.head").write_bytes(b"[]\n\n")
    mirror = SiteMirror(database, site.root, lambda: NOW)
    mirror.sync()
    mirror.sync()
    assert len([record for record in caplog.records if "left out of the fleet" in record.message]) == 2
    with database.reading() as connection:
        counted = [
            connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()
            for table in ("releases", "images", "heads")]
    assert counted == [1, 1, 1]


def test_a_board_that_moves_to_another_channel_is_seen_there(
    database: FleetDatabase, recorder: BoardRecorder,
) -> None:
    recorder.observe(proven())
    recorder.observe(proven(name=HEAD_NAME.replace("stable", "beta"), address="10.0.0.9"))
    recorder.flush()
    with database.reading() as connection:
        found = find_board(connection, "lamp-7", NOW, 3600)
    assert found is not None and (found.channel, found.address) == ("beta", "10.0.0.9")


def test_the_first_request_is_written_at_once(database: FleetDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "_WRITE_EVERY_S", 3600.0)
    written = threading.Event()
    with BoardRecorder(database, late_s=DAY_S, clock=lambda: NOW) as recorder:
        flush = recorder.flush

        def told() -> int:
            done = flush()
            if done:
                written.set()
            return done

        monkeypatch.setattr(recorder, "flush", told)
        recorder.observe(proven())
        assert written.wait(60)


def test_the_program_of_a_board_is_followed(recorder: BoardRecorder, database: FleetDatabase) -> None:
    said: list[tuple[int, int, int] | None] = [(3, 1, 3), (3, 1, 3), (3, 2, 4), (3, 2, 4)]
    for at, app in enumerate(said):
        recorder.observe(proven(at=NOW + at, app=app))
    recorder.flush()
    with database.reading() as connection:
        board = find_board(connection, "lamp-7", NOW + 9, LATE_S)
        history = list_entries(connection, "lamp-7", PRODUCT)
        assert count_boards(connection, BoardFilter(state=BoardHealth.TROUBLE), NOW + 9, LATE_S) == 1
    assert board is not None and board.state is BoardHealth.TROUBLE
    assert (board.app_running, board.app_report, board.app_report_counter) == (3, "bad", 4)
    assert [entry_words(each) for each in history][:3] == [
        "gave its program, counter 4, up: it raised an exception, or its files are invalid",
        "confirmed its program, counter 3", "runs its program, counter 3"]
    words = view_words(board, NOW + 9)
    assert "Its program is counter 3." in words and words[-1].startswith("It gave its program, counter 4, up")
    recorder.observe(proven(at=NOW + 9))
    recorder.flush()
    with database.reading() as connection:
        board = find_board(connection, "lamp-7", NOW + 9, LATE_S)
        newest = list_entries(connection, "lamp-7", PRODUCT, limit=2)
    assert board is not None and (board.state, board.app_running) == (BoardHealth.WELL, 0)
    assert {entry_words(each) for each in newest} == {
        "runs no program", "says nothing of its program any more"}
