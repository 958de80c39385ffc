"""Journal, descriptors, window log and RTC tail: device and bench read the same out of any bytes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from slotbench.formats import FormatError, journal, maptable, rtc, windowlog
from slotbench.formats.descriptor import Descriptor, ImageForm
from slotbench.formats.journal import CELLS, Cell, Ended, Report, SlotState
from slotbench.formats.rtc import Tail, Why
from slotbench.formats.seal import PAGE_BYTES
from slotbench.vboard.vm import CPythonVM
from support.device_board import BOARD, DeviceBoard
from support.device_swap import loaders_word
from support.mutations import bent, flipped, overwritten

u32 = st.integers(0, 0xFFFFFFFF)
counters = st.integers(0, 0x7FFFFFFF)
flags = st.tuples(*[st.booleans()] * 8)
BLANK_PAGE = b"\xff" * PAGE_BYTES


@st.composite
def cells(draw: DrawFn) -> Cell:
    """Any cell that a writer may write; sequences are often close together, or the same."""
    ended = st.tuples(*[st.none() | st.sampled_from([int(code) for code in Ended]) | st.integers(0, 0xFFFFFFFE)] * 8)
    return Cell(
        sequence=draw(st.integers(1, 6) | u32), active=draw(st.integers(0, 1)),
        state_a=draw(st.sampled_from(SlotState)), state_b=draw(st.sampled_from(SlotState)),
        attempts=draw(st.integers(0, 8)), copies=draw(st.integers(0, 8)), report=draw(st.sampled_from(Report)),
        rounds=draw(st.integers(0, 255)), counter_a=draw(counters), counter_b=draw(counters), floor=draw(counters),
        bad_counter=draw(counters), unproven_counter=draw(counters), head_seq=draw(counters),
        head_time=draw(counters), key_epoch=draw(counters), channel_tag=draw(u32), report_counter=draw(counters),
        spent=draw(flags), ended=draw(ended), copied=draw(flags), bad_a=draw(st.booleans()),
        bad_b=draw(st.booleans()), confirmed=draw(st.booleans()))


@st.composite
def regions(draw: DrawFn) -> bytes:
    """Both sectors of a journal: right pages, wrong ones and blank ones, in any order; then perhaps damage."""
    pages = [BLANK_PAGE] * CELLS
    for place in draw(st.lists(st.integers(0, CELLS - 1), max_size=6, unique=True)):
        page = draw(cells()).pack()
        pages[place] = draw(st.one_of(st.just(page), bent(page), st.binary(min_size=256, max_size=256)))
    region = b"".join(pages)
    return draw(st.one_of(st.just(region), st.just(region), flipped(region), overwritten(region, 128)))


def fields_of(cell: Any) -> dict[str, Any]:
    """The device's cell in the words of the bench's."""
    names = (
        "sequence", "active", "attempts", "copies", "report", "rounds", "floor", "bad_counter", "unproven_counter",
        "head_seq", "head_time", "key_epoch", "channel_tag", "report_counter", "confirmed", "spent", "copied", "ended")
    lists = {"states": list(cell.states), "counters": list(cell.counters), "bad": list(cell.bad)}
    return {name: getattr(cell, name) for name in names} | lists


def expected_fields(cell: Cell) -> dict[str, Any]:
    """The same of the bench's cell. The device counts spent words, and takes a torn word for a lost attempt."""
    fields = {name: getattr(cell, name) for name in Cell.__slots__}
    for name in ("state_a", "state_b", "counter_a", "counter_b", "bad_a", "bad_b"):
        del fields[name]
    fields |= {"states": list(cell.states), "counters": list(cell.counters), "bad": list(cell.bad)}
    ended = [word if word < 256 else 1 for word in cell.ended if word is not None]
    return fields | {"spent": sum(cell.spent), "copied": sum(cell.copied), "ended": ended}


@settings(max_examples=250)
@given(region=regions())
def test_the_newest_cell_of_any_journal(device: DeviceBoard, vm: CPythonVM, region: bytes) -> None:
    device.flash.poke(BOARD.journal.start, region)
    found = vm.import_("twoslot.journal").Journal(vm.import_("twoslot.port").Port(), BOARD.journal.start)
    placed = journal.newest(region)
    if placed is None:
        assert found.cell is None
    else:
        index, cell = placed
        assert found.at == index and fields_of(found.cell) == expected_fields(cell)


@settings(max_examples=120)
@given(region=regions())
def test_the_place_of_the_next_cell(device: DeviceBoard, vm: CPythonVM, region: bytes) -> None:
    """Where the bench says it belongs; and afterwards it is the newest for both."""
    device.flash.poke(BOARD.journal.start, region)
    module = vm.import_("twoslot.journal")
    found = module.Journal(vm.import_("twoslot.port").Port(), BOARD.journal.start)
    place = journal.next_place(region)
    if place is not None and place.sequence > 0xFFFFFFFF:
        return  # four thousand million cells later
    found.append(found.cell or module.Cell())
    placed = journal.newest(device.region())
    assert placed is not None
    expected = (0, 1) if place is None else (place.index, place.sequence)
    assert (placed[0], placed[1].sequence) == expected == (found.at, found.cell.sequence)


@st.composite
def descriptors(draw: DrawFn) -> Descriptor:
    text = st.text(st.characters(codec="utf-8", exclude_categories=("C",)), min_size=1, max_size=8)
    return Descriptor(
        slot=draw(st.integers(0, 1)), counter=draw(counters),
        length=draw(st.integers(1, BOARD.slot_bytes) | st.sampled_from([0, BOARD.slot_bytes + 1, 0xFFFFFFFF])),
        sha256=draw(st.binary(min_size=32, max_size=32)), fs_start=draw(u32), product=draw(text), version=draw(text),
        form=draw(st.sampled_from(ImageForm)), floor=draw(counters), fs_version=draw(u32),
        mpy_abi=draw(st.integers(0, 255)), confirmed=draw(st.booleans()), bad=draw(st.booleans()))


@settings(max_examples=400)
@given(page=descriptors().flatmap(lambda made: bent(made.pack())) | st.binary(min_size=256, max_size=256),
       slot=st.integers(0, 1))
def test_any_descriptor(device: DeviceBoard, vm: CPythonVM, page: bytes, slot: int) -> None:
    """Valid for this slot and of a length that fits it, with the same content; or none for both."""
    device.flash.poke(BOARD.slots[slot].descriptor.start, page)
    found = vm.import_("twoslot.slots").Slots(vm.import_("twoslot.port").Port()).read(slot)
    try:
        expected: Descriptor | None = Descriptor.unpack(page)
    except FormatError:
        expected = None
    if expected is not None and (expected.slot != slot or not 0 < expected.length <= BOARD.slot_bytes):
        expected = None
    assert (found is None) == (expected is None)
    if expected is not None:
        assert vars(found) == {name: getattr(expected, name) for name in Descriptor.__slots__}


@settings(max_examples=200)
@given(numbers=st.lists(u32, min_size=maptable.NUMBERS, max_size=maptable.NUMBERS), data=st.data())
def test_any_map_table(device: DeviceBoard, vm: CPythonVM, numbers: list[int], data: st.DataObject) -> None:
    """Believed when the bench believes it, with the same numbers, if the chip is as large as it says."""
    right = maptable.pack(numbers)
    table = data.draw(st.one_of(st.just(right), bent(right), st.binary(min_size=72, max_size=72)), "table")
    before = device.flash.peek(maptable.OFFSET, maptable.TABLE_BYTES)
    device.flash.poke(maptable.OFFSET, table)
    try:
        expected: list[int] | None = maptable.unpack(table)
    except FormatError:
        expected = None
    try:
        found = vm.import_("twoslot.slots").Slots(vm.import_("twoslot.port").Port())
    except vm.import_("twoslot.errors").FlashError as error:
        assert error.args == ((73, maptable.OFFSET) if expected is None else (66, BOARD.chip_bytes))
        assert expected is None or expected[12] > BOARD.chip_bytes
        return
    finally:
        device.flash.poke(maptable.OFFSET, before)
    assert expected is not None and expected[12] <= BOARD.chip_bytes
    assert [
        found.journal, found.log, found.tables[0], found.descriptors[0], found.tables[1], found.descriptors[1],
        *found.images, found.size] == expected[:9]
    assert found.fs_start == expected[11]


@st.composite
def tails(draw: DrawFn) -> Tail:
    return Tail(
        slot=draw(st.integers(0, 1)), trial=draw(st.booleans()), attempts_left=draw(st.integers(0, 255)),
        why=draw(st.sampled_from(Why)), counter=draw(u32), reset_reason=draw(st.integers(0, 255)),
        note=draw(st.integers(0, 255)), schedule=draw(u32))


@settings(max_examples=400)
@given(tail=tails().flatmap(lambda made: bent(made.pack())) | st.binary(min_size=32, max_size=32))
def test_any_tail(device: DeviceBoard, vm: CPythonVM, tail: bytes) -> None:
    device.leave_tail(tail)
    found = loaders_word(vm)
    try:
        expected: Tail | None = rtc.Tail.unpack(tail)
    except FormatError:
        expected = None
    assert (found is None) == (expected is None)
    if expected is not None and found is not None:
        assert tuple(found[4:8]) == (expected.slot, expected.trial, expected.attempts_left, expected.why)
        assert (found[12], found[24]) == (expected.reset_reason & 0xFF, expected.note & 0xFF)


@st.composite
def window_logs(draw: DrawFn) -> bytes:
    """Filled upwards as a loader does, to any height, with what a cut may leave."""
    held = windowlog.held_entry(draw(st.binary(min_size=7, max_size=7)))
    count = draw(st.sampled_from([0, 1, 2, 3, 127, 128, 129, 254, 255, 256]))
    last = draw(st.one_of(st.just(held), bent(held), st.just(windowlog.DIRTY_ENTRY)))
    used = windowlog.DIRTY_ENTRY * (count - 1) + last if count else b""
    sector = used.ljust(4096, b"\xff")
    return draw(st.one_of(st.just(sector), st.just(sector), flipped(sector, 3), overwritten(sector, 16)))


@settings(max_examples=300)
@given(sector=window_logs())
def test_when_the_window_log_is_erased(device: DeviceBoard, vm: CPythonVM, sector: bytes) -> None:
    """Exactly when the bench says so; and what the window holds is either still known or unknown, never another."""
    device.flash.poke(BOARD.window_log.start, sector)
    device.flash.reset_counters()
    vm.import_("twoslot.slots").Slots(vm.import_("twoslot.port").Port()).tidy_log()
    erased = device.erased()
    assert erased == ([BOARD.window_log.start] if windowlog.needs_erase(sector) else [])
    after = device.flash.peek(BOARD.window_log.start, 4096)
    assert windowlog.held(after) in (windowlog.held(sector), None)
    assert windowlog.next_free(after) is not None


@pytest.mark.parametrize("size", [0, 16, 255, 257, 4095, 4097, 8191, 8193])
def test_regions_of_another_size_are_refused(size: int) -> None:
    for read in (journal.newest, windowlog.held, Descriptor.unpack, Tail.unpack):
        with pytest.raises(FormatError):
            read(bytes(size))
