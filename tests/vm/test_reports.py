"""What boards tell their server beside their requests (telemetry.py, http/report.py), under both VMs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slotbench.formats.board_report import ReportEvent
from slotbench.formats.journal import Report
from slotbench.release.identities import Identities
from slotbench.release.publish import Rollout
from slotbench.server import BoardAuthenticator, ProvenReport, ReportIntake, create_app
from slotbench.vboard.board import VirtualBoard
from slotbench.vboard.network.wsgi import WsgiNetwork
from slotbench.vboard.vms import VMS
from support.testbed import APPLICATION, BUSY_MAIN, HOURS_MS, MINUTES_MS, make_testbed, runs_confirmed, update_to

pytestmark = pytest.mark.usefixtures("micropython")

SECRET = bytes(range(32))
START, DOWNLOAD, ERROR, CONFIRMED = ReportEvent
REPORTS_BYTES = 1_000
"""Without names, whose pool doubles now and then."""
REPORTS_NAMES = 7
APPLICATION_BYTES = 6_144
LARGE = 300_000
"""Bytes of an image that takes a while."""


BOTH = pytest.mark.parametrize("vm", list(VMS))


class ReportingHouse:
    """A server that takes reports, and a board that sends them. `told` are those that came, once each."""

    def __init__(self, folder: Path, vm: str, size: int | None = None) -> None:
        self.testbed = make_testbed(folder, vm=VMS[vm], main=BUSY_MAIN, **({} if size is None else {"size": size}))
        Identities({"lamp-7": SECRET}).save(folder / "identities.json")
        self.proven: list[Any] = []
        self.told: list[ProvenReport] = []
        self.statuses: list[str] = []
        self.answers: list[str] = []
        boards = BoardAuthenticator(folder / "identities.json", require=True, observer=self.proven.append)
        self.app = create_app(self.testbed.publisher.site.root, boards, ReportIntake(self.told.append))

    def listen(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        """The application; `answers` are said in place of its answers to the next reports."""

        def started(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            if environ["PATH_INFO"] == "/report" and status[:3] == "200":
                status = self.answers.pop(0) if self.answers else status
                self.statuses.append(status)
            return start_response(status, headers, *rest)

        return self.app(environ, started)

    def board(self, network: Any = None, *, has_secret: bool = True, **settings: object) -> VirtualBoard:
        def edit(files: dict[str, bytes]) -> None:
            kept = json.loads(files["/twoslot.json"])
            files["/twoslot.json"] = json.dumps(kept | {"device_id": "lamp-7", "report": True} | settings).encode()
            if has_secret:
                files["/twoslot.secret"] = Identities({"lamp-7": SECRET}).secret_file("lamp-7")

        return self.testbed.board(network or WsgiNetwork(self.listen), edit=edit)

    @property
    def events(self) -> list[tuple[ReportEvent, int]]:
        """What came, and the counter that ran then."""
        return [(each.report.event, self.proven_before(each)) for each in self.told]

    def proven_before(self, told: ProvenReport) -> int:
        reports = [each for each in self.proven if each.name == "report"]
        return int(reports[self.told.index(told)].running)


@pytest.fixture
def vm() -> str:
    """One of the VMs; a test of what the two could do differently names both."""
    return "cpython"


@pytest.fixture
def house(tmp_path: Path, vm: str) -> ReportingHouse:
    return ReportingHouse(tmp_path, vm)


@BOTH
def test_an_update_is_told_from_its_start_to_its_confirmation(tmp_path: Path, vm: str) -> None:
    house = ReportingHouse(tmp_path, vm, LARGE)
    house.testbed.publish(2)
    board = house.board()
    update_to(board, 2)
    board.run(MINUTES_MS)
    assert house.events == [
        (START, 1), *[(DOWNLOAD, 1)] * 3, (START, 2), (CONFIRMED, 2)], house.told
    downloads = [each.report for each in house.told if each.report.event is DOWNLOAD]
    assert [4 * each.done // each.blocks for each in downloads] == [1, 2, 3]
    assert {each.counter for each in downloads} == {2}
    said = [(each.report.board, each.report.slot, each.report.spare) for each in house.told]
    profile = board.profile.name
    assert said == [(profile, 0, 0), *[("", None, None)] * 3, *[(profile, 1, 1)] * 2], "both slots, by the journal"
    starts = {each.report.start for each in house.told}
    assert len(starts) == 2 and [each.report.number for each in house.told] == [1, 2, 3, 4, 1, 2]
    assert all(each.report.free > 0 and each.report.code == 0 for each in house.told)
    last = house.proven[-1]
    assert (last.report, last.report_counter, last.running) == (Report.CONFIRMED, 2, 2)
    confirmed_at = [each.report.event for each in house.told].index(CONFIRMED)
    before = [each for each in house.proven if each.name == "report"][confirmed_at - 1]
    assert before.report != Report.CONFIRMED or before.report_counter != 2, "nothing says so before it is so"


@BOTH
def test_off_is_off(house: ReportingHouse) -> None:
    house.testbed.publish(2)
    board = house.board(report=False)
    update_to(board, 2)
    assert not house.told and "/report" not in {request.path for request in board.network.requests}
    assert not [name for name in board.evaluate("list(__import__('sys').modules)") if "telemetry" in name]


def test_what_got_no_answer_comes_again_with_its_number(house: ReportingHouse) -> None:
    house.answers = ["503 Busy", "429 Too Many"]
    board = house.board()
    board.power_on()
    board.run(HOURS_MS, until=lambda: len(house.told) == 3)
    assert [(each.report.number, each.report.event) for each in house.told] == [(1, START)] * 3
    assert len({each.report for each in house.told}) == 1, "the very same report"
    assert house.statuses[-1] == "200 OK"


def test_a_refusal_is_told_at_once_and_once(house: ReportingHouse) -> None:
    house.testbed.publish(2)
    board = house.board(board="d1_mini")
    board.power_on()
    board.run(3 * MINUTES_MS)
    told = [(each.report.event, each.report.code) for each in house.told]
    assert told == [(START, 0), (ERROR, 26)], "within minutes of an interval of ten"
    board.run(2 * HOURS_MS)
    assert len(house.told) == 2, "each check ends with it"


def test_an_error_is_told_once_though_what_is_usual_comes_between(house: ReportingHouse) -> None:
    house.testbed.publish(2, rollout=Rollout(percent=0))
    board = house.board()
    board.power_on()
    board.run(MINUTES_MS)
    for code in (46, 28, 46):
        board.evaluate(f"twoslot._log.append((0, {code}, 9))")
        board.run(MINUTES_MS)
    assert [each.report.code for each in house.told] == [0, 46]


@pytest.mark.parametrize("rollout", [Rollout(paused=True), Rollout(percent=0)])
def test_what_is_usual_is_no_news(house: ReportingHouse, rollout: Rollout) -> None:
    house.testbed.publish(2, rollout=rollout)
    board = house.board()
    board.power_on()
    board.run(HOURS_MS)
    assert [each.report.event for each in house.told] == [START]


def test_an_outage_is_told_when_it_is_over(house: ReportingHouse) -> None:
    board = house.board()
    board.power_on()
    board.run(MINUTES_MS, until=lambda: len(house.told) == 1)
    board.network.online = False
    board.run(HOURS_MS // 2)
    board.network.online = True
    board.run(HOURS_MS, until=lambda: len(house.told) > 1)
    assert (house.told[-1].report.event, house.told[-1].report.code) == (ERROR, 1)


@pytest.mark.parametrize("answer", ["404 Not Found", "405 Method Not Allowed", "501 Not Implemented"])
def test_a_server_that_takes_no_reports_is_left_alone(house: ReportingHouse, answer: str) -> None:
    house.testbed.publish(2)
    house.answers = [answer, answer]
    board = house.board()
    update_to(board, 2)
    board.run(HOURS_MS)
    assert len(house.statuses) == 2, "one in each start"
    assert runs_confirmed(board, 2)


def test_a_plain_web_server_updates_a_board_that_would_report(house: ReportingHouse) -> None:
    house.testbed.publish(2)
    board = house.board(WsgiNetwork(house.testbed.app))
    update_to(board, 2)
    assert [request.path for request in board.network.requests].count("/report") == 2


def test_a_board_without_a_secret_reports_nothing(house: ReportingHouse) -> None:
    house.testbed.publish(2)
    board = house.board(WsgiNetwork(house.testbed.app), has_secret=False)
    update_to(board, 2)
    assert "/report" not in {request.path for request in board.network.requests}


@BOTH
def test_the_traceback_of_an_application_is_carried(house: ReportingHouse) -> None:
    board = house.board()
    text = '4 0 10\nTraceback (most recent call last):\n  File "main.py"\x00\xff\nValueError: "no" \\ yes\n'
    board.files["/twoslot.why"] = text.encode("latin-1")
    board.power_on()
    board.run(MINUTES_MS, until=lambda: bool(house.told))
    trace = house.told[0].report.trace
    assert trace == text.replace("\x00", "?").replace("\xff", "?")


@pytest.mark.parametrize("status", ["400 Bad Request", "413 Too Large"])
def test_what_the_server_cannot_read_is_not_sent_again(house: ReportingHouse, status: str) -> None:
    house.testbed.publish(2, rollout=Rollout(percent=0))
    house.answers = [status]
    board = house.board()
    board.power_on()
    board.run(HOURS_MS)
    assert len(house.told) == 1


def test_what_it_takes_on_the_real_vm_and_that_a_turn_takes_nothing(tmp_path: Path) -> None:
    used = []
    for number, is_on in enumerate((False, True)):
        (tmp_path / str(number)).mkdir()
        house = ReportingHouse(tmp_path / str(number), "micropython")
        house.testbed.publish(2, rollout=Rollout(percent=0))
        board = house.board(report=is_on)
        board.power_on()
        board.run(2 * MINUTES_MS)
        assert len(house.told) == is_on
        if is_on:
            lock, unlock = (f"__import__('micropython').heap_{what}lock()" for what in ("", "un"))
            assert board.evaluate(f"[{lock}, __import__('twoslot')._pollers[0](), {unlock}][1]") is None
        info = re.findall(r"n_qstr=(\d+).*n_total_bytes=(\d+)", board.run_line(
            "__import__('micropython').qstr_info()"))
        names, bytes_of_names = map(int, info[0])
        heap = board.evaluate("[__import__('gc').collect(), __import__('gc').mem_alloc()][1]")
        used.append((heap - bytes_of_names, names))
        board.power_off()
    (without, names_without), (reporting, names) = used
    print(f"{reporting - without} bytes and {names - names_without} names more with reports")
    assert 0 < reporting - without <= REPORTS_BYTES and names - names_without <= REPORTS_NAMES


def test_an_update_fits_beside_it_and_an_application(tmp_path: Path) -> None:
    house = ReportingHouse(tmp_path, "micropython", LARGE)
    house.testbed.main = APPLICATION.replace("10240", str(APPLICATION_BYTES)) + BUSY_MAIN
    house.testbed.publish(2)
    board = house.board()
    update_to(board, 2)
    board.run(MINUTES_MS)
    assert CONFIRMED in [each.report.event for each in house.told]
    assert len(board.boots) == 2, "the update needed no start before main.py"
