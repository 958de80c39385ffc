"""An application that goes to another folder: twoslot finds its modules and files all the same, on each VM."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from slotbench.vboard.board import VirtualBoard
from slotbench.vboard.vm import DeviceVM
from support.testbed import BUSY_MAIN, MINUTES_MS, TestBed, make_testbed, runs_confirmed, update_to

GOES = "import os\nos.chdir('/data')\n"
ABSOLUTE = b'if __path__[0] != "/"'
MODULE = "/twoslot/__init__.py"


def goes(files: dict[str, bytes]) -> None:
    files["/data/notes.txt"] = b"of the application"


@pytest.fixture
def bed(tmp_path: Path, vm: Callable[..., DeviceVM]) -> TestBed:
    testbed = make_testbed(tmp_path, vm=vm, main=GOES + BUSY_MAIN, edit=goes)
    testbed.publish(2)
    return testbed


def folders(board: VirtualBoard) -> set[str]:
    """Where there are files, below the root."""
    return {path.rpartition("/")[0] for path in board.files if not path.startswith("/twoslot/")}


def test_a_board_updates_from_another_folder(bed: TestBed) -> None:
    board = bed.board()
    update_to(board, 2)

    assert board.evaluate("__import__('os').getcwd()") == "/data"
    assert board.evaluate("[len(twoslot._log), twoslot.status()['confirmed']]") == [0, True]
    assert folders(board) == {"", "/data"}


def test_all_that_is_loaded_at_times_is_found(bed: TestBed, vm: Callable[..., DeviceVM]) -> None:
    """A secret, a broker, a clock, the push port, a button; and what a person types."""
    def edit(files: dict[str, bytes]) -> None:
        goes(files)
        files["/twoslot.secret"] = json.dumps({"secret": "ab" * 32}).encode()
        settings = json.loads(files["/twoslot.json"]) | {"ntp": "10.0.0.1", "mqtt": "10.0.0.1", "quiet": [1, 2]}
        files["/twoslot.json"] = json.dumps(settings).encode()

    bed.main = GOES + "import twoslot\ntwoslot.listen(10, wait=False)\nfrom twoslot import button\nbutton.watch(0)\n" + BUSY_MAIN
    bed.edit = edit
    board = bed.board()
    update_to(board, 2)
    said: list[str] = []
    board.on_print = said.append
    for line in ("twoslot.log()", "twoslot.check()", "twoslot.confirm()", "twoslot.update()"):
        board.run_line(line)
    assert "Traceback" not in "".join(said) and "up-to-date" in "".join(said)


def test_a_package_that_is_found_from_where_the_program_is_fails_this_test(bed: TestBed) -> None:
    """Each VM shows the defect: an import that names no absolute path."""
    def relative(files: dict[str, bytes]) -> None:
        goes(files)
        assert ABSOLUTE in files[MODULE]
        files[MODULE] = files[MODULE].replace(ABSOLUTE, b"if None")

    bed.edit = relative
    board = bed.board()
    board.power_on()
    board.run(10 * MINUTES_MS)
    assert not runs_confirmed(board, 2)
