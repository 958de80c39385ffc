"""Cells, descriptors, window log, RTC tail and block table, byte by byte as FORMATS.md defines them."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis import given

from slotbench.formats import BLANK, FormatError, blocks, journal, seal, windowlog
from slotbench.formats.descriptor import ImageForm, SlotDescriptor
from slotbench.formats.journal import Ended, JournalCell, Report, SlotState
from slotbench.formats.rtc import BootReason, ResetReason, Tail

CELL = JournalCell(
    sequence=0x01020304, active=1, state_a=SlotState.CONFIRMED, state_b=SlotState.READY, attempts=3, copies=8,
    report=Report.UNPROVEN, rounds=2, counter_a=11, counter_b=12, floor=13, bad_counter=14,
    unproven_counter=15, head_seq=16, head_time=17, key_epoch=18, channel_tag=19, report_counter=20,
    keys_digest=bytes(range(16)), other_channels=((1, 2), (3, 4), (5, 6)),
)
DESCRIPTOR = SlotDescriptor(
    slot=1, counter=21, length=22, sha256=bytes(range(32)), floor=23, fs_start=0x100000,
    fs_version=0x20001, mpy_abi=6, product="sensor", version="1.25.0",
)
TAIL = Tail(
    slot=1, trial=True, attempts_left=2, why=BootReason.TRIAL, counter=33, reset_reason=ResetReason.RESTART,
    note=5, schedule=44,
)
BLANK_PAGE = b"\xff" * 256
SECTOR = 4096


def word(data: bytes, offset: int) -> int:
    return struct.unpack_from("<I", data, offset)[0]


def resealed(page: bytes, offset: int, value: int) -> bytes:
    """The page with one body byte changed and a matching seal."""
    body = bytearray(page[:120])
    body[offset] = value
    return bytes(body) + hashlib.sha256(body).digest()[:8] + page[128:]


def region(*sectors: list[bytes]) -> bytes:
    return b"".join(b"".join(pages).ljust(SECTOR, b"\xff") for pages in sectors)


def cells(first: int, last: int) -> list[bytes]:
    return [JournalCell(sequence=i).pack() for i in range(first, last + 1)]


def test_digest8_is_the_start_of_sha256() -> None:
    assert seal.digest8(b"abc") == hashlib.sha256(b"abc").digest()[:8]


@pytest.mark.parametrize(("page", "state"), [
    (CELL.pack(), "valid"),
    (BLANK_PAGE, "blank"),
    (bytes(256), "garbage"),
    (DESCRIPTOR.pack(), "garbage"),
    (CELL.pack()[:255], "garbage"),
    (CELL.pack() + b"\xff", "garbage"),
    (b"\xff" * 255, "garbage"),
])
def test_the_state_of_a_page(page: bytes, state: str) -> None:
    assert seal.classify_page(page, b"2SJ2") == state


@pytest.mark.parametrize("offset", [0, 4, 119, 120, 127])
def test_any_flipped_bit_of_the_sealed_part_is_garbage(offset: int) -> None:
    page = bytearray(CELL.pack())
    page[offset] ^= 0x80

    assert seal.classify_page(bytes(page), b"2SJ2") == "garbage"


@pytest.mark.parametrize(("page", "what", "offset"), [
    (BLANK_PAGE, "page is blank", 0),
    (b"", "a page has 256 bytes, not 0", 0),
    (CELL.pack() * 2, "a page has 256 bytes, not 512", 256),
    (b"2SJ3" + CELL.pack()[4:], "magic is b'2SJ3', not b'2SJ2'", 0),
    (CELL.pack()[:120] + bytes(136), "seal does not match the body", 120),
])
def test_unpack_page_names_the_mistake(page: bytes, what: str, offset: int) -> None:
    with pytest.raises(FormatError, match=what) as caught:
        seal.unpack_page(page, b"2SJ2")

    assert caught.value.offset == offset


def test_pack_page_refuses_a_wrong_body_or_word() -> None:
    with pytest.raises(ValueError, match="120 bytes, not 3"):
        seal.pack_page(b"abc", {})
    for offset in (127, 124, 130):
        with pytest.raises(ValueError, match="no open word"):
            seal.pack_page(bytes(120), {offset: 0})


def test_cell_layout() -> None:
    page = CELL.pack()

    assert len(page) == 256
    assert page[:4] == b"2SJ2"
    assert word(page, 4) == 0x01020304
    assert list(page[8:16]) == [1, 2, 1, 3, 8, 3, 2, 0]
    assert [word(page, 16 + 4 * i) for i in range(10)] == list(range(11, 21))
    assert page[56:120] == bytes(range(16)) + struct.pack("<6I", 1, 2, 3, 4, 5, 6) + bytes(24)
    assert page[120:128] == hashlib.sha256(page[:120]).digest()[:8]
    assert page[128:] == b"\xff" * 128


@pytest.mark.parametrize(("change", "offset", "value"), [
    ({"spent": (False,) * 7 + (True,)}, 156, 0),
    ({"ended": (Ended.EXCEPTION,) + (None,) * 7}, 160, 3),
    ({"copied": (True,) + (False,) * 7}, 192, 0),
    ({"bad_a": True}, 224, 0),
    ({"bad_b": True}, 228, 0),
    ({"confirmed": True}, 232, 0),
])
def test_cell_open_words(change: dict[str, Any], offset: int, value: int) -> None:
    page = replace(CELL, **change).pack()

    changed = [at for at in range(128, 256, 4) if word(page, at) != BLANK]
    assert changed == [offset]
    assert word(page, offset) == value
    assert JournalCell.unpack(page) == replace(CELL, **change)
    assert page[:128] == CELL.pack()[:128]


def test_any_value_but_erased_counts_as_set() -> None:
    page = bytearray(CELL.pack())
    struct.pack_into("<I", page, 228, 0x7FFFFFFF)
    struct.pack_into("<I", page, 160, 0xFFFFFF02)

    cell = JournalCell.unpack(bytes(page))

    assert cell.bad == (False, True)
    assert cell.ended[0] == 0xFFFFFF02


def test_cell_states_and_counters_by_slot() -> None:
    assert CELL.states == (SlotState.CONFIRMED, SlotState.READY)
    assert CELL.counters == (11, 12)


@pytest.mark.parametrize(("change", "what"), [
    ({"active": 2}, "active slot is 2"),
    ({"attempts": 9}, "attempts is 9, not 0-8"),
    ({"copies": -1}, "copies is -1, not 0-8"),
    ({"sequence": 1 << 32}, "out of range"),
    ({"rounds": 256}, "out of range"),
])
def test_impossible_cell_fields_are_not_packed(change: dict[str, Any], what: str) -> None:
    with pytest.raises(FormatError, match=what):
        replace(CELL, **change).pack()


@pytest.mark.parametrize(("offset", "value", "what"), [
    (8, 2, "active slot is 2"),
    (9, 4, "SlotState has no value 4"),
    (10, 255, "SlotState has no value 255"),
    (11, 9, "attempts is 9"),
    (12, 9, "copies is 9"),
    (13, 8, "Report has no value 8"),
    (15, 2, "never_reached is 2"),
    (96, 1, "reserved byte is not 0"),
    (119, 1, "reserved byte is not 0"),
])
def test_a_sealed_impossible_cell_field_is_named(offset: int, value: int, what: str) -> None:
    with pytest.raises(FormatError, match=what) as caught:
        JournalCell.unpack(resealed(CELL.pack(), offset, value))

    assert caught.value.offset == offset


@given(st.data())
def test_cell_round_trip(data: st.DataObject) -> None:
    u32 = st.integers(0, 0xFFFFFFFF)
    flags = st.tuples(*[st.booleans()] * 8)
    cell = JournalCell(
        sequence=data.draw(u32), active=data.draw(st.integers(0, 1)),
        state_a=data.draw(st.sampled_from(SlotState)), state_b=data.draw(st.sampled_from(SlotState)),
        attempts=data.draw(st.integers(0, 8)), copies=data.draw(st.integers(0, 8)),
        report=data.draw(st.sampled_from(Report)), rounds=data.draw(st.integers(0, 255)),
        counter_a=data.draw(u32), floor=data.draw(u32), channel_tag=data.draw(u32),
        spent=data.draw(flags), copied=data.draw(flags),
        ended=data.draw(st.tuples(*[st.none() | st.sampled_from(Ended)] * 8)),
        bad_a=data.draw(st.booleans()), confirmed=data.draw(st.booleans()),
    )

    assert JournalCell.unpack(cell.pack()) == cell


def test_the_report_that_follows_from_each_ending() -> None:
    bad = {code.value for code in Ended if code.verdict is Report.BAD}

    assert bad == {2, 3, 4, 6}
    assert {code.verdict for code in Ended if code not in bad} == {Report.UNPROVEN}


def test_the_highest_sequence_is_the_newest_cell() -> None:
    data = region(cells(7, 9), cells(3, 4) + cells(30, 30) + cells(5, 5))

    index, cell = journal.newest_cell(data)

    assert (index, cell.sequence) == (18, 30)


def test_a_lost_journal_has_no_newest_cell_and_no_next_place() -> None:
    data = region([bytes(256)], [])

    assert journal.newest_cell(data) is None
    assert journal.next_place(data) is None


@pytest.mark.parametrize(("first", "second", "place"), [
    (cells(1, 1), [], (1, 2, None)),
    (cells(1, 15), [], (15, 16, None)),
    (cells(1, 16), [], (16, 17, 1)),
    (cells(20, 20), cells(4, 19), (1, 21, None)),
    ([], cells(1, 16), (0, 17, 0)),
    (cells(1, 3) + [bytes(256)], [], (16, 5, 1)),
    (cells(1, 3) + [bytes(256), BLANK_PAGE, bytes(256)], [], (16, 6, 1)),
    (cells(1, 3) + [BLANK_PAGE, bytes(256)], [], (3, 5, None)),
    (cells(9, 9) + cells(2, 2), [], (16, 11, 1)),
])
def test_the_place_of_the_next_cell(
    first: list[bytes], second: list[bytes], place: tuple[int, int, int | None],
) -> None:
    found = journal.next_place(region(first, second))

    assert (found.index, found.sequence, found.erase) == place


def test_a_journal_region_has_two_sectors() -> None:
    with pytest.raises(FormatError, match="8192 bytes, not 4096"):
        journal.scan_pages(bytes(4096))


def test_a_sealed_impossible_cell_stops_reading() -> None:
    with pytest.raises(FormatError, match="Report has no value 9"):
        journal.newest_cell(region([resealed(CELL.pack(), 13, 9)], cells(1, 1)))


def test_channel_tag() -> None:
    digest = hashlib.sha256(b"sensor/stable").digest()

    assert journal.channel_tag("sensor", "stable") == struct.unpack_from("<I", digest)[0]


def test_descriptor_layout() -> None:
    page = DESCRIPTOR.pack()

    assert page[:4] == b"2SD1"
    assert list(page[4:8]) == [1, 1, 0, 0]
    assert (word(page, 8), word(page, 12)) == (21, 22)
    assert page[16:48] == bytes(range(32))
    assert [word(page, at) for at in (48, 52, 56, 60)] == [23, 0x100000, 0x20001, 6]
    assert page[64:96] == b"sensor".ljust(32, b"\0")
    assert page[96:112] == b"1.25.0".ljust(16, b"\0")
    assert page[112:120] == bytes(8)
    assert page[128:] == b"\xff" * 128
    assert SlotDescriptor.unpack(page) == DESCRIPTOR


@pytest.mark.parametrize(("change", "offset"), [({"confirmed": True}, 128), ({"bad": True}, 132)])
def test_descriptor_open_words(change: dict[str, Any], offset: int) -> None:
    page = replace(DESCRIPTOR, **change).pack()

    assert [at for at in range(128, 256, 4) if word(page, at) != BLANK] == [offset]
    assert SlotDescriptor.unpack(page) == replace(DESCRIPTOR, **change)


def test_a_long_version_is_cut_between_characters() -> None:
    page = replace(DESCRIPTOR, version="1.25.0-preview.\u00e9x").pack()

    assert SlotDescriptor.unpack(page).version == "1.25.0-preview."


@pytest.mark.parametrize(("change", "what"), [
    ({"product": ""}, "0 bytes, not 1-32"),
    ({"product": "p" * 33}, "33 bytes, not 1-32"),
    ({"sha256": b"short"}, "32 bytes, not 5"),
    ({"slot": 2}, "slot is 2"),
    ({"length": -1}, "out of range"),
])
def test_impossible_descriptor_fields_are_not_packed(change: dict[str, Any], what: str) -> None:
    with pytest.raises(FormatError, match=what):
        replace(DESCRIPTOR, **change).pack()


@pytest.mark.parametrize(("offset", "value", "what"), [
    (4, 2, "slot is 2"),
    (5, 3, "image form 3 is not known"),
    (6, 1, "reserved byte"),
    (119, 1, "reserved byte"),
    (64, 0xFF, "not UTF-8"),
    (97, 0x80, "not UTF-8"),
])
def test_a_sealed_impossible_descriptor_field_is_named(offset: int, value: int, what: str) -> None:
    with pytest.raises(FormatError, match=what) as caught:
        SlotDescriptor.unpack(resealed(DESCRIPTOR.pack(), offset, value))

    assert caught.value.offset == offset


def test_image_forms() -> None:
    assert (ImageForm.E9, ImageForm.EA) == (1, 2)


ONE = windowlog.held_entry(hashlib.sha256(b"one").digest())
TWO = windowlog.held_entry(hashlib.sha256(b"two").digest())
DIRTY = bytes(16)


def log_sector(*entries: bytes) -> bytes:
    return b"".join(entries).ljust(SECTOR, b"\xff")


def test_window_log_entry_layout() -> None:
    digest = hashlib.sha256(b"one").digest()

    assert ONE == b"H" + digest[:7] + hashlib.sha256(b"H" + digest[:7]).digest()[:8]
    with pytest.raises(ValueError, match="6 bytes"):
        windowlog.held_entry(b"short!")


def test_the_last_entry_that_is_not_blank_is_held() -> None:
    two = hashlib.sha256(b"two").digest()[:7]

    assert windowlog.held_digest(log_sector(ONE, DIRTY, TWO)) == two
    assert windowlog.held_digest(log_sector(ONE, b"\xff" * 16, TWO)) == two


@pytest.mark.parametrize("entries", [
    (), (ONE, DIRTY), (ONE, TWO[:15] + b"\xff"), (b"I" + ONE[1:],), (ONE, b"\xff" * 15 + b"\xfe"),
    (DIRTY,) * 255 + (ONE,),
])
def test_any_other_window_log_is_unknown(entries: tuple[bytes, ...]) -> None:
    assert windowlog.held_digest(log_sector(*entries)) is None


@pytest.mark.parametrize(("used", "free"), [(0, 0), (1, 1), (255, 255), (256, None)])
def test_the_next_free_entry_of_the_window_log(used: int, free: int | None) -> None:
    assert windowlog.next_free_entry(log_sector(*[DIRTY] * used)) == free


@pytest.mark.parametrize(("entries", "erase"), [
    ((), False), ((ONE,), False), ((DIRTY,) * 127 + (ONE,), False),
    ((DIRTY,) * 128 + (ONE,), True), ((TWO[:9] + b"\xff" * 7, ONE), True),
])
def test_when_the_window_log_needs_an_erase(entries: tuple[bytes, ...], erase: bool) -> None:
    assert windowlog.needs_erase(log_sector(*entries)) is erase


def test_a_window_log_is_one_sector() -> None:
    with pytest.raises(FormatError, match="4096 bytes, not 16"):
        windowlog.held_digest(ONE)


def test_rtc_tail_layout() -> None:
    data = TAIL.pack()

    assert len(data) == 32
    assert data[:8] == b"2SR2\x01\x01\x02\x02"
    assert (word(data, 8), word(data, 12)) == (33, 4)
    assert data[16:24] == hashlib.sha256(data[:16]).digest()[:8]
    assert (word(data, 24), word(data, 28)) == (5, 44)
    assert Tail.unpack(data) == TAIL


def test_note_and_schedule_are_outside_the_seal() -> None:
    data = TAIL.pack()[:24] + struct.pack("<II", 6, 7)

    assert Tail.unpack(data) == replace(TAIL, note=6, schedule=7)


@pytest.mark.parametrize(("change", "what"), [
    ({"slot": 2}, "slot is 2"), ({"counter": -1}, "out of range"), ({"note": 1 << 32}, "out of range"),
])
def test_impossible_rtc_fields_are_not_packed(change: dict[str, Any], what: str) -> None:
    with pytest.raises(FormatError, match=what):
        replace(TAIL, **change).pack()


@pytest.mark.parametrize(("offset", "value", "what"), [
    (4, 2, "slot is 2"), (5, 2, "trial is 2"), (7, 0, "why is 0"), (7, 8, "why is 8"),
])
def test_a_sealed_impossible_rtc_field_is_named(offset: int, value: int, what: str) -> None:
    sealed = bytearray(TAIL.pack()[:16])
    sealed[offset] = value

    with pytest.raises(FormatError, match=what) as caught:
        Tail.unpack(bytes(sealed) + hashlib.sha256(sealed).digest()[:8] + bytes(8))

    assert caught.value.offset == offset


@pytest.mark.parametrize(("data", "what"), [
    (bytes(31), "32 bytes, not 31"), (bytes(32), "magic is"), (TAIL.pack()[:16] + bytes(16), "seal"),
])
def test_noise_is_not_an_rtc_tail(data: bytes, what: str) -> None:
    with pytest.raises(FormatError, match=what):
        Tail.unpack(data)


def test_the_last_block_is_hashed_without_padding() -> None:
    image = bytes(4096) + b"tail"

    assert blocks.block_table(image) == (
        hashlib.sha256(bytes(4096)).digest()[:16] + hashlib.sha256(b"tail").digest()[:16])
    assert blocks.table_digest(blocks.block_table(image)) == hashlib.sha256(blocks.block_table(image)).digest()


@pytest.mark.parametrize(("length", "count"), [(0, 0), (1, 1), (4096, 1), (4097, 2), (251 * 4096, 251)])
def test_the_number_of_blocks(length: int, count: int) -> None:
    assert blocks.block_count(length) == count
    assert len(blocks.block_table(bytes(length))) == 16 * count


def test_a_block_table_fits_its_image() -> None:
    blocks.check_table(bytes(32), 4097)
    with pytest.raises(FormatError, match="16 bytes, not 32"):
        blocks.check_table(bytes(16), 4097)
    with pytest.raises(FormatError, match="252 blocks, at most 251"):
        blocks.check_table(bytes(252 * 16), 251 * 4096 + 1)


def test_the_sector_of_a_block_table() -> None:
    assert blocks.table_sector(b"e" * 16) == b"e" * 16 + b"\xff" * 4080
    for size in (15, 252 * 16):
        with pytest.raises(FormatError, match="not a block table"):
            blocks.table_sector(bytes(size))
