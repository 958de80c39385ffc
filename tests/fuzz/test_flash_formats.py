"""Journal, descriptors, window log and RTC tail: device and bench read the same out of any bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from slotbench.formats import FormatError, journal, maptable, windowlog
from slotbench.formats.descriptor import ImageForm, SlotDescriptor
from slotbench.formats.journal import (
    CELLS,
    KEYS_DIGEST_BYTES,
    OTHER_CHANNELS_MAX,
    Ended,
    JournalCell,
    Report,
    SlotState,
)
from slotbench.formats.rtc import BootReason, Tail
from slotbench.formats.seal import PAGE_BYTES
from slotbench.vboard.vm import CPythonVM
from support.device.board import BOARD, DeviceBoard
from support.fuzz import checks as fuzz_checks
from support.fuzz.strategies import bent, flipped, overwritten
from support.sampling import examples

u32 = st.integers(0, 0xFFFFFFFF)
counters = st.integers(0, 0x7FFFFFFF)
flags = st.tuples(*[st.booleans()] * 8)
BLANK_PAGE = b"\xff" * PAGE_BYTES


@st.composite
def cells(draw: DrawFn) -> JournalCell:
    """Any cell that a writer may write; sequences are often close together, or the same."""
    ended = st.tuples(*[st.none() | st.sampled_from([int(code) for code in Ended]) | st.integers(0, 0xFFFFFFFE)] * 8)
    return JournalCell(
        sequence=draw(st.integers(1, 6) | u32), active=draw(st.integers(0, 1)),
        state_a=draw(st.sampled_from(SlotState)), state_b=draw(st.sampled_from(SlotState)),
        attempts=draw(st.integers(0, 8)), copies=draw(st.integers(0, 8)), report=draw(st.sampled_from(Report)),
        rounds=draw(st.integers(0, 255)), counter_a=draw(counters), counter_b=draw(counters), floor=draw(counters),
        bad_counter=draw(counters), unproven_counter=draw(counters), head_seq=draw(counters),
        head_time=draw(counters), key_epoch=draw(counters), channel_tag=draw(u32), report_counter=draw(counters),
        never_reached=draw(st.booleans()), reached=draw(st.booleans()),
        keys_digest=draw(st.binary(min_size=KEYS_DIGEST_BYTES, max_size=KEYS_DIGEST_BYTES)),
        other_channels=draw(st.tuples(*[st.tuples(u32, u32)] * OTHER_CHANNELS_MAX)),
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


@examples(250)
@given(region=regions())
def test_the_newest_cell_of_any_journal(device: DeviceBoard, vm: CPythonVM, region: bytes) -> None:
    fuzz_checks.newest_cell(device, vm, region)


@examples(120)
@given(region=regions())
def test_the_place_of_the_next_cell(device: DeviceBoard, vm: CPythonVM, region: bytes) -> None:
    fuzz_checks.next_cell(device, vm, region)


@st.composite
def descriptors(draw: DrawFn) -> SlotDescriptor:
    text = st.text(st.characters(codec="utf-8", exclude_categories=("C",)), min_size=1, max_size=8)
    return SlotDescriptor(
        slot=draw(st.integers(0, 1)), counter=draw(counters),
        length=draw(st.integers(1, BOARD.slot_bytes) | st.sampled_from([0, BOARD.slot_bytes + 1, 0xFFFFFFFF])),
        sha256=draw(st.binary(min_size=32, max_size=32)), fs_start=draw(u32), product=draw(text), version=draw(text),
        form=draw(st.sampled_from(ImageForm)), floor=draw(counters), fs_version=draw(u32),
        mpy_abi=draw(st.integers(0, 255)), twoslot=draw(u32), confirmed=draw(st.booleans()), bad=draw(st.booleans()))


@examples(400)
@given(page=descriptors().flatmap(lambda made: bent(made.pack())) | st.binary(min_size=256, max_size=256),
       slot=st.integers(0, 1))
def test_any_descriptor(device: DeviceBoard, vm: CPythonVM, page: bytes, slot: int) -> None:
    fuzz_checks.descriptor(device, vm, page, slot)


@examples(200)
@given(numbers=st.lists(u32, min_size=maptable.NUMBERS, max_size=maptable.NUMBERS), data=st.data())
def test_any_map_table(device: DeviceBoard, vm: CPythonVM, numbers: list[int], data: st.DataObject) -> None:
    right = maptable.pack_table(numbers)
    table = data.draw(st.one_of(st.just(right), bent(right), st.binary(min_size=72, max_size=72)), "table")
    fuzz_checks.map_table(device, vm, table)


@st.composite
def tails(draw: DrawFn) -> Tail:
    return Tail(
        slot=draw(st.integers(0, 1)), trial=draw(st.booleans()), attempts_left=draw(st.integers(0, 255)),
        why=draw(st.sampled_from(BootReason)), counter=draw(u32), reset_reason=draw(st.integers(0, 255)),
        note=draw(st.integers(0, 255)), schedule=draw(u32))


@examples(400)
@given(tail=tails().flatmap(lambda made: bent(made.pack())) | st.binary(min_size=32, max_size=32))
def test_any_tail(device: DeviceBoard, vm: CPythonVM, tail: bytes) -> None:
    fuzz_checks.rtc_tail(device, vm, tail)


@st.composite
def window_logs(draw: DrawFn) -> bytes:
    """Filled upwards as a loader does, to any height, with what a cut may leave."""
    held = windowlog.held_entry(draw(st.binary(min_size=7, max_size=7)))
    count = draw(st.sampled_from([0, 1, 2, 3, 127, 128, 129, 254, 255, 256]))
    last = draw(st.one_of(st.just(held), bent(held), st.just(windowlog.DIRTY_ENTRY)))
    used = windowlog.DIRTY_ENTRY * (count - 1) + last if count else b""
    sector = used.ljust(4096, b"\xff")
    return draw(st.one_of(st.just(sector), st.just(sector), flipped(sector, 3), overwritten(sector, 16)))


@examples(300)
@given(sector=window_logs())
def test_when_the_window_log_is_erased(device: DeviceBoard, vm: CPythonVM, sector: bytes) -> None:
    fuzz_checks.window_log(device, vm, sector)


@pytest.mark.parametrize("size", [0, 16, 255, 257, 4095, 4097, 8191, 8193])
def test_regions_of_another_size_are_refused(size: int) -> None:
    for read in (journal.newest_cell, windowlog.held_digest, SlotDescriptor.unpack, Tail.unpack):
        with pytest.raises(FormatError):
            read(bytes(size))
