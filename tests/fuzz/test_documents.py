"""Heads, releases and keys: whatever is in them, the device refuses by number or reads what the bench reads."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from slotbench.formats import FormatError, document
from slotbench.formats.descriptor import Descriptor, ImageForm
from slotbench.formats.head import Head
from slotbench.formats.journal import Cell
from slotbench.formats.keys import Keys
from slotbench.formats.release import Release
from slotbench.vboard.vm import CPythonVM
from support.device_board import BOARD, NOW, PRODUCT, DeviceBoard, keys_document, read_document, signing_key
from support.device_judge import Judge
from support.device_release import head_fields, offer, payload, release_fields, signed
from support.mutations import bent, edited

MODULI = {"head": signing_key("online").modulus, "release": signing_key("offline").modulus}
FORMATS = {"head": Head.from_payload, "release": Release.from_payload}
RIGHT = {"head": offer().head, "release": offer().release}
UNREADABLE = {20, 23, 24}
"""What only a document that is not well made may be refused with."""

numbers = st.one_of(
    st.integers(-2, 300), st.sampled_from([NOW, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**64, -(2**31)]), st.booleans())
texts = st.text(max_size=8) | st.sampled_from(
    [PRODUCT, BOARD.name, "stable", "beta", "head", "release", "0" * 64, "f" * 63, "é" * 9, "x" * 300, "http://h/x"])
values: SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), numbers, texts, st.just(1.5)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=4)


def take_apart(text: bytes, kind: str) -> bytes | None:
    """The payload when the bench accepts the document as one of this kind, signed by the right key."""
    try:
        made = document.split(text)
        FORMATS[kind](made.payload)
    except FormatError:
        return None
    return made.payload if document.verify(made, MODULI[kind]) else None


# Any bytes.


def documents_like(text: bytes) -> SearchStrategy[bytes]:
    """Edited in line 1, in line 2, anywhere; bent; or nothing like it."""
    inserts = [b"\n", b"\r", b" ", b"=", b"!", b"\0"]
    first, newline, second = text.partition(b"\n")
    return st.one_of(
        edited(first, inserts).map(lambda line: line + newline + second),
        edited(second, inserts).map(lambda line: first + newline + line),
        edited(text, inserts), bent(text), st.binary(max_size=700))


@settings(max_examples=250)
@given(data=st.data(), kind=st.sampled_from(["head", "release"]))
def test_any_bytes(vm: CPythonVM, data: st.DataObject, kind: str) -> None:
    """Both refuse or both accept; and nothing but a refusal by number leaves the device."""
    judge = Judge(vm)
    text = data.draw(documents_like(RIGHT[kind]), "text")[:4096]
    accepted = take_apart(text, kind)
    try:
        fields, digest, _ = judge.read(text, kind)
    except vm.import_("twoslot.errors").ReleaseError:
        assert accepted is None, "the bench takes it, the device does not"
        return
    assert accepted is not None, "the device takes it, the bench does not"
    assert digest == bytes.fromhex(document.digest(accepted)) and fields == json.loads(accepted)


# Any fields, signed by the right key: a stolen one, or a tool that errs.


@st.composite
def changed(draw: DrawFn, fields: dict[str, Any]) -> dict[str, Any]:
    """Some fields are missing or hold something else; so do some inside an object; some are new."""
    out = dict(fields)
    for key in draw(st.lists(st.sampled_from(sorted(fields)), min_size=1, max_size=3, unique=True)):
        way = draw(st.sampled_from(["take", "set", "set", "inside"]))
        if way == "take":
            del out[key]
        elif way == "inside" and isinstance(out[key], dict):
            out[key] = draw(changed(out[key]))
        else:
            out[key] = draw(values)
    if draw(st.booleans()):
        out[draw(texts)] = draw(values)
    return out


def nearly(fields: dict[str, Any]) -> SearchStrategy[Any]:
    return st.one_of(changed(fields), changed(fields), changed(fields), values)


@settings(max_examples=400)
@given(fields=nearly(head_fields(payload(release_fields()))))
def test_any_head_of_the_online_key(vm: CPythonVM, fields: Any) -> None:
    """Refused by number, or what the journal can hold; what the bench would have signed is never unreadable."""
    judge = Judge(vm)
    refusal = vm.import_("twoslot.errors").ReleaseError
    text = signed(fields, "online")
    try:
        head = judge.head(text)
    except refusal as error:
        assert take_apart(text, "head") is None or error.args[0] not in UNREADABLE, error.args
        return
    Cell(
        sequence=1, head_seq=head["seq"], head_time=head["issued"], key_epoch=head["epoch"],
        channel_tag=head["tag"]).pack()
    try:
        judge.want(head)
    except refusal as error:
        assert error.args[0] in range(28, 43)


@settings(max_examples=400)
@given(fields=nearly(release_fields()))
@example(fields=release_fields(version="\u00e9" * 9))
@example(fields=release_fields(version="a" + "\u00e9" * 8))
@example(fields=release_fields(version="x" * 17))
@example(fields=release_fields(version=""))
def test_any_release_of_the_offline_key(device: DeviceBoard, vm: CPythonVM, fields: Any) -> None:
    """Refused by number, or what a descriptor can hold and gives back."""
    judge = Judge(vm)
    line = payload(fields)
    counter = fields.get("counter") if isinstance(fields, dict) else None
    text = signed(line, "offline")
    head = judge.head(signed(head_fields(line, counter=counter if _is_counter(counter) else 6), "online"))
    try:
        plan = judge.plan(text, head)
    except vm.import_("twoslot.errors").ReleaseError as error:
        assert take_apart(text, "release") is None or error.args[0] not in UNREADABLE, error.args
        return
    assert len(plan["sha256"]) == len(plan["blocks"]) == 32
    said = {name: plan[name] for name in (
        "counter", "length", "sha256", "fs_start", "version", "floor", "fs_version", "mpy_abi")}
    assert describe(device, vm, plan) == Descriptor(slot=1, product=PRODUCT, form=ImageForm(plan["form"]), **said)


def _is_counter(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**31


def describe(device: DeviceBoard, vm: CPythonVM, plan: Any) -> Descriptor:
    """What the device writes for the slot, read by the device and by the bench."""
    device.flash.poke(BOARD.slots[1].descriptor.start, b"\xff" * 4096)
    slots = vm.import_("twoslot.slots").Slots(vm.import_("twoslot.port").Port())
    slots.describe(1, PRODUCT, plan)
    assert slots.read(1) is not None
    described = device.descriptor(1)
    assert described is not None
    return described


# Keys, as they lie on the board.


@settings(max_examples=200)
@given(data=st.data())
def test_any_keys_file(device: DeviceBoard, vm: CPythonVM, data: st.DataObject) -> None:
    """Refused with the one code there is, or the moduli the bench reads."""
    line = keys_document().partition(b"\n")[0]
    remade = nearly(json.loads(line)).map(lambda made: signed(made, "offline"))
    text = data.draw(st.one_of(documents_like(keys_document()), remade, st.just(keys_document())), "text")
    device.files["/twoslot.keys"] = text
    try:
        keys: Keys | None = Keys.from_payload(document.split(text).payload)
    except FormatError:
        keys = None
    pinned = vm.import_("twoslot.pinned").keys
    found = {}
    try:
        for role in ("offline", "online"):
            found[role] = pinned(role)
    except vm.import_("twoslot.errors").FlashError as error:
        assert error.args == (71, 0) and keys is None, "the bench takes it, the device does not"
        return
    finally:
        device.files["/twoslot.keys"] = keys_document()
    if keys is not None:
        assert found == {"offline": (keys.epoch, list(keys.offline)), "online": (keys.epoch, [keys.online])}
    # What is no modulus verifies nothing.
    device.files["/twoslot.keys"] = text
    refusal = vm.import_("twoslot.errors").ReleaseError
    try:
        read_document(vm, RIGHT["head"], "head")
    except refusal as error:
        assert error.args[0] in (21, 22) and found["online"][1] != [MODULI["head"]]
    else:
        assert found["online"][1] == [MODULI["head"]]
    finally:
        device.files["/twoslot.keys"] = keys_document()
