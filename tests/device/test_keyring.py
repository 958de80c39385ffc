"""twoslot.trust.keyring: the keys this board trusts, by role; a file that is not right is one refusal."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest

from slotbench.vboard.vm import CPythonVM
from support.device.board import NOW, DeviceBoard, keys_document, refusal, signing_key, trusted_keys


def digest(document: bytes | None = None) -> bytes:
    """What the journal holds of a keys document."""
    line = (document or keys_document()).split(b"\n")[0]
    return hashlib.sha256(line).digest()[:16]


def test_the_pinned_keys(vm: CPythonVM) -> None:
    assert trusted_keys(vm, "offline") == (1, [signing_key("offline").modulus], digest(), NOW)
    assert trusted_keys(vm, "online") == (1, [signing_key("online").modulus], digest(), NOW)


def test_two_offline_keys(board: DeviceBoard, vm: CPythonVM) -> None:
    keys = json.loads(keys_document().splitlines()[0])
    keys["offline"].append(base64.b64encode(signing_key("stranger").modulus).decode())
    board.files["/twoslot.keys"] = json.dumps(keys).encode() + b"\n"

    offline = trusted_keys(vm, "offline")[1]
    assert offline == [signing_key("offline").modulus, signing_key("stranger").modulus]


@pytest.mark.parametrize(("role", "change"), [
    *[("offline", {"offline": value}) for value in ([], None, "AAAA", [5], ["A"])],
    *[("online", {"online": value}) for value in (None, "A", 5, ["AAAA"], [])],
    *[(role, {"epoch": value}) for role in ("offline", "online") for value in (None, "1", 1.0)],
], ids=str)
def test_keys_that_cannot_be_read_are_refused(
    board: DeviceBoard, vm: CPythonVM, role: str, change: dict[str, object],
) -> None:
    keys = json.loads(keys_document().splitlines()[0])
    board.files["/twoslot.keys"] = json.dumps({**keys, **change}).encode() + b"\n"

    with refusal(vm, "FlashError", 71, 0):
        trusted_keys(vm, role)


@pytest.mark.parametrize("role", ["offline", "online"])
@pytest.mark.parametrize("text", [None, b"", b"\n", b"[]\n", b"5\n", b"{}\n", b"{\n", b"\xff\xfe\n"])
def test_a_keys_file_that_is_no_document_is_refused(
    board: DeviceBoard, vm: CPythonVM, role: str, text: bytes | None,
) -> None:
    del board.files["/twoslot.keys"]
    if text is not None:
        board.files["/twoslot.keys"] = text

    with refusal(vm, "FlashError", 71, 0):
        trusted_keys(vm, role)
