"""Patches of applications: a board makes the files exactly when the bench's codec does, whatever it gets, within bounds."""

from __future__ import annotations

import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slotbench.formats import FormatError
from slotbench.formats.application_patch import HEADER_BYTES, apply_application_patch, pack_header
from slotbench.vboard.vm import CPythonVM
from support.device.board import DeviceBoard
from support.fuzz.application_patch_checks import FOLDER, NEW_LIST, OLD, PatchedFolder, any_application_patch
from support.fuzz.strategies import bent, edited
from support.sampling import examples

NUMBERS = (FOLDER / "changed.files").read_bytes()[HEADER_BYTES + 5:]
"""Behind the head of its one stored block."""
MEMORY = 1 << 17
"""Bytes: far fewer than any of the bombs makes."""


def deflated(numbers: bytes, window_bits: int = 10) -> bytes:
    deflater = zlib.compressobj(9, zlib.DEFLATED, -window_bits)
    return pack_header(window_bits) + deflater.compress(numbers) + deflater.flush()


@examples(60)
@given(data=st.data())
def test_any_patch(device: DeviceBoard, vm: CPythonVM, data: st.DataObject) -> None:
    right = deflated(NUMBERS)
    any_application_patch(device, vm, data.draw(bent(right) | edited(right) | st.binary(max_size=600), "patch"))


@examples(100)
@given(data=st.data())
def test_any_numbers(device: DeviceBoard, vm: CPythonVM, data: st.DataObject) -> None:
    numbers = data.draw(bent(NUMBERS) | edited(NUMBERS) | st.binary(max_size=200), "numbers")
    any_application_patch(device, vm, deflated(numbers))


@pytest.mark.parametrize("numbers", [
    bytes(4_000_000), b"\0\1" + bytes(4_000_000), b"\0\1" + b"\1\0\0" * 900_000, b"\x80\x80\x80" * 500_000,
], ids=["nothing", "empty operations", "moves", "numbers"])
def test_a_bomb_is_refused_before_it_is_there(device: DeviceBoard, vm: CPythonVM, numbers: bytes) -> None:
    """By the bench and by the board, which takes a few steps for it, whatever it would inflate to."""
    patch = deflated(numbers)
    assert len(patch) < len(numbers) / 20
    tracemalloc.start()
    try:
        apply_application_patch(OLD, NEW_LIST, patch)
    except FormatError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < MEMORY
    made = PatchedFolder(device, vm, patch)
    made.make()
    assert made.right() == {}
