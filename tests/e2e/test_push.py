"""A push over real sockets, on both VMs: the client of `slotbench push` runs in a thread of its own."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from slotbench.errors import BenchError
from slotbench.formats.release import DEVELOPMENT
from slotbench.formats.rtc import BootReason
from slotbench.prove.push import PushTestBed, PushThread, measure_push, run
from slotbench.push.client import PORT, PushClient
from slotbench.release.keys import SigningKey
from slotbench.vboard.network.loopback import LoopbackNetwork
from slotbench.vboard.vm import DeviceVM
from slotbench.vboard.vms import VMS
from support.device.board import signing_key
from support.testbed import MINUTES_MS, runs_confirmed
from support.vboard.flash import outside_files

SIZE = 24 * 4096


def key() -> SigningKey:
    return signing_key("stranger")


@pytest.fixture
def desk(tmp_path: Path, vm: Callable[..., DeviceVM]) -> PushTestBed:
    return PushTestBed(tmp_path, size=SIZE, vm=vm, key=key())


def test_the_pushed_firmware_answers(desk: PushTestBed) -> None:
    board = desk.board()
    client = run(desk, board, 5)
    assert client.error is None and client.parts is not None and client.back is not None
    back, seconds = client.back
    assert (back.version, back.counter, back.confirmed, back.slot) == ("5.0.0-dev", DEVELOPMENT | 5, True, "B")
    assert [boot.why for boot in board.boots] == [BootReason.ORDINARY, BootReason.TRIAL]
    assert client.steps == ["the board checks the signature", "the board has all of it, and reads it back"]
    assert client.parts.sent > SIZE / 50_000, "the modelled network takes its time"
    assert runs_confirmed(board, DEVELOPMENT | 5) and seconds > 0
    board.power_off()


def test_a_push_that_lost_power_goes_on(desk: PushTestBed) -> None:
    board = desk.board()
    document, image = desk.release(5)
    first = PushThread(desk, board, document.pack(), image)
    first.start()
    board.power_on()
    board.run(10 * MINUTES_MS, until=lambda: board.activity()[1] > 8)
    board.power_off()
    first.stop()
    first.join()
    assert first.error is not None and "lost" in str(first.error)
    again = run(desk, board, 5)
    assert again.error is None and again.parts is not None
    assert again.parts.bytes <= SIZE - 8 * 4096, "blocks in place are not sent again"
    board.power_off()


def test_both_vms_leave_the_same_flash(micropython: None, tmp_path: Path) -> None:
    left = {}
    for name, vm in VMS.items():
        desk = PushTestBed(tmp_path / name, size=SIZE, vm=vm, key=key())
        board = desk.board()
        assert run(desk, board, 5).error is None
        board.power_off()
        left[name] = outside_files(board), board.flash.operations
    assert left["cpython"] == left["micropython"]


def test_each_push_takes_the_same_time(tmp_path: Path) -> None:
    """However this computer divides its own between the board and the client."""
    usual, found = sys.getswitchinterval(), []
    try:
        for number, seconds in enumerate((1e-6, 0.5)):
            sys.setswitchinterval(seconds)
            found.append(measure_push(tmp_path / str(number), size=SIZE, key=key()))
    finally:
        sys.setswitchinterval(usual)
    assert found[0] == found[1]


def test_a_client_with_a_wrong_secret_is_refused_with_its_code(desk: PushTestBed) -> None:
    board = desk.board()
    desk.secret = bytes(32)
    network = board.network
    assert isinstance(network, LoopbackNetwork)
    stranger = PushClient(*network.place(PORT), lambda device_id: desk.secret)
    with pytest.raises(BenchError, match="no board listens there"):
        stranger.read_status()
    refusals = []

    def ask() -> None:
        while not refusals or "no board listens" in refusals[-1]:
            with pytest.raises(BenchError) as caught:
                stranger.read_status()
            refusals.append(str(caught.value))
        network.accept_wait_s = 0.0  # no other client follows: the board need not wait for one

    asked = threading.Thread(target=ask)
    board.power_on()
    asked.start()
    board.run(9 * MINUTES_MS, until=lambda: not asked.is_alive())
    asked.join()
    board.power_off()
    assert "54 wrong-secret, wrong secret (wrong ones so far 1)" in refusals[-1]
