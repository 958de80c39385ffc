"""Applications over the air, from the site to the confirmed trial, on a virtual board."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from slotbench.prove.testbed import HOURS_MS, NOW, TestBed
from slotbench.vboard.board import VirtualBoard
from support.applications import program, publish_application, record_of, runs_application
from support.testbed import BUSY_MAIN


@pytest.fixture
def testbed(tmp_path: Path) -> TestBed:
    return TestBed(tmp_path, main=BUSY_MAIN)


Printed = list[str]


def powered(testbed: TestBed) -> tuple[VirtualBoard, Printed]:
    """A board that runs, and what it prints."""
    board, printed = testbed.board(), Printed()
    board.on_print = printed.append
    board.power_on()
    return board, printed


def updated(board: VirtualBoard, counter: int, hours: int = 4) -> None:
    board.run(hours * HOURS_MS, until=lambda: runs_application(board, counter))
    assert runs_application(board, counter)


def test_a_first_application_is_installed_and_confirmed(testbed: TestBed) -> None:
    publish_application(testbed, 1, program(1, lib__py=b"x = 1\n"))
    board, printed = powered(testbed)

    updated(board, 1)

    assert board.files["/app_a/lib.py"] == b"x = 1\n"
    assert record_of(board).report == 1


def test_the_next_one_copies_what_stays_and_downloads_what_changed(testbed: TestBed) -> None:
    big = bytes(range(256)) * 40
    publish_application(testbed, 1, program(1, lib__py=b"x = 1\n", big__bin=big, old__txt=b"old"))
    board, printed = powered(testbed)
    updated(board, 1)
    publish_application(testbed, 2, program(2, lib__py=b"x = 2\n", big__bin=big))
    seen = len(board.network.requests)
    updated(board, 2)

    asked = [request.path for request in board.network.requests[seen:] if request.path.startswith("/files/")]
    assert len(asked) == 2
    assert board.files["/app_b/big.bin"] == big
    assert "/app_b/old.txt" not in board.files
    assert "application 2" in "".join(printed)
    record = record_of(board)
    assert (record.active, [folder.counter for folder in record.folders]) == (1, [1, 2])


def test_a_program_that_crashes_falls_back_and_is_bad(testbed: TestBed) -> None:
    publish_application(testbed, 1)
    board, printed = powered(testbed)
    updated(board, 1)
    publish_application(testbed, 2, program(2, "import machine, time\nw = machine.WDT()\ntime.sleep_ms(60000)\n"))
    board.run(2 * HOURS_MS)

    record = record_of(board)
    assert (record.active, record.folders[1].state, record.report, record.bad_counter) == (0, 3, 2, 2)
    assert "".join(printed).count("application 2") == 3
    publish_application(testbed, 3)
    updated(board, 3)


def test_a_program_that_raises_falls_back_at_once_and_says_why(testbed: TestBed) -> None:
    publish_application(testbed, 1)
    board, printed = powered(testbed)
    updated(board, 1)
    publish_application(testbed, 2, program(2, "1 / 0\n"))
    board.run(6 * HOURS_MS)

    record = record_of(board)
    assert (record.active, record.folders[1].state, record.report, record.bad_counter) == (0, 3, 2, 2)
    assert "".join(printed).count("application 2") == 3
    assert "ZeroDivisionError" in board.run_line("print(twoslot.status()['app_trace'])")


@pytest.mark.parametrize("end", ["raise OSError(5)\n", ""], ids=["OSError", "ends"])
def test_what_may_be_its_surroundings_is_unproven_and_tried_again(testbed: TestBed, end: str) -> None:
    publish_application(testbed, 1)
    board, printed = powered(testbed)
    updated(board, 1)
    publish_application(testbed, 2, {"main.py": f"print('application 2')\n{end}".encode()})
    board.run(6 * HOURS_MS)

    record = record_of(board)
    assert (record.active, record.bad_counter, record.unproven_counter, record.rounds) == (0, 0, 2, 4)
    assert "".join(printed).count("application 2") == 12
    assert "".join(printed).rstrip().endswith("application 1")


def test_firmware_and_application_together(testbed: TestBed) -> None:
    publish_application(testbed, 1)
    board, printed = powered(testbed)
    updated(board, 1)
    publish_application(testbed, 2, firmware=2, firmware_low=2)
    updated(board, 2)

    assert board.result is not None and board.result.counter == 2
    record = record_of(board)
    assert record.with_firmware == 2
    assert "application 2" in "".join(printed)


@pytest.mark.parametrize("beside", [0, 1], ids=["no application", "the one that runs"])
def test_a_firmware_alone_on_a_board_with_an_application(testbed: TestBed, beside: int) -> None:
    publish_application(testbed, 1)
    board, _ = powered(testbed)
    updated(board, 1)
    if beside:
        publish_application(testbed, 1, firmware=2, now=NOW + 1000)
    else:
        image = testbed.images[2] = testbed.firmware("2.0.0")
        testbed.publisher.publish(image, [testbed.profile], version="2.0.0", counter=2, now=NOW + 1000)
    board.run(4 * HOURS_MS, until=lambda: board.result is not None and board.result.counter == 2)

    assert board.result is not None and board.result.counter == 2
    assert runs_application(board, 1)


def test_an_application_that_fails_takes_its_firmware_back(testbed: TestBed) -> None:
    publish_application(testbed, 1)
    board, printed = powered(testbed)
    updated(board, 1)
    publish_application(testbed, 2, program(2, "1 / 0\n"), firmware=2, firmware_low=2)
    board.run(3 * HOURS_MS)

    assert board.result is not None and board.result.counter == 1
    assert runs_application(board, 1) or record_of(board).active == 1
    assert "".join(printed).rstrip().endswith("application 1")


def refused_with(board: VirtualBoard, code: int) -> bool:
    """Whether the board's log has this code, after an hour."""
    board.run(HOURS_MS)
    return f"{code}" in [line.split()[1] for line in board.run_line("import twoslot; twoslot.log()").splitlines() if line]


@pytest.fixture
def running(testbed: TestBed) -> VirtualBoard:
    """A board that runs application 5, with data of layout 3."""
    publish_application(testbed, 5, data=3, floor=5)
    board, _ = powered(testbed)
    updated(board, 5)
    return board


@pytest.mark.parametrize(("counter", "fields", "code"), [
    (6, {"data": 2}, 81),
    (6, {"data": 3, "abi": 5}, 80),
    (6, {"data": 3, "firmware_low": 2}, 80),
    (4, {"data": 3}, 28),
])
def test_what_does_not_fit_is_refused(
    testbed: TestBed, running: VirtualBoard, counter: int, fields: dict[str, int], code: int,
) -> None:
    publish_application(testbed, counter, now=0 if counter > 5 else 10**6 + 1_790_000_000, allow_older=True, **fields)

    assert refused_with(running, code)
    assert runs_application(running, 5)


def test_room_is_checked_before_a_byte_is_written(testbed: TestBed, running: VirtualBoard) -> None:
    running.files["/data/log"] = bytes(600 * 1024)
    before = dict(running.files)
    publish_application(testbed, 6, {**program(6), "big.bin": bytes(200 * 1024)}, data=3)

    assert refused_with(running, 83)
    assert running.files == before


def test_a_file_that_is_not_what_was_signed_is_not_kept(testbed: TestBed, running: VirtualBoard) -> None:
    publish_application(testbed, 6, program(6, more__py=b"x = 6\n"), data=3)
    honest = testbed.app
    running.network.app = lambda environ, start: [  # type: ignore[attr-defined]
        b"".join(honest(environ, start)).replace(b"x = 6", b"x = 7")]

    assert refused_with(running, 84)
    assert runs_application(running, 5)
    running.network.app = honest  # type: ignore[attr-defined]
    updated(running, 6)
    assert running.files["/app_b/more.py"] == b"x = 6\n"


def test_a_file_that_the_list_does_not_name_is_not_kept(testbed: TestBed, running: VirtualBoard) -> None:
    """Whatever wrote it there: an import would find it."""
    publish_application(testbed, 6, program(6, more__py=b"x = 6\n"), data=3)
    honest = testbed.app

    asked: list[str] = []

    def serve(environ: dict[str, Any], start: Any) -> Any:
        if environ["PATH_INFO"].startswith("/files/"):
            asked.append(environ["PATH_INFO"])
            if len(asked) == 1:
                running.files["/app_b/machine.py"] = b"x = 1\n"
        return honest(environ, start)

    running.network.app = serve  # type: ignore[attr-defined]
    updated(running, 6)
    assert "/app_b/machine.py" not in running.files
    assert len(asked) == 2 * len(set(asked)), "the folder was emptied, and all of it came anew"


def test_rollback_goes_back_to_the_application_before(testbed: TestBed) -> None:
    publish_application(testbed, 1)
    board, printed = powered(testbed)
    updated(board, 1)
    publish_application(testbed, 2)
    updated(board, 2)
    assert "'app_counter': 2" in board.run_line("print(twoslot.status())")

    board.run_line("twoslot.rollback()")
    board.run(60_000)

    record = record_of(board)
    assert (record.active, record.bad_counter, record.folders[1].state) == (0, 2, 3)
    assert "'app_counter': 1" in board.run_line("print(twoslot.status())")


def test_rollback_does_not_go_below_the_floor(testbed: TestBed) -> None:
    publish_application(testbed, 1)
    board, _ = powered(testbed)
    updated(board, 1)
    publish_application(testbed, 2, floor=2)
    updated(board, 2)
    assert "refused: 65 " in board.run_line("twoslot.rollback()")
    assert runs_application(board, 2)
