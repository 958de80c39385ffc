"""Block tables and blocks: exactly the right ones reach the spare slot."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slotbench.formats import FormatError, blocks
from slotbench.vboard.vm import CPythonVM
from support.device.board import DeviceBoard
from support.fuzz.checks import Writing
from support.fuzz.strategies import bent, edited
from support.sampling import examples

LENGTHS = (1, 4095, 4096, 4097, 5 * 4096 + 2, 5 * 4096 + 4095)


@examples(150)
@given(data=st.data(), length=st.sampled_from(LENGTHS))
def test_any_block_table(device: DeviceBoard, vm: CPythonVM, data: st.DataObject, length: int) -> None:
    writing = Writing(device, vm, length)
    table = data.draw(st.one_of(bent(writing.table), edited(writing.table), st.binary(max_size=4096)), "table")
    writing.any_table(table)


@examples(150)
@given(data=st.data(), length=st.sampled_from(LENGTHS))
def test_any_block(device: DeviceBoard, vm: CPythonVM, data: st.DataObject, length: int) -> None:
    writing = Writing(device, vm, length)
    writing.put_table(writing.table)
    writing.scan.check_block(writing.slot, 0)
    number = data.draw(st.integers(0, blocks.block_count(length) - 1), "number")
    right = writing.image[number * 4096 : (number + 1) * 4096]
    writing.any_block(number, data.draw(bent(right) | st.just(right), "content"))


@examples(100)
@given(data=st.data(), length=st.sampled_from(LENGTHS))
def test_any_spare_slot(device: DeviceBoard, vm: CPythonVM, data: st.DataObject, length: int) -> None:
    writing = Writing(device, vm, length)
    writing.put_table(writing.table)
    writing.any_slot(data.draw(bent(writing.image), "in the slot"))


@given(table=st.binary(max_size=5000), length=st.integers(0, 2**31))
def test_tables_of_another_size_are_refused_by_the_bench(table: bytes, length: int) -> None:
    fits = len(table) == 16 * -(-length // 4096) and len(table) <= 16 * 251
    if fits:
        blocks.check_table(table, length)
    else:
        with pytest.raises(FormatError):
            blocks.check_table(table, length)
