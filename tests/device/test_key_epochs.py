"""The journal says which keys count: files that somebody put on the board lead to them, and never past them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from slotbench.formats.journal import SlotState, channel_tag
from slotbench.formats.keys import Keys, pack_pinned
from slotbench.vboard.network.wsgi import WsgiNetwork
from slotbench.vboard.vm import CPythonVM
from support.device.board import (
    CHANNEL,
    NOW,
    PRODUCT,
    RUNNING,
    DeviceBoard,
    keys_document,
    refusal,
    signing_key,
    trusted_keys,
)
from support.device.control import offered_head, on_trial, open_control
from support.device.release import signed
from support.device.site import Updater, files_app

COPIES = ("/twoslot.keys2", "/twoslot.keys")
HEAD = f"/heads/{PRODUCT}/{CHANNEL}.head"
ONLINE, STRANGER = signing_key("online"), signing_key("stranger")
Make = Callable[..., DeviceBoard]


def keys(epoch: int, online: bytes = ONLINE.modulus, *, issued: int = NOW + 5) -> bytes:
    """A keys document that the offline key signed."""
    fields = Keys(
        product=PRODUCT, epoch=epoch, issued=issued, offline=(signing_key("offline").modulus,), online=online)
    return signing_key("offline").sign(fields.to_payload()).pack()


def digest(document: bytes) -> bytes:
    """What the journal holds of a keys document."""
    return hashlib.sha256(document.split(b"\n")[0]).digest()[:16]


def board_of_epoch(board: DeviceBoard, epoch: int, document: bytes, **fields: Any) -> None:
    """The journal of `board` means `document`."""
    cell = replace(board.newest(), sequence=2, key_epoch=epoch, keys_digest=digest(document), **fields)
    board.put_cell(1, cell)


def site_with(make_board: Make, head: bytes, **files: bytes) -> Updater:
    """A board whose server has this head, and keys files by their epoch: e2=..."""
    site = {HEAD: head, **{f"/keys/{PRODUCT}.{name[1:]}.keys": text for name, text in files.items()}}
    board = make_board(WsgiNetwork(files_app(site)))
    return Updater(board, board.start())


def head(epoch: int, signer: str, **changes: Any) -> bytes:
    """A head that offers nothing new, signed by the test key `signer`."""
    return signed({
        "kind": "head", "format": 1, "product": PRODUCT, "channel": CHANNEL, "epoch": epoch, "seq": 9,
        "release": "00" * 32, "counter": RUNNING, "issued": NOW + 9, "expires": NOW + 99, "percent": 100,
        "cohorts": [], "paused": False, **changes}, signer)


# Files of an earlier epoch were put back.


def test_keys_that_were_put_back_lead_to_those_of_the_journal(make_board: Make) -> None:
    """Epoch 1 on the filesystem, 3 in the journal: the board walks to 3, and nothing is written on the way."""
    second, third = keys(2, STRANGER.modulus), keys(3, STRANGER.modulus)
    it = site_with(make_board, head(3, "stranger"), e2=second, e3=third)
    board_of_epoch(it.board, 3, third, head_seq=7, channel_tag=channel_tag(PRODUCT, CHANNEL))
    with refusal(it.vm, "ReleaseError", 28, RUNNING):
        it.run()
    assert [it.board.files[name] for name in COPIES] == [pack_pinned(third)] * 2
    cell = it.board.newest()
    assert (cell.key_epoch, cell.keys_digest, cell.head_seq) == (3, digest(third), 9)


def test_a_revoked_online_key_is_not_believed_on_the_way(make_board: Make) -> None:
    """Epoch 1 names the online key; the journal knows epoch 3. Its server has the keys of epoch 2, and no others."""
    it = site_with(make_board, head(2, "online"), e2=keys(2))
    board_of_epoch(it.board, 3, keys(3, STRANGER.modulus), head_seq=7)
    before = it.board.newest()
    with refusal(it.vm, "ReleaseError", 42):
        it.run()
    assert it.board.newest() == before, "an earlier epoch was written into the journal"
    assert "/twoslot.keys2" not in it.board.files


def test_another_document_of_the_journals_epoch_is_refused(make_board: Make) -> None:
    """Who holds a revoked offline key signs an epoch 2 of his own: it is not the one that the journal means."""
    forged = keys(2, ONLINE.modulus)
    it = site_with(make_board, head(2, "online"), e2=forged)
    board_of_epoch(it.board, 2, keys(2, STRANGER.modulus))
    before = dict(it.board.files)
    with refusal(it.vm, "ReleaseError", 45, 2):
        it.run()
    assert it.board.files == before


# A file that nobody signed.


@pytest.mark.parametrize("name", COPIES)
def test_an_unsigned_line_takes_over_nothing(board: DeviceBoard, vm: CPythonVM, name: str) -> None:
    """One copy names an epoch above all others, and keys of whoever wrote the file."""
    own = json.loads(keys_document().split(b"\n")[0])
    own |= {"epoch": (1 << 31) - 1, "online": "AAAA"}
    for copy in COPIES:
        board.files[copy] = keys_document()
    board.files[name] = json.dumps(own).encode() + b"\n"
    found = trusted_keys(vm, "online", epoch=1, keys=digest(keys_document()))
    assert found[:2] == (1, [ONLINE.modulus])


def test_when_the_right_file_is_back_the_board_believes_it(board: DeviceBoard, vm: CPythonVM) -> None:
    own = keys(1, STRANGER.modulus)
    for copy in COPIES:
        board.files[copy] = own
    with refusal(vm, "FlashError", 71, 0):
        trusted_keys(vm, "online", epoch=1, keys=digest(keys_document()))
    board.files["/twoslot.keys"] = keys_document()
    assert trusted_keys(vm, "online", epoch=1, keys=digest(keys_document()))[0] == 1


def test_keys_of_another_product_are_none(board: DeviceBoard, vm: CPythonVM) -> None:
    """A file that was meant for another board."""
    fields = Keys.from_payload(keys_document().split(b"\n")[0])
    board.files["/twoslot.keys"] = replace(fields, product="other").to_payload() + b"\n"
    with refusal(vm, "FlashError", 71, 0):
        trusted_keys(vm, "online")


def test_the_first_head_pins_the_keys_that_signed_it(make_board: Make) -> None:
    it = site_with(make_board, head(1, "online"))
    assert it.board.newest().keys_digest == bytes(16)
    with refusal(it.vm, "ReleaseError", 28, RUNNING):
        it.run()
    assert (it.board.newest().key_epoch, it.board.newest().keys_digest) == (1, digest(keys_document()))


def test_a_journal_that_names_an_epoch_alone_is_completed(make_board: Make) -> None:
    it = site_with(make_board, head(1, "online"))
    it.board.put_cell(1, replace(
        it.board.newest(), sequence=2, key_epoch=1, head_seq=9, channel_tag=channel_tag(PRODUCT, CHANNEL)))
    with refusal(it.vm, "ReleaseError", 28, RUNNING):
        it.run()
    assert it.board.newest().keys_digest == digest(keys_document())


# Each channel counts its own heads.


def test_a_channel_that_comes_back_goes_on_from_its_seq(vm: CPythonVM) -> None:
    cell = vm.import_("twoslot.boot.journal").Cell()
    newest_seq = vm.import_("twoslot.trust.policy").newest_seq

    def seq(tag: int) -> int:
        facts = {"tag": cell.channel_tag, "seq": cell.head_seq, "others": cell.others}
        found = newest_seq(tag, facts)
        assert isinstance(found, int)
        return found

    for number, tag in ((21, 1), (5, 2), (22, 1), (6, 2), (9, 3), (4, 4)):
        vm.import_("twoslot.boot.head").put_head(cell, {**offered_head(vm), "seq": number, "tag": tag, "epoch": 1})
    assert [seq(tag) for tag in (1, 2, 3, 4, 5)] == [22, 6, 9, 4, 0]
    vm.import_("twoslot.boot.head").put_head(cell, {**offered_head(vm), "seq": 1, "tag": 5, "epoch": 1})
    assert sorted(seq(tag) for tag in (1, 2, 3, 4, 5)) == [0, 1, 4, 6, 9], "the channel left longest ago goes first"
    vm.import_("twoslot.boot.head").put_head(cell, {**offered_head(vm), "seq": 1, "tag": 4, "epoch": 2})
    assert [seq(tag) for tag in (1, 2, 3, 4)] == [0, 0, 0, 1], "a new epoch counts afresh"


def test_the_time_goes_on_within_an_epoch(vm: CPythonVM) -> None:
    """A head of another channel, or an older one of a cache, does not set it back; a new epoch does."""
    cell = vm.import_("twoslot.boot.journal").Cell()
    times = []
    for issued, tag, epoch in ((900, 1, 1), (500, 2, 1), (950, 2, 1), (100, 2, 2)):
        vm.import_("twoslot.boot.head").put_head(cell, {**offered_head(vm), "issued": issued, "tag": tag, "epoch": epoch})
        times.append(cell.head_time)
    assert times == [900, 900, 950, 100]


def test_an_activated_release_moves_the_time(board: DeviceBoard, vm: CPythonVM) -> None:
    """An offline key says when it was made: before that no head can have been issued."""
    control = open_control(vm)
    control.invalidate_spare()
    control.activate_spare({
        "form": 1, "counter": 9, "length": 4096, "sha256": bytes(32), "floor": 0, "fs_start": 0, "fs_version": 0,
        "mpy_abi": 0, "twoslot": 0, "version": "9", "created": NOW + 77}, PRODUCT)
    assert board.newest().head_time == NOW + 77
    assert board.newest().state_b is SlotState.READY


# Dates after 2037.


def test_a_head_of_2100_is_read(make_board: Make) -> None:
    it = site_with(make_board, head(1, "online", issued=4_102_444_800, expires=4_102_444_900))
    with refusal(it.vm, "ReleaseError", 28, RUNNING):
        it.run()
    assert it.board.newest().head_time == 4_102_444_800


# The cable.


def pinned(vm: CPythonVM) -> bool:
    changed = vm.import_("twoslot.trust.pinning").pin()
    assert isinstance(changed, bool)
    return changed


def test_a_person_pins_what_lies_in_the_files(board: DeviceBoard, vm: CPythonVM) -> None:
    board_of_epoch(board, 7, keys(7), head_seq=9, other_channels=((1, 2), (0, 0), (0, 0)))
    assert pinned(vm)
    cell = board.newest()
    assert (cell.key_epoch, cell.keys_digest, cell.head_seq, cell.head_time) == (1, digest(keys_document()), 0, NOW)
    assert cell.other_channels == ((0, 0),) * 3
    before = board.region()
    assert not pinned(vm)
    assert board.region() == before, "once is enough"


def test_keys_of_the_same_epoch_made_anew_count_anew(board: DeviceBoard, vm: CPythonVM) -> None:
    """A publisher who lost his keys begins at epoch 1 again: no seq of before may stand in his way."""
    board_of_epoch(board, 1, keys(1, STRANGER.modulus, issued=NOW + 99), head_seq=9, head_time=NOW + 99)
    assert pinned(vm)
    assert (board.newest().head_seq, board.newest().head_time) == (0, NOW)


def test_nothing_is_pinned_in_a_trial(make_board: Make) -> None:
    board = make_board()
    vm = on_trial(board)
    before = board.region()
    with refusal(vm, "FlashError", 63):
        pinned(vm)
    assert board.region() == before
