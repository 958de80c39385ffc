"""A program pushed to a listening board over real sockets, on both VMs: taken, on trial, confirmed by the answer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from slotbench import boards
from slotbench.application.bundle import Bundle
from slotbench.formats.release import DEVELOPMENT
from slotbench.mpy.pack import packed_files
from slotbench.prove.push import PushTestBed, PushThread
from slotbench.push.client import PushClient, PushTimes
from slotbench.release.development import sign_development_application
from slotbench.repl.first_application import first_application
from slotbench.vboard.board import VirtualBoard
from slotbench.vboard.factory import board_files, factory_flash
from slotbench.vboard.micropython import MicroPythonVM
from slotbench.vboard.network.turns import TurnTakingNetwork
from slotbench.vboard.vm import DeviceVM
from support.device.board import signing_key
from support.serial.bench import stock_firmware
from support.testbed import MAIN, MINUTES_MS, NOW, PRODUCT

FILES = {"empty.txt": b"", "lamp.py": b"SHADE = 1\n", "main.py": b"import lamp\n" + MAIN.encode(), "www/page": b"p" * 3000}


class ProgramPush(PushThread):
    """Pushes an application in the place of a release."""

    def __init__(self, desk: PushTestBed, board: VirtualBoard, number: int, files: Mapping[str, bytes]) -> None:
        self.bundle = Bundle(files, 0)
        document = sign_development_application(
            self.bundle, signing_key("stranger"), product=PRODUCT, board=board.profile, channel="stable", counter=number,
            created=NOW, version=f"{number}-dev")
        super().__init__(desk, board, document.pack(), b"")

    def push(self, pusher: PushClient, document: bytes) -> PushTimes:
        files = {hashlib.sha256(data).hexdigest(): data for data in self.bundle.files.values()}
        return pusher.push_application(document, self.bundle.file_list, files, self.steps.append)


@pytest.fixture
def desk(tmp_path: Path, vm: Callable[..., DeviceVM]) -> PushTestBed:
    return PushTestBed(tmp_path, size=24 * 4096, vm=vm, key=signing_key("stranger"))


def stock_board(desk: PushTestBed) -> VirtualBoard:
    """An ESP-01S that is off, as `slotbench deploy --app` leaves it, with the secret and the key of the desk."""
    profile = boards.load("esp01s_1m")
    settings = {
        "product": PRODUCT, "board": profile.name, "channel": "stable", "server": "http://127.0.0.1:1",
        "development": True}
    there = board_files(settings, desk.testbed.publisher.keys_path.read_bytes())
    files = {path: data for path, data in there.items() if not path.startswith("/twoslot/")}
    desk.mark(files)
    first = Bundle({"main.py": b"import twoslot\ntwoslot.listen(10, wait=False)\n" + MAIN.encode()}, 0)
    own = {**packed_files(), **first_application(first.files, first.file_list, first.mpy_abi)}
    flash = factory_flash(profile, [(0, stock_firmware())])
    flash.poke(profile.fs_start, b"\xff" * profile.filesystem.size)
    return VirtualBoard(
        profile, flash, TurnTakingNetwork(), files | {f"/{path}": data for path, data in own.items()}, vm=MicroPythonVM)


def test_a_board_without_the_loader_takes_it_and_goes_back(micropython: None, tmp_path: Path) -> None:
    """One of 1 MB: pushed, changed, and back by rollback()."""
    desk = PushTestBed(tmp_path, size=24 * 4096, key=signing_key("stranger"))
    board = stock_board(desk)
    push_twice(desk, board)
    told = board.evaluate("twoslot.status()")
    assert (told["slot"], told["app_counter"], told["app_confirmed"]) == (None, DEVELOPMENT | 6, True)
    board.run_line("twoslot.rollback()")
    board.run(10_000)
    back = board.evaluate("twoslot.status()")
    assert (back["app_counter"], back["app_folder"] != told["app_folder"]) == (DEVELOPMENT | 5, True)
    board.power_off()


def test_a_pushed_program_answers_and_then_one_changed_file_of_it(desk: PushTestBed) -> None:
    board = desk.board()
    push_twice(desk, board)
    board.power_off()


def push_twice(desk: PushTestBed, board: VirtualBoard) -> None:
    """The program, then one changed file of it; each is confirmed by its answer."""
    for number, files in ((5, FILES), (6, {**FILES, "lamp.py": b"SHADE = 2\n"})):
        client = ProgramPush(desk, board, number, files)
        client.start()
        if number == 5:
            board.power_on()
        board.run(10 * MINUTES_MS, until=lambda: not client.is_alive())
        client.stop()
        client.join()
        assert client.error is None and client.parts is not None and client.back is not None
        assert (client.back[0].app, client.back[0].confirmed) == (DEVELOPMENT | number, True)
        sent = client.parts.bytes - len(client.bundle.file_list)
        assert sent == (sum(map(len, FILES.values())) if number == 5 else len(b"SHADE = 2\n"))
