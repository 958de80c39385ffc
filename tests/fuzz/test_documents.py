"""Heads, releases and keys: whatever is in them, the device refuses by number or reads what the bench reads."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from slotbench.vboard.vm import CPythonVM
from support.device.board import BOARD, NOW, PRODUCT, DeviceBoard, keys_document
from support.device.release import head_fields, payload, release_fields, signed
from support.fuzz import checks as fuzz_checks
from support.fuzz.checks import RIGHT
from support.fuzz.strategies import bent, edited
from support.sampling import examples

numbers = st.one_of(
    st.integers(-2, 300), st.sampled_from([NOW, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**64, -(2**31)]), st.booleans())
texts = st.text(max_size=8) | st.sampled_from(
    [PRODUCT, BOARD.name, "stable", "beta", "head", "release", "0" * 64, "f" * 63, "é" * 9, "x" * 300, "http://h/x"])
values: SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), numbers, texts, st.just(1.5)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=4)


# Any bytes.


def documents_like(text: bytes) -> SearchStrategy[bytes]:
    """Edited in line 1, in line 2, anywhere; bent; or nothing like it."""
    inserts = [b"\n", b"\r", b" ", b"=", b"!", b"\0"]
    first, newline, second = text.partition(b"\n")
    return st.one_of(
        edited(first, inserts).map(lambda line: line + newline + second),
        edited(second, inserts).map(lambda line: first + newline + line),
        edited(text, inserts), bent(text), st.binary(max_size=700))


@examples(250)
@given(data=st.data(), kind=st.sampled_from(["head", "release"]))
def test_any_bytes(vm: CPythonVM, data: st.DataObject, kind: str) -> None:
    text = data.draw(documents_like(RIGHT[kind]), "text")[:4096]
    fuzz_checks.document_text(vm, text, kind)


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


@examples(400)
@given(fields=nearly(head_fields(payload(release_fields()))))
def test_any_head_of_the_online_key(vm: CPythonVM, fields: Any) -> None:
    fuzz_checks.head_of_the_online_key(vm, signed(fields, "online"))


@examples(400)
@given(fields=nearly(release_fields()))
@example(fields=release_fields(version="\u00e9" * 9))
@example(fields=release_fields(version="a" + "\u00e9" * 8))
@example(fields=release_fields(version="x" * 17))
@example(fields=release_fields(version=""))
def test_any_release_of_the_offline_key(device: DeviceBoard, vm: CPythonVM, fields: Any) -> None:
    line = payload(fields)
    counter = fields.get("counter") if isinstance(fields, dict) else None
    head = head_fields(line, counter=counter if fuzz_checks.is_counter(counter) else 6)
    fuzz_checks.release_of_the_offline_key(device, vm, signed(line, "offline"), signed(head, "online"))


# Keys, as they lie on the board.


@examples(200)
@given(data=st.data())
def test_any_keys_file(device: DeviceBoard, vm: CPythonVM, data: st.DataObject) -> None:
    line = keys_document().partition(b"\n")[0]
    remade = nearly(json.loads(line)).map(lambda made: signed(made, "offline"))
    text = data.draw(st.one_of(documents_like(keys_document()), remade, st.just(keys_document())), "text")
    fuzz_checks.keys_file(device, vm, text)
