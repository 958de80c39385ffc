"""twoslot.trust.rotation: the next epoch is requested, checked and written in two copies, also through power cuts."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from slotbench.formats import FormatError
from slotbench.formats.keys import Keys, pack_pinned, unpack_pinned
from slotbench.vboard.network.wsgi import WsgiNetwork
from slotbench.vboard.signals import DeviceOSError
from slotbench.vboard.vm import CPythonVM
from support.device.board import CHANNEL, NOW, PRODUCT, DeviceBoard, keys_document, refusal, signing_key, trusted_keys
from support.device.release import join, payload, signed
from support.device.site import Updater, files_app

COPIES = ("/twoslot.keys2", "/twoslot.keys")
"""In the order in which they are written."""
HEAD = f"/heads/{PRODUCT}/{CHANNEL}.head"
Make = Callable[..., DeviceBoard]


def keys_fields(epoch: int = 2, /, **changes: Any) -> dict[str, Any]:
    """Line 1 of the next keys: the stranger's is the online key now."""
    keys = Keys(
        product=PRODUCT, epoch=epoch, issued=NOW + 5, offline=(signing_key("offline").modulus,),
        online=signing_key("stranger").modulus)
    return {**json.loads(keys.to_payload()), **changes}


def epochs(board: DeviceBoard) -> list[int]:
    """Those of the copies that are right, in the order in which they are written."""
    found = []
    for name in COPIES:
        try:
            found.append(unpack_pinned(board.files[name]).epoch)
        except (KeyError, FormatError):
            found.append(0)
    return found


def updater(make_board: Make, **files: bytes) -> Updater:
    """A board whose server has a head that no online key signed, and these keys files by their epoch: e2=..."""
    head = signed({"kind": "head"}, "offline")
    site = {HEAD: head, **{f"/keys/{PRODUCT}.{name[1:]}.keys": text for name, text in files.items()}}
    board = make_board(WsgiNetwork(files_app(site)))
    return Updater(board, board.start())


def asked(it: Updater) -> list[str]:
    return [request.path.split("/")[-1] for request in it.network.requests]


# Requests.


def test_without_a_next_epoch_the_head_stays_refused(make_board: Make) -> None:
    it = updater(make_board)
    with refusal(it.vm, "ReleaseError", 21, 0):
        it.run()
    assert asked(it) == [f"{CHANNEL}.head", f"{PRODUCT}.2.keys"]
    assert epochs(it.board)[1] == 1


def test_a_server_that_fails_is_asked_again_later(make_board: Make) -> None:
    """Only a 404 says that there is no next epoch."""
    it = updater(make_board, e2=("503 Service Unavailable", []))  # type: ignore[arg-type]
    with refusal(it.vm, "LinkError", 7, 503):
        it.run()


def test_no_more_than_eight_epochs_are_followed_in_one_attempt(make_board: Make) -> None:
    """An endless chain would block the application."""
    chain = {f"e{epoch}": signed(keys_fields(epoch, online=stranger(epoch)), "offline") for epoch in range(2, 20)}
    it = updater(make_board, **chain)
    with refusal(it.vm, "ReleaseError", 21, 0):
        it.run()
    assert asked(it)[1::2] == [f"{PRODUCT}.{epoch}.keys" for epoch in range(2, 10)]
    assert epochs(it.board) == [9, 9], "the next attempt continues there"


def stranger(number: int) -> str:
    """A modulus without a known private key."""
    return base64.b64encode(b"\xc0" + bytes(382) + bytes([2 * number + 1])).decode()


def test_a_head_of_an_old_epoch_causes_no_request(make_board: Make, vm: CPythonVM) -> None:
    """A head that is too old needs no newer keys."""
    head = signed({
        "kind": "head", "format": 1, "product": PRODUCT, "channel": CHANNEL, "epoch": 1, "seq": 9, "release": "00" * 32,
        "counter": 9, "issued": NOW, "expires": NOW + 9, "percent": 100, "cohorts": [], "paused": False}, "online")
    board = make_board(WsgiNetwork(files_app({HEAD: head})))
    board.files["/twoslot.keys"] = keys_document(epoch=2)
    it = Updater(board, board.start())
    with refusal(it.vm, "ReleaseError", 42, 1):
        it.run()
    assert asked(it) == [f"{CHANNEL}.head"]


# Checks.


@pytest.mark.parametrize(("fields", "key", "code", "where"), [
    (keys_fields(), "online", 21, 0), (keys_fields(), "stranger", 21, 0),
    (keys_fields(kind="head"), "offline", 23, 0), (keys_fields(format=2), "offline", 24, 2),
    (keys_fields(product="other"), "offline", 25, 0),
    (keys_fields(1), "offline", 45, 1), (keys_fields(3), "offline", 45, 3),
], ids=["online key", "stranger", "a head", "format", "product", "the same epoch", "one too far"])
def test_keys_that_are_not_the_next_are_refused(
    make_board: Make, fields: dict[str, Any], key: str, code: int, where: int,
) -> None:
    it = updater(make_board, e2=signed(fields, key))
    before = dict(it.board.files)
    with refusal(it.vm, "ReleaseError", code, where):
        it.run()
    assert it.board.files == before


@pytest.mark.parametrize("changes", [
    {"online": "AAAA"}, {"online": None}, {"online": keys_fields()["offline"][0]}, {"offline": []},
    {"offline": keys_fields()["offline"] * 2}, {"offline": ["AAAA"]}, {"offline": 5}, {"offline": [None]},
    {"offline": [stranger(1), stranger(2), stranger(3)]}, {"epoch": "2"}, {"epoch": None}, {"issued": "1"},
    {"issued": -1}, {"issued": 1 << 32}, {"issued": None},
], ids=str)
def test_keys_that_could_not_be_used_are_never_pinned(make_board: Make, changes: dict[str, Any]) -> None:
    """Signed by mistake, such keys would end all updates over the air."""
    it = updater(make_board, e2=signed(payload(keys_fields(**changes)), "offline"))
    before = dict(it.board.files)
    with refusal(it.vm, "ReleaseError", 20, 0):
        it.run()
    assert it.board.files == before


def test_a_changed_document_is_refused(make_board: Make) -> None:
    right = signing_key("offline").sign(payload(keys_fields()))
    wrong = join(right.payload.replace(b'"issued":17', b'"issued":18'), right.key_id, right.signature)
    it = updater(make_board, e2=wrong)
    with refusal(it.vm, "ReleaseError", 22, 0):
        it.run()


# Written.


def test_both_copies_are_what_the_bench_makes_of_the_document(make_board: Make) -> None:
    text = signed(keys_fields(), "offline")
    it = updater(make_board, e2=text)
    with refusal(it.vm, "ReleaseError", 21, 0):
        it.run()  # the head is nobody's, as before
    assert [it.board.files[name] for name in COPIES] == [pack_pinned(text)] * 2
    assert "/twoslot.keys.part" not in it.board.files
    cell = it.board.newest()
    assert (cell.key_epoch, cell.head_seq, cell.head_time) == (2, 0, NOW + 5)


@pytest.mark.parametrize("full", [0, 1])
def test_a_filesystem_that_takes_nothing_leaves_a_copy_that_is_right(
    make_board: Make, monkeypatch: pytest.MonkeyPatch, full: int,
) -> None:
    """No room, or worn out: the refusal names the copy, and the journal does not name the epoch."""
    it = updater(make_board, e2=signed(keys_fields(), "offline"))
    os = it.vm.import_("os")
    rename, done = os.rename, []

    def failing(old: str, new: str) -> None:
        done.append(new)
        if len(done) > full:
            raise DeviceOSError(28)
        rename(old, new)

    monkeypatch.setattr(os, "rename", failing)
    with refusal(it.vm, "FlashError", 71, 2 - full):
        it.run()
    assert max(epochs(it.board)) == 1 + full
    # The journal names the document once one copy of it is whole.
    assert it.board.newest().key_epoch == 2 * full


# Two copies.


def pinned(vm: CPythonVM) -> Any:
    return trusted_keys(vm, "online")[:2]


@pytest.mark.parametrize("newer", COPIES)
def test_the_newer_of_two_copies_counts(board: DeviceBoard, vm: CPythonVM, newer: str) -> None:
    for name in COPIES:
        board.files[name] = pack_pinned(keys_document(epoch=1))
    board.files[newer] = pack_pinned(signed(keys_fields(), "offline"))
    assert pinned(vm) == (2, [signing_key("stranger").modulus])


@pytest.mark.parametrize("damaged", COPIES)
def test_a_copy_that_is_damaged_does_not_count(board: DeviceBoard, vm: CPythonVM, damaged: str) -> None:
    """One bit in a modulus: nothing but the third line tells."""
    right = pack_pinned(keys_document(epoch=1))
    for name in COPIES:
        board.files[name] = right
    wrong = bytearray(pack_pinned(signed(keys_fields(), "offline")))
    place = wrong.index(b'"online":"') + 60
    wrong[place] ^= 1
    json.loads(bytes(wrong).split(b"\n")[0])
    board.files[damaged] = bytes(wrong)
    assert pinned(vm) == (1, [signing_key("online").modulus])


def test_one_copy_alone_will_do(board: DeviceBoard, vm: CPythonVM) -> None:
    board.files["/twoslot.keys2"] = board.files.pop("/twoslot.keys")
    assert pinned(vm) == (1, [signing_key("online").modulus])


def test_a_copy_without_a_third_line_is_right(board: DeviceBoard, vm: CPythonVM) -> None:
    """Boards were deployed so."""
    assert board.files["/twoslot.keys"] == keys_document()
    assert pinned(vm) == (1, [signing_key("online").modulus])
    assert unpack_pinned(keys_document()).epoch == 1


def test_the_bench_tells_a_damaged_copy(board: DeviceBoard) -> None:
    right = pack_pinned(keys_document())
    assert unpack_pinned(right) == replace(unpack_pinned(right), epoch=1)
    for wrong in (right[:-9] + b"00000000\n", right.replace(b'"epoch":1', b'"epoch":2'), right[:-1], right + b"x"):
        with pytest.raises(FormatError):
            unpack_pinned(wrong)
