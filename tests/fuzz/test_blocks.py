"""Block tables and blocks: exactly the right ones reach the spare slot."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slotbench.formats import FormatError, blocks
from slotbench.vboard.vm import CPythonVM
from support.device_board import BOARD, DeviceBoard
from support.device_release import release_fields
from support.mutations import bent, edited

SLOT = BOARD.slots[1]
LENGTHS = (1, 4095, 4096, 4097, 5 * 4096 + 2, 5 * 4096 + 4095)


class Writing:
    """A writer of an image of this length into slot B of the shared board, as the agent makes one."""

    def __init__(self, device: DeviceBoard, vm: CPythonVM, length: int) -> None:
        self.image = random.Random(length).randbytes(length)
        self.table = blocks.table(self.image)
        fields = release_fields(self.image)
        self.plan = vm.import_("twoslot.judge").plan(fields, fields["images"]["any"])
        self.writer: Any = vm.import_("twoslot.writer")
        self.slot = self.writer.begin((SLOT.image.start, SLOT.table.start), self.plan)
        self.writer.ready(self.slot)
        self.lost = vm.import_("twoslot.errors").LinkError
        device.flash.poke(SLOT.table.start, b"\xff" * 4096)
        device.flash.poke(SLOT.image.start, b"\xff" * 4096 * 6)

    def load(self, data: bytes) -> None:
        """Into the buffer, over what the block before left there."""
        for number, piece in enumerate(self.writer.part(self.slot, len(data))):
            piece[:] = data[1024 * number :][:1024]

    def put_table(self, table: bytes) -> None:
        self.load(table)
        self.writer.put_table(self.slot, self.plan["blocks"])

    def put(self, number: int, content: bytes) -> None:
        self.load(content)
        self.writer.put(self.slot, number)


@settings(max_examples=150)
@given(data=st.data(), length=st.sampled_from(LENGTHS))
def test_any_block_table(device: DeviceBoard, vm: CPythonVM, data: st.DataObject, length: int) -> None:
    """Written when it is the release's, refused with 13 and not written otherwise.

    transfer.py has refused what is shorter; what is longer is not read to its end.
    """
    writing = Writing(device, vm, length)
    table = data.draw(st.one_of(bent(writing.table), edited(writing.table), st.binary(max_size=4096)), "table")
    table = table[: len(writing.table)].ljust(len(writing.table), b"\0")
    before = device.flash.peek(SLOT.table.start, 4096)
    try:
        writing.put_table(table)
    except writing.lost as error:
        assert error.args == (13, 0) and table != writing.table
        assert device.flash.peek(SLOT.table.start, 4096) == before
        return
    assert table == writing.table
    blocks.check(table, length)
    assert device.flash.peek(SLOT.table.start, 4096) == blocks.sector(table)


@settings(max_examples=150)
@given(data=st.data(), length=st.sampled_from(LENGTHS))
def test_any_block(device: DeviceBoard, vm: CPythonVM, data: st.DataObject, length: int) -> None:
    """Written when it is the table's, padded as erased flash; refused with 12 and not written otherwise."""
    writing = Writing(device, vm, length)
    writing.put_table(writing.table)
    writing.writer.survey(writing.slot, 0)
    number = data.draw(st.integers(0, blocks.count(length) - 1), "number")
    right = writing.image[number * 4096 : (number + 1) * 4096]
    content = data.draw(bent(right) | st.just(right), "content")
    start = SLOT.image.start + number * 4096
    before = device.flash.peek(start, 4096)
    try:
        writing.put(number, content)
    except writing.lost as error:
        assert error.args == (12, number) and content != right
        assert device.flash.peek(start, 4096) == before
        return
    assert content == right and device.flash.peek(start, 4096) == right.ljust(4096, b"\xff")


@settings(max_examples=100)
@given(data=st.data(), length=st.sampled_from(LENGTHS))
def test_any_spare_slot(device: DeviceBoard, vm: CPythonVM, data: st.DataObject, length: int) -> None:
    """The survey misses exactly the blocks that differ, and what was filled up is the image."""
    writing = Writing(device, vm, length)
    writing.put_table(writing.table)
    found = data.draw(bent(writing.image), "in the slot")
    device.flash.poke(SLOT.image.start, found)
    numbers = range(blocks.count(length))
    for number in numbers:
        writing.writer.survey(writing.slot, number)
    places = [slice(number * 4096, (number + 1) * 4096) for number in numbers]
    missing = [number for number in numbers if writing.writer.is_missing(writing.slot, number)]
    assert missing == [number for number in numbers if found[places[number]] != writing.image[places[number]]]
    assert writing.slot["left"] == len(missing)
    for number in missing:
        assert writing.writer.run(writing.slot)[0] == number
        writing.put(number, writing.image[places[number]])
    assert device.flash.peek(SLOT.image.start, length) == writing.image
    read = hashlib.sha256()
    for number in numbers:
        writing.writer.take(writing.slot, number, read)
    assert writing.slot["left"] == 0 and read.digest() == writing.plan["sha256"]


@given(table=st.binary(max_size=5000), length=st.integers(0, 2**31))
def test_tables_of_another_size_are_refused_by_the_bench(table: bytes, length: int) -> None:
    fits = len(table) == 16 * -(-length // 4096) and len(table) <= 16 * 251
    if fits:
        blocks.check(table, length)
    else:
        with pytest.raises(FormatError):
            blocks.check(table, length)
