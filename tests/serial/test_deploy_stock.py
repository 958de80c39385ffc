"""Boards with stock firmware on a serial port: their firmware, twoslot as one file, and the first application."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from slotbench import boards
from slotbench.formats.application_record import FILES, ApplicationRecord, Folder, FolderState, newest_record
from slotbench.mpy.pack import packed_files
from slotbench.vboard.flash.nor import NorFlash
from slotbench.vboard.live.folder import BoardFolder
from support.live.bench import ID, QUIET
from support.serial.bench import SerialBench, stock_firmware, stock_folder, stock_folder_with_twoslot
from support.serial.clients import slotbench
from support.testbed import put_keys

ESP01S = boards.load("esp01s_1m")
MAIN = "import lamp, time, twoslot\nprint('shade', lamp.SHADE)\nwhile True:\n    twoslot.tick()\n    time.sleep_ms(500)\n"
USERS = {"/main.py": b"print('mine')\n", "/wifi.json": b"{}", "/boot.py": b"x = 1\n"}


@pytest.fixture
def bench(micropython: None, tmp_path: Path) -> Iterator[SerialBench]:
    with SerialBench(stock_folder(tmp_path / "board", USERS), vm="micropython") as running:
        running.wait_for("mine")
        yield running


def test_deploy_brings_twoslot_and_the_program_and_nothing_else(bench: SerialBench, tmp_path: Path) -> None:
    app = tmp_path / "app"
    (app / "lib").mkdir(parents=True)
    (app / "main.py").write_text(MAIN)
    (app / "lamp.py").write_text("SHADE = 7\n")
    (app / "lib" / "two words.txt").write_text("a file of any name\n")
    given = ("--board", "esp01s_1m", "--server", "http://updates.lan", "--keys", put_keys(tmp_path / "keys") / "lamp.keys")
    said = slotbench("deploy", "--port", bench.port, *given, "--app", app)
    assert "3 files become its first application" in said
    assert "the application record knows these keys now" in said and "runs its boot hook" in said
    bench.wait_for("shade 7")
    files = bench.board.files
    assert files["/twoslot.pack"] == packed_files()["twoslot.pack"]
    assert not any(path.startswith("/twoslot/") for path in files)
    assert files["/app_a/lib/two words.txt"] == b"a file of any name\n"
    assert {path: files[path] for path in ("/main.py", "/wifi.json")} == {path: USERS[path] for path in ("/main.py", "/wifi.json")}
    assert files["/boot.py"].splitlines()[1:] == [b"x = 1"]
    record = newest_record(files.get(f"/{name}", b"") for name in FILES)
    assert record is not None and any(record.keys_digest), "the keys are pinned"
    told = json.loads(slotbench("status", "--port", bench.port, "--json"))["result"]
    assert (told["slot"], told["app_counter"], told["app_confirmed"]) == (None, 1, True)
    words = slotbench("status", "--port", bench.port)
    assert "stock: no loader, no slots" in words and "deployed, counter 1, folder A, confirmed" in words
    (app / "lamp.py").write_text("SHADE = 8\nopen('/twoslot.pack2', 'w').close()\n")  # as of an update
    assert "started after" in slotbench("watch", app, "--port", bench.port, "--for", "1")
    bench.wait_for("shade 8")
    before = bench.said("shade 7")
    assert "the bundle was taken away" in slotbench("watch", app, "--port", bench.port, "--end")
    bench.wait_for("shade 7", before + 1)
    again = slotbench("deploy", "--port", bench.port, "--app", app)
    assert "has applications already, which stay" in again
    assert "/twoslot.pack2" not in bench.board.files, "what was deployed runs"
    bench.wait_for("shade 7", before + 2)
    assert "already up to date; nothing was written" in slotbench("deploy", "--port", bench.port, "--app", app)
    slotbench("deploy", "--port", bench.port, "--undo")
    bench.wait_for("mine", 2)
    assert not any(path.startswith("/twoslot") for path in bench.board.files)
    assert bench.board.files["/boot.py"] == USERS["/boot.py"]


def test_a_board_without_the_loader_must_be_said_to_have_none(bench: SerialBench) -> None:
    said = slotbench(
        "deploy", "--port", bench.port, "--product", "lamp", "--board", "d1_mini", "--server", "http://updates.lan",
        fails=True)
    assert "this board has no loader" in said and "slotbench deploy --board generic_4m_stock (1 MB: esp01s_1m)" in said
    assert bench.board.files == USERS


def test_flash_writes_the_firmware_and_no_loader(tmp_path: Path) -> None:
    blank = NorFlash(ESP01S.chip_bytes)
    folder = BoardFolder.create(tmp_path / "board", ESP01S.name, blank, {}, unique_id=ID)
    firmware = stock_firmware()
    (tmp_path / "firmware.bin").write_bytes(firmware)
    with SerialBench(folder) as bench:
        command = ("flash", "--port", bench.port, tmp_path / "firmware.bin", "--board", "esp01s_1m")
        assert "4 MB" in slotbench(*command[:4], fails=True), "without a board's name: what this one could be"
        assert "there is nothing to move" in slotbench(*command, "--from-stock", fails=True)
        said = slotbench(*command)
        assert "0x000000-0x000fff firmware, its first sector" in said and "starts the firmware" in said
        bench.wait_for("boot:")
        assert bench.flash(4, len(firmware) - 4) == firmware[4:]


def two_programs(folder: Path, state: FolderState, text: str) -> BoardFolder:
    """A board that runs application 2 from /app_b, in this state; 1 is in /app_a."""
    made = stock_folder_with_twoslot(folder, "print('no application')\n")
    record = ApplicationRecord(sequence=4, active=1, attempts=2, folders=(
        Folder(state=FolderState.CONFIRMED, counter=1), Folder(state=state, counter=2)))
    for name, program in {"app_a": f"print('the one before')\n{QUIET}", "app_b": text}.items():
        (made.files_path / name).mkdir()
        (made.files_path / name / "main.py").write_text(program)
        (made.files_path / name / "twoslot.version").write_text("1.0")
    (made.files_path / FILES[0]).write_bytes(record.pack())
    return made


def test_a_crash_on_trial_ends_the_attempt_and_its_traceback_is_shown(micropython: None, tmp_path: Path) -> None:
    """os.dupterm() of the VM hears the traceback, as the port's does: nobody waits for the deadline."""
    folder = two_programs(tmp_path / "board", FolderState.READY, "import twoslot\nimport sensor\n")
    with SerialBench(folder, vm="micropython", speed=1) as bench:
        bench.wait_for("the one before")
        assert bench.said("main.py ended on trial, restarting") == 2
        said = slotbench("status", "--port", bench.port)
    assert "no module named 'sensor'" in said and 'File "main.py", line 2' in said


def test_rollback_over_the_cable_ends_with_the_restart(micropython: None, tmp_path: Path) -> None:
    """The program before never comes to a prompt: nobody waits for one."""
    folder = two_programs(tmp_path / "board", FolderState.CONFIRMED, f"print('the second one')\n{QUIET}")
    with SerialBench(folder, vm="micropython") as bench:
        bench.wait_for("the second one")
        assert "back to the application before" in slotbench("rollback", "--port", bench.port)
        bench.wait_for("the one before")
