"""A program pushed to a listening board over real sockets, on both VMs: taken, on trial, confirmed by the answer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from slotbench.application.bundle import Bundle
from slotbench.formats.release import DEVELOPMENT
from slotbench.prove.push import PushTestBed, PushThread
from slotbench.push.client import PushClient, PushTimes
from slotbench.release.development import sign_development_application
from slotbench.vboard.board import VirtualBoard
from slotbench.vboard.vm import DeviceVM
from support.device.board import signing_key
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


def test_a_pushed_program_answers_and_then_one_changed_file_of_it(desk: PushTestBed) -> None:
    board = desk.board()
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
        sent = client.parts.bytes - 2 * len(client.bundle.file_list)
        assert sent == (sum(map(len, FILES.values())) if number == 5 else len(b"SHADE = 2\n"))
    board.power_off()
