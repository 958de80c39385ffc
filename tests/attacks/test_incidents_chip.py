"""Reports of failing flash parts, of too little memory, and of work that blocks the chip."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from slotbench.boards import BoardProfile
from slotbench.vboard.flash.nor import SECTOR
from slotbench.vboard.vm import CPythonVM
from slotbench.vboard.vms import VMS
from support.attacks import require_refusal, require_update
from support.device.board import DeviceBoard, signing_key
from support.faulty_server.scene import Scene
from support.incidents import incidents
from support.testbed import APPLICATION, BUSY_MAIN, HOURS_MS, make_testbed, update_to


def _image(board: BoardProfile) -> int:
    return board.slots[1].image.start + 2 * SECTOR


def _table(board: BoardProfile) -> int:
    return board.slots[1].table.start


def _descriptor(board: BoardProfile) -> int:
    return board.slots[1].descriptor.start


# XMC parts: erases and writes that do not take.


@incidents(
    "place", arduino_7267=(_image, 0.0), arduino_7307=(_table, 0.5), arduino_6725=(_descriptor, 0.5),
    tasmota_8334=(_image, 0.9))
def test_flash_that_does_not_take_what_is_written(
    scene: Scene, place: tuple[Callable[[BoardProfile], int], float],
) -> None:
    """Each write is read back, up to three times. The board reports the worn sector and keeps its firmware."""
    where, works = place
    address = where(scene.board.profile)
    scene.board.flash.set_stuck(address // SECTOR, works)
    if where is _descriptor:
        scene.board.flash.poke(address, bytes(SECTOR))
    require_refusal(scene, 60)
    told = {refusal.where // SECTOR for refusal in scene.refusals if refusal.code == 60}
    assert told == {address // SECTOR}


def test_arduino_7317_a_chip_that_accepts_the_write_later(scene: Scene) -> None:
    """For example with a better supply. Nothing has to be reset or flashed: the next check continues."""
    sector = _image(scene.board.profile) // SECTOR
    scene.board.flash.set_stuck(sector, 0.5)
    require_refusal(scene, 60)
    scene.board.flash.stuck.clear()
    require_update(scene, 2)


# Time.


def test_mqttmesh_51_sectors_are_erased_one_at_a_time(scene: Scene) -> None:
    """The application runs between two blocks, so it waits for one block at most."""
    scene.board.power_on()
    scene.board.run(HOURS_MS, until=lambda: scene.board.activity()[0] == "verify")
    assert 0 < scene.longest_tick_ms <= 400, f"{scene.longest_tick_ms} ms"
    require_update(scene, 2)


@pytest.fixture(scope="module")
def seal() -> Iterator[Any]:
    board = DeviceBoard()
    vm = board.start()
    assert isinstance(vm, CPythonVM)
    yield vm.import_("twoslot.trust.rsa")
    board.close()


@incidents(
    "signature", arduino_4898=lambda n, right: right, arduino_4900=lambda n, right: n - 1,
    arduino_7288=lambda n, right: 1 << 3071)
def test_a_signature_costs_seventeen_products_whatever_it_is(
    seal: Any, signature: Callable[[int, int], int],
) -> None:
    """No loop depends on the input, so no input can make it run into the watchdog."""
    key = signing_key("offline")
    modulus = int.from_bytes(key.modulus, "big")
    number = signature(modulus, int.from_bytes(key.sign(b"payload").signature, "big"))
    assert number < modulus
    sums, parts = seal.begin(modulus, number), 1
    while not seal.step(sums, 0):
        parts += 1
    assert parts == 17 * 12


# Memory.


def test_micropython_3647_three_hundred_requests_leave_nothing_open(make_scene: Callable[..., Scene]) -> None:
    scene = make_scene(sleep_ms=20_000)
    require_update(scene, 2)
    scene.board.run(56 * HOURS_MS)
    assert len(scene.server.requests) >= 300
    assert {refusal.code for refusal in scene.refusals} <= {1, 28}
    assert scene.server.open_connections == 0, "a connection was left open"


@incidents("size", ota_updater_1=48 * 1024, ota_updater_22=96 * 1024)
def test_firmware_larger_than_all_memory(
    tmp_path: Path, micropython: None, size: int,
) -> None:
    """On the real VM with 38 KB of heap, beside an application of 10 KB."""
    testbed = make_testbed(tmp_path, vm=VMS["micropython"], size=size, main=APPLICATION + BUSY_MAIN)
    testbed.publish(2)
    board = testbed.board()
    update_to(board, 2)
    assert 0 not in {code for _, code, _ in board.evaluate("twoslot._log")}, "out of memory"
    assert board.evaluate("len(own)") == 10240
