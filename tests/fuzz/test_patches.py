"""Patches: a board makes the image exactly when the bench's codec does, whatever it gets, within bounds."""

from __future__ import annotations

import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import nullcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slotbench.formats import FormatError
from slotbench.formats.patch import HEADER_BYTES, PatchHeader, apply_patch
from slotbench.patch import make_patch
from slotbench.vboard.vm import CPythonVM
from support.device.board import VECTORS, DeviceBoard
from support.fuzz.patch_checks import NEW, OLD, any_patch, packed
from support.fuzz.strategies import bent, edited
from support.native_patch import as_module, watched_code
from support.sampling import examples

PATCHES = [make_patch(OLD, NEW), make_patch(OLD, NEW, predict=False)]
NUMBERS = [(VECTORS / "patches" / f"{name}.patch").read_bytes()[HEADER_BYTES + 5:] for name in ("predicted", "edited")]
"""Behind the head of their one stored block."""
MEMORY = 1 << 17
"""Bytes: far fewer than any of the bombs makes."""


@pytest.fixture(scope="module", params=["interpreted", "native"])
def decoding_vm(request: pytest.FixtureRequest, device: DeviceBoard) -> Iterator[CPythonVM]:
    """A board that goes on with a piece by its interpreter, and one by the native code, which sanitizers watch."""
    vm = device.start()
    with watched_code() if request.param == "native" else nullcontext() as update:
        if update is not None:
            vm.import_("twoslot")
            vm.modules["twoslot.native"] = as_module(update)
        yield vm
    assert (vm.import_("twoslot.patch.blocks").update is None) == (update is None), "another decoder was tried"


@examples(60)
@given(data=st.data(), right=st.sampled_from(PATCHES))
def test_any_patch(device: DeviceBoard, decoding_vm: CPythonVM, data: st.DataObject, right: bytes) -> None:
    any_patch(device, decoding_vm, data.draw(bent(right) | edited(right) | st.binary(max_size=600), "patch"))


@examples(100)
@given(data=st.data(), right=st.sampled_from(NUMBERS))
def test_any_numbers(device: DeviceBoard, decoding_vm: CPythonVM, data: st.DataObject, right: bytes) -> None:
    """They need no deflate stream that fits: what is behind it is reached at once."""
    any_patch(device, decoding_vm, packed(data.draw(bent(right) | edited(right) | st.binary(max_size=200), "numbers")))


@pytest.mark.parametrize("numbers", [
    bytes(4_000_000), b"\0\0" + b"\0\x01x" * 400_000, b"\x80\x80\x80" * 500_000, b"\x7f" + b"\x01\0" * 900_000,
], ids=["nothing", "bytes", "numbers", "map"])
def test_what_a_bomb_makes_is_never_there_as_a_whole(numbers: bytes) -> None:
    deflater = zlib.compressobj(9, zlib.DEFLATED, -10)
    patch = PatchHeader(10, len(OLD), len(NEW)).pack() + deflater.compress(numbers) + deflater.flush()
    assert len(patch) < len(numbers) / 20
    tracemalloc.start()
    try:
        made = apply_patch(OLD, patch)
    except FormatError:
        made = b""
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert made != NEW and peak < MEMORY
