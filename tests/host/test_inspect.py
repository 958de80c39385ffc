"""`slotbench inspect` and `slotbench status`: a dump explained, and what cannot be explained refused."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from slotbench import boards
from slotbench.cli.inspect_words import sections
from slotbench.errors import BenchError
from slotbench.flashing import dump
from slotbench.flashing.inspection import ImageState, PhyState, inspect
from slotbench.formats import SECTOR_BYTES, blocks, windowlog
from slotbench.formats.journal import Cell, Report, SlotState
from slotbench.formats.rtc import Why
from slotbench.formats.seal import BODY_BYTES, PageState, digest8
from slotbench.vboard.flash import NorFlash
from slotbench.vboard.live_forecast import Hindrance, forecast

from support.vboard_flash import bare_flash, generic, image, put_cell, put_slot, put_window

BOARD = generic()
OLD, NEW = image("1.0.0"), image("2.0.0", size=56 * 1024)
A, B = BOARD.slots
TRIAL = Cell(
    sequence=7, active=1, state_a=SlotState.CONFIRMED, state_b=SlotState.READY, counter_a=1, counter_b=2,
    attempts=3, copies=8, floor=1, bad_counter=0, head_seq=4, head_time=1_790_000_000, key_epoch=1,
    spent=(True, *[False] * 7), copied=(True, *[False] * 7),
)


@pytest.fixture
def flash() -> NorFlash:
    """1.0.0 runs from slot A; 2.0.0 in slot B, with its block table, had one attempt and was cut."""
    flash = bare_flash()
    put_slot(flash, 0, OLD, 1, confirmed=True)
    put_slot(flash, 1, NEW, 2)
    flash.poke(B.table.start, blocks.table(NEW))
    put_window(flash, NEW)
    put_cell(flash, replace(TRIAL, sequence=6, active=0), 16)
    put_cell(flash, TRIAL, 17)
    return flash


def data(flash: NorFlash) -> bytes:
    return flash.peek(0, flash.size)


def words(flash: NorFlash) -> str:
    """All that a person reads, spaces between words made one."""
    told = sections(inspect(BOARD, data(flash)), forecast(BOARD, data(flash)))
    found = [f"{title}: {line}" for title, lines in told for line in lines]
    return "\n".join(" ".join(line.split()) for line in found)


# what lies where


def test_the_map_covers_the_chip(flash: NorFlash) -> None:
    regions = inspect(BOARD, data(flash)).regions
    assert [region.start for region in regions] == [0, *(r.start + r.size for r in regions)][:-1]
    assert regions[-1].start + regions[-1].size == BOARD.chip_bytes
    found = {region.key: region.programmed for region in regions}
    assert found["regions.journal"] == 1 and found["slot_a.table"] == 0 and found["slot_b.table"] == 1
    assert found["slot_b.image"] == len(NEW) // SECTOR_BYTES
    assert "Map: 0x008000-0x008fff board identity blank" in words(flash)
    assert "Map: 0x300000-0x3fafff slot B: image 14 of 251 sectors programmed" in words(flash)


def test_a_board_in_a_trial(flash: NorFlash) -> None:
    facts = inspect(BOARD, data(flash))
    assert facts.journal.newest == 17 and facts.journal.cell == TRIAL
    assert [slot.image for slot in facts.slots] == [ImageState.MATCHES, ImageState.MATCHES]
    assert facts.slots[0].table is None
    assert facts.slots[1].table is not None and facts.slots[1].table.differing == ()
    assert facts.window.names == 1 and facts.window.matches[1].differing == ()
    said = words(flash)
    for line in (
        "Boot journal: cell 0-15 blank",
        "Boot journal: cell 17 valid sequence 7, A confirmed 1, B ready 2, active B <- newest",
        "Boot journal: attempts 3 allowed, 1 spent",
        "Boot journal: copies 8 allowed, 1 begun",
        "Boot journal: head seq 4 of epoch 1, issued 2026-09-21 14:13:20 UTC, channel 0x00000000",
        "Boot journal: Python writes cell 18 next, sequence 8.",
        "Slot A: blocks no block table",
        "Slot B: version 2, counter 2",
        "Slot B: blocks 14 of 14 as the block table says",
        "Exec window: it holds the irom of slot B, all 5 sectors of it",
        "of power): It would start slot B: 2, counter 2 (trial).",
        "of power): Why: the active slot is ready and has yet to prove itself.",
        "of power): It would be attempt 2 of 3.",
        "of power): Before the jump it would set ended[0], spent[1]; about 0.1 s, modelled.",
    ):
        assert line in said


def test_every_field_of_the_newest_cell_is_told(flash: NorFlash) -> None:
    cell = Cell(
        sequence=901, active=0, state_a=SlotState.READY, state_b=SlotState.BAD, counter_a=902, counter_b=903,
        attempts=4, copies=5, floor=904, bad_counter=905, unproven_counter=906, rounds=2, head_seq=907,
        head_time=1, key_epoch=908, channel_tag=0xABCD, report=Report.BAD, report_counter=909,
        spent=(True, True, *[False] * 6), ended=(2, 0xFFFFFF01, *[None] * 6), bad_b=True, confirmed=True)
    put_cell(flash, cell, 18)
    said = words(flash)
    for number in (*range(901, 910), "0x0000abcd"):
        assert str(number) in said
    assert "ended attempt 1: hardware watchdog; attempt 2: 0xffffff01, torn" in said
    assert "B bad 903 (bad word set)" in said
    assert "confirm word set" in said and "2 rounds of trials so far" in said


def test_garbage_and_a_lost_journal(flash: NorFlash) -> None:
    flash.poke(BOARD.journal.start + 17 * 256 + 20, b"\0")
    facts = inspect(BOARD, data(flash))
    assert facts.journal.pages[17].state is PageState.GARBAGE and facts.journal.newest == 16
    assert facts.journal.next is not None and facts.journal.next.erase == 0, "never behind a garbage page"
    assert "after erasing sector 0 of the journal" in words(flash)
    flash.poke(BOARD.journal.start, b"\xff" * BOARD.journal.size)
    assert "No cell counts: none is valid, the journal is lost." in words(flash)
    assert "It would start slot A: 1, counter 1 (no journal confirmed)" in words(flash)


def test_a_sealed_cell_that_is_impossible(flash: NorFlash, tmp_path: Path, slotbench: Any) -> None:
    """What the loader makes of it cannot be told; everything else can."""
    body = bytearray(TRIAL.pack()[:BODY_BYTES])
    body[8] = 9
    flash.poke(BOARD.journal.start + 18 * 256, bytes(body) + digest8(bytes(body)))
    facts = inspect(BOARD, data(flash)).journal
    assert facts.newest is None and "active slot is 9" in facts.pages[18].problem
    with pytest.raises(BenchError, match="right seal over wrong fields"):
        forecast(BOARD, data(flash))
    flash.dump(tmp_path / "flash.bin")
    ran = slotbench("inspect", tmp_path / "flash.bin")
    assert ran.code == 0
    assert "No cell counts: a sealed one is impossible." in ran.out
    assert "It cannot be told: a journal cell has a right seal" in ran.out


# slots and window


def test_an_image_that_decayed(flash: NorFlash) -> None:
    flash.poke(B.image.start + 3 * SECTOR_BYTES + 9, b"\x12\x34")
    flash.poke(B.image.start + 9 * SECTOR_BYTES + 9, b"\x12\x34")
    slot = inspect(BOARD, data(flash)).slots[1]
    assert slot.image is ImageState.DIFFERS
    assert slot.table is not None and slot.table.differing == (3, 9)
    said = words(flash)
    assert "Slot B: blocks 12 of 14 as the block table says; it says that blocks 3, 9 differ" in said
    assert "DIFFERS from the descriptor's SHA-256" in said
    assert forecast(BOARD, data(flash)).hindrances == (None, Hindrance.INVALID)
    assert "Slot B: image does not verify." in said and "set ended[0], bad_b" in said


def test_an_image_that_decayed_while_there_is_no_journal(flash: NorFlash) -> None:
    flash.poke(BOARD.journal.start, b"\xff" * BOARD.journal.size)
    flash.poke(A.image.start + 9 * SECTOR_BYTES, b"\0" * 4)
    told = forecast(BOARD, data(flash))
    assert (told.slot, told.why) == (1, Why.NO_JOURNAL_UNCONFIRMED)
    assert told.hindrances == (Hindrance.INVALID, None) and told.words == ("bad in the descriptor of A",)


def test_half_a_download(flash: NorFlash) -> None:
    flash.poke(B.descriptor.start, b"\xff" * SECTOR_BYTES)
    flash.poke(B.image.start + 6 * SECTOR_BYTES, b"\xff" * 8 * SECTOR_BYTES)
    slot = inspect(BOARD, data(flash)).slots[1]
    assert slot.image is ImageState.UNKNOWN and slot.descriptor is None and not slot.page.problem
    assert slot.table is not None
    assert (slot.table.entries, slot.table.differing, slot.table.unknown) == (14, tuple(range(6, 13)), (13,))
    said = words(flash)
    assert "Slot B: descriptor blank: the slot holds nothing that could be started" in said
    assert "Slot B: blocks 6 of 14 as the block table says" in said
    assert "the last one cannot be judged without a descriptor" in said


def test_the_last_block_is_as_long_as_the_image(flash: NorFlash) -> None:
    short = NEW[:-1000]
    put_slot(flash, 1, short, 2)
    flash.poke(B.table.start, blocks.table(short))
    slot = inspect(BOARD, data(flash)).slots[1]
    assert slot.image is ImageState.MATCHES
    assert slot.table is not None and slot.table.differing == ()


def test_a_table_of_another_image(flash: NorFlash) -> None:
    flash.poke(B.table.start, b"\xff" * SECTOR_BYTES)
    flash.poke(B.table.start, blocks.table(NEW)[:-16])
    assert inspect(BOARD, data(flash)).slots[1].table is None


def test_descriptors_of_no_use(flash: NorFlash) -> None:
    too_long = put_slot(flash, 0, OLD, 1, length=A.image.size + 1)
    flash.poke(B.descriptor.start, too_long.pack())
    problems = (
        f"it speaks of {A.image.size + 1} bytes, the slot has {A.image.size}", "it was written for slot A")
    for slot, problem in zip(inspect(BOARD, data(flash)).slots, problems):
        assert (slot.page.state, slot.page.problem, slot.descriptor) == (PageState.VALID, problem, None)
        assert f"descriptor valid, of no use: {problem}" in words(flash)
    assert forecast(BOARD, data(flash)).hindrances == (Hindrance.NO_DESCRIPTOR,) * 2


def test_a_torn_descriptor(flash: NorFlash) -> None:
    flash.poke(B.descriptor.start + 40, b"\0")
    assert "Slot B: descriptor garbage, of no use: seal does not match the body" in words(flash)


def test_the_window_ends_with_erased_flash(flash: NorFlash) -> None:
    """The last sector of an image that does not fill it, whatever lies behind the image in its slot."""
    short = NEW[:-1000]
    flash.poke(BOARD.window.start, b"\xff" * BOARD.window.size)
    put_slot(flash, 1, short, 2)
    put_window(flash, short)
    assert inspect(BOARD, data(flash)).window.matches[1].differing == ()
    last = BOARD.window.start + 4 * SECTOR_BYTES
    flash.poke(last, NEW[-SECTOR_BYTES:])
    assert inspect(BOARD, data(flash)).window.matches[1].differing == (last,)


def test_a_window_log_that_lies(flash: NorFlash) -> None:
    flash.poke(BOARD.window.start + 2 * SECTOR_BYTES, b"\0" * 4)
    facts = inspect(BOARD, data(flash)).window
    assert facts.names == 1 and facts.matches[1].differing == (BOARD.window.start + 2 * SECTOR_BYTES,)
    assert "THE LOG IS WRONG" in words(flash)


def test_a_window_log_that_knows_nothing(flash: NorFlash) -> None:
    flash.poke(BOARD.window_log.start, windowlog.DIRTY_ENTRY)
    facts = inspect(BOARD, data(flash)).window
    assert (facts.digest, facts.dirty, facts.last) == (None, 1, 0)
    assert "it says unknown: the loader compares and copies" in words(flash)
    assert "Before the jump it would write the window log, set ended[0], spent[1]" in words(flash)
    other = windowlog.held_entry(hashlib.sha256(b"older").digest())
    flash.poke(BOARD.window_log.start + 16, other)
    assert "no slot's: an older release" in words(flash)


def test_sectors_the_loader_would_copy(flash: NorFlash) -> None:
    put_cell(flash, replace(TRIAL, sequence=8, state_b=SlotState.BAD), 18)
    told = forecast(BOARD, data(flash))
    differing = inspect(BOARD, data(flash)).window.matches[0].differing
    assert (told.slot, told.why, told.copied_sectors) == (0, Why.FALLBACK, len(differing))
    assert told.hindrances == (None, Hindrance.BAD)


@pytest.mark.parametrize(
    ("cell", "hindrance"),
    [
        ({"spent": (True,) * 3 + (False,) * 5}, Hindrance.ATTEMPTS_SPENT),
        ({"spent": (False,) * 8, "copied": (True,) * 8}, Hindrance.COPIES_SPENT),
        ({"counter_b": 5}, Hindrance.OTHER_COUNTER),
        ({"state_b": SlotState.EMPTY}, Hindrance.EMPTY),
        ({"floor": 3}, Hindrance.BELOW_FLOOR),
        ({"active": 0}, Hindrance.NOT_CONFIRMED),
        ({"bad_b": True}, Hindrance.BAD),
    ])
def test_why_a_slot_is_passed_over(flash: NorFlash, cell: dict[str, object], hindrance: Hindrance) -> None:
    put_cell(flash, replace(TRIAL, sequence=8, **cell), 18)
    told = forecast(BOARD, data(flash))
    assert told.hindrances[1] is hindrance
    assert told.slot in (0, None)
    assert f"Slot B: {hindrance.value}." in words(flash)


def test_copies_are_not_asked_for_once_an_attempt_was_spent(flash: NorFlash) -> None:
    put_cell(flash, replace(TRIAL, sequence=8, copied=(True,) * 8), 18)
    assert forecast(BOARD, data(flash)).hindrances == (None, None)


def test_a_marked_descriptor(flash: NorFlash) -> None:
    put_slot(flash, 1, NEW, 2, bad=True)
    assert forecast(BOARD, data(flash)).hindrances[1] is Hindrance.MARKED


def test_nothing_boots() -> None:
    told = forecast(BOARD, data(bare_flash()))
    assert (told.slot, told.why) == (None, None)
    assert "Nothing boots: it would say so on the UART" in words(bare_flash())


# header and PHY data


def test_a_header_that_a_flashing_tool_rewrote(flash: NorFlash) -> None:
    flash.poke(2, b"\x00\x4f")
    said = words(flash)
    assert "header: size nibble is 4, not 3: the SDK looks for its parameters elsewhere" in said
    assert "flash mode is qio, not dio" in said and "flash frequency is 80 MHz, not 40 MHz" in said
    flash.poke(0, b"\x00")
    assert "byte 0 is 0x00, not 0xe9: the ROM starts nothing" in words(flash)


@pytest.mark.parametrize(
    ("first", "state"), [(0x05, PhyState.RIGHT), (0xFF, PhyState.BLANK), (0x06, PhyState.WRONG)])
def test_phy_data(flash: NorFlash, first: int, state: PhyState) -> None:
    flash.poke(0x1FC000, bytes([first]) + b"\xff" * 127)
    assert inspect(BOARD, data(flash)).phy.state is state
    assert ("restart for ever" in words(flash)) is (state is PhyState.WRONG)


# the commands


@pytest.fixture
def path(flash: NorFlash, tmp_path: Path) -> Path:
    flash.dump(tmp_path / "flash.bin")
    return tmp_path / "flash.bin"


def test_the_command(path: Path, slotbench: Any) -> None:
    before = path.read_bytes()
    ran = slotbench("inspect", path)
    assert (ran.code, ran.err) == (0, "")
    first = ran.out.splitlines()[0]
    assert first == f"{path}: flash of generic_4m (the map of d1_mini, nodemcu too), 4194304 bytes"
    assert path.read_bytes() == before


def test_json_has_the_same_facts(path: Path, slotbench: Any) -> None:
    facts = json.loads(slotbench("inspect", path, "--json").out)
    assert set(facts) == {
        "board", "size", "regions", "header", "phy", "journal", "slots", "window", "forecast"}
    assert facts["journal"]["newest"] == 17 and len(facts["journal"]["pages"]) == 32
    newest = facts["journal"]["pages"][17]
    assert (newest["state"], newest["cell"]["state_b"]) == ("valid", "ready")
    assert newest["cell"]["spent"] == [True, *[False] * 7] and newest["cell"]["ended"] == [None] * 8
    assert facts["slots"][1]["descriptor"]["sha256"] == hashlib.sha256(NEW).hexdigest()
    assert facts["window"]["matches"]["1"] == {"sectors": 5, "differing": []}
    assert (facts["forecast"]["why"], facts["forecast"]["words"]) == ("trial", ["ended[0]", "spent[1]"])


def test_status(path: Path, slotbench: Any) -> None:
    ran = slotbench("status", "--dump", path)
    assert ran.code == 0
    said = [" ".join(line.split()) for line in ran.out.splitlines()]
    assert "slot and why are what the loader would do next" in said[0]
    assert said[1:] == [
        "slot B", "version 2, counter 2", "why 2 (trial)", "confirmed no", "spare 1", "floor 1", "bad none",
        "head seq 4", "report 0 (nothing)", "next slot B"]
    assert json.loads(slotbench("status", "--dump", path, "--json").out) == {
        "slot": "B", "version": "2", "counter": 2, "why": 2, "confirmed": False, "spare": "1", "floor": 1,
        "bad": 0, "head": 4, "report": 0, "next": "B"}


@pytest.mark.parametrize("verb", [("inspect",), ("status", "--dump")])
def test_what_is_no_dump_is_refused_in_one_line(
    verb: tuple[str, ...], path: Path, tmp_path: Path, slotbench: Any
) -> None:
    whole = path.read_bytes()
    (tmp_path / "short.bin").write_bytes(whole[:-1])
    (tmp_path / "firmware.bin").write_bytes(OLD)
    (tmp_path / "noise.bin").write_bytes(hashlib.sha256(b"noise").digest() * (len(whole) // 32))
    (tmp_path / "huge.bin").write_bytes(bytes(dump.DUMP_BYTES_MAX + 1))
    for name, options, code, what in (
        ("short.bin", (), 1, "4194303 bytes, no board has a flash of that size"),
        ("short.bin", ("--board", "nodemcu"), 1, "4194303 bytes, the flash of nodemcu has 4194304"),
        ("firmware.bin", (), 1, "no board has a flash of that size"),
        ("noise.bin", (), 1, "not a dump of generic_4m"),
        ("huge.bin", (), 1, "file is longer than"),
        ("missing.bin", (), 2, "cannot read (No such file or directory)"),
        (".", (), 2, "cannot read (Is a directory)"),
        ("flash.bin", ("--board", "toaster"), 2, "no such board: toaster"),
    ):
        ran = slotbench(*verb, tmp_path / name, *options)
        assert (ran.code, ran.out, ran.err.count("\n")) == (code, "", 1), ran.err
        assert what in ran.err


def test_an_erased_chip_is_explained(tmp_path: Path, slotbench: Any) -> None:
    NorFlash(BOARD.chip_bytes).dump(tmp_path / "erased.bin")
    ran = slotbench("inspect", tmp_path / "erased.bin")
    assert ran.code == 0 and "Nothing boots" in ran.out
    ran = slotbench("status", "--dump", tmp_path / "erased.bin")
    assert ran.code == 1 and "nothing boots from this flash" in ran.err


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> dict[str, boards.Board]:
    """The boards that come with the bench; a test may add some."""
    known = {name: boards.load(name) for name in boards.names()}
    monkeypatch.setattr(boards, "names", lambda: sorted(known))
    monkeypatch.setattr(boards, "load", lambda name: known[name])
    return known


def test_boards_of_one_map_count_as_one(flash: NorFlash, known: dict[str, boards.Board]) -> None:
    assert dump.board_of(data(flash), "flash.bin").name == "generic_4m"
    assert dump.same_map(known["d1_mini"]) == ["d1_mini", "generic_4m", "nodemcu"]
    known["swapped"] = replace(BOARD, name="swapped", slots=(B, A))
    assert dump.same_map(known["swapped"]) == ["swapped"]


def test_the_board_is_asked_for_when_two_maps_fit(flash: NorFlash, known: dict[str, boards.Board]) -> None:
    known["swapped"] = replace(BOARD, name="swapped", slots=(B, A))
    with pytest.raises(BenchError, match="2 flash maps fit") as refused:
        dump.board_of(data(flash), "flash.bin")
    assert (refused.value.exit_code, refused.value.do) == (2, "say which with --board")
    assert "generic_4m, swapped" in str(refused.value)
    assert dump.board_of(data(flash), "flash.bin", "swapped") is known["swapped"]


@pytest.mark.parametrize(
    "other",
    [
        replace(BOARD, name="a_nibble", size_nibble=4),
        replace(BOARD, name="a_place", journal=BOARD.filesystem, slots=(
            replace(A, descriptor=BOARD.identity), replace(B, descriptor=BOARD.sdk))),
    ], ids=["header", "sealed pages"])
def test_the_one_that_the_dump_contradicts_least(
    flash: NorFlash, known: dict[str, boards.Board], other: boards.Board
) -> None:
    known[other.name] = other
    assert dump.board_of(data(flash), "flash.bin").name == "generic_4m"
