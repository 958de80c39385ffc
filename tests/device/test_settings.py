"""twoslot.settings: what a person wrote is checked, and an error names the key by its number."""

from __future__ import annotations

import json
from typing import Any

import pytest

from slotbench.vboard.vm import CPythonVM
from support.device.board import BOARD, CHANNEL, PRODUCT, SERVER, DeviceBoard, refusal

NUMBER = {
    "product": 1, "board": 2, "channel": 3, "server": 4, "device_id": 5, "cohort": 6, "confirm": 7,
    "interval_s": 8, "attempts": 9, "mpy_abi": 10, "quiet": 11, "development": 12, "mqtt": 13,
    "mqtt_client": 14, "restart_delay_s": 15, "unattended": 16, "step_ms": 17, "ntp": 18, "report": 19,
}


def load(board: DeviceBoard, vm: CPythonVM, text: bytes | None = None, /, **changes: object) -> Any:
    board.save_settings(**changes)
    if text is not None:
        board.files["/twoslot.json"] = text
    return vm.import_("twoslot.settings").load()


def test_defaults_are_filled_in(board: DeviceBoard, vm: CPythonVM) -> None:
    assert load(board, vm) == {
        "product": PRODUCT, "board": BOARD.name, "channel": CHANNEL, "server": SERVER, "confirm": "auto",
        "interval_s": 21600, "attempts": 3, "unattended": 86400, "step_ms": 500}


def test_all_keys_are_taken_and_others_ignored(board: DeviceBoard, vm: CPythonVM) -> None:
    every = {
        "device_id": "x" * 64, "cohort": "early", "confirm": "manual", "interval_s": 10, "attempts": 8,
        "step_ms": 1000, "mpy_abi": 6, "wifi": {"ssid": "home"},
    }
    assert load(board, vm, **every).items() >= every.items()


@pytest.mark.parametrize("text", [b"", b"{", b"not json", b"[]", b'"x"', b"null", b"1", b"\xff\xfe{}"])
def test_a_file_that_is_no_object_is_refused(board: DeviceBoard, vm: CPythonVM, text: bytes) -> None:
    with refusal(vm, "FlashError", 70, 0):
        load(board, vm, text)


def test_a_missing_file_is_refused(board: DeviceBoard, vm: CPythonVM) -> None:
    del board.files["/twoslot.json"]
    with refusal(vm, "FlashError", 70, 0):
        vm.import_("twoslot.settings").load()


@pytest.mark.parametrize("key", ["product", "board", "channel", "server"])
def test_a_required_key_that_is_missing_is_named(board: DeviceBoard, vm: CPythonVM, key: str) -> None:
    with refusal(vm, "FlashError", 70, NUMBER[key]):
        load(board, vm, **{key: None})


@pytest.mark.parametrize("key", NUMBER)
@pytest.mark.parametrize("value", [{}, 1.5, None], ids=repr)
def test_a_value_of_another_type_is_named(
    board: DeviceBoard, vm: CPythonVM, key: str, value: object,
) -> None:
    text = json.dumps({**board.settings, key: value}).encode()
    with refusal(vm, "FlashError", 70, NUMBER[key]):
        load(board, vm, text)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("confirm", ""), ("confirm", "Auto"), ("interval_s", 9), ("interval_s", 0), ("interval_s", -1),
        ("interval_s", 604801), ("attempts", 0), ("attempts", 9), ("attempts", -1), ("quiet", []),
        ("quiet", [22]), ("quiet", [22, 6, 7]), ("quiet", [6, 6]), ("quiet", [22, 24]), ("quiet", [-1, 6]),
        ("quiet", ["22", "6"]), ("quiet", [22, 6.5]), ("quiet", [[22], [6]]), ("unattended", 3599),
        ("unattended", 604801), ("unattended", -1),
    ],
    ids=lambda part: str(part)[:12],
)
def test_a_value_out_of_its_range_is_named(
    board: DeviceBoard, vm: CPythonVM, key: str, value: object,
) -> None:
    with refusal(vm, "FlashError", 70, NUMBER[key]):
        load(board, vm, **{key: value})


@pytest.mark.parametrize(("key", "value"), [
    ("interval_s", 10), ("interval_s", 604800), ("attempts", 1), ("attempts", 8), ("mpy_abi", 0),
    ("quiet", [0, 23]), ("quiet", [23, 0]), ("unattended", 0), ("unattended", 3600), ("unattended", 604800)])
def test_a_value_at_its_limit_is_taken(board: DeviceBoard, vm: CPythonVM, key: str, value: object) -> None:
    assert load(board, vm, **{key: value})[key] == value
