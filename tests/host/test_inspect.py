"""What is read from a dump of a flash, in words and as facts; what the loader would do with it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from slotbench import boards
from slotbench.cli.inspect_words import WHY, sections
from slotbench.errors import BenchError
from slotbench.flashing.plan import Firmware, factory_writes
from slotbench.formats import SECTOR_BYTES, blocks, windowlog
from slotbench.formats.journal import JournalCell, Report, SlotState
from slotbench.formats.rtc import BootReason
from slotbench.formats.seal import BODY_BYTES, PageState, digest8
from slotbench.inspection.facts import ImageState, PhyState, inspect_flash
from slotbench.vboard.factory import factory_flash
from slotbench.vboard.firmware import SMALLEST_BYTES, for_board
from slotbench.vboard.flash.nor import NorFlash
from slotbench.vboard.forecast.next_boot import Hindrance, forecast_boot
from support.live.flash import TRIAL, trial_under_way
from support.vboard.flash import bare_flash, generic, image, put_cell, put_slot, put_window

BOARD = generic()
OLD, NEW = image("1.0.0"), image("2.0.0", size=56 * 1024)
A, B = BOARD.slots


@pytest.fixture
def flash() -> NorFlash:
    return trial_under_way()


def data(flash: NorFlash) -> bytes:
    return flash.peek(0, flash.size)


def words(flash: NorFlash) -> str:
    """All that a person reads, spaces between words made one."""
    told = sections(inspect_flash(BOARD, data(flash)), forecast_boot(BOARD, data(flash)))
    found = [f"{title}: {line}" for title, lines in told for line in lines]
    return "\n".join(" ".join(line.split()) for line in found)


def test_each_way_to_start_has_words() -> None:
    """FORMATS, boot table: also what a board without journal and descriptors does."""
    assert set(WHY) == set(BootReason)
    flash = bare_flash()
    flash.poke(A.image.start, OLD)
    said = dict(sections(inspect_flash(BOARD, data(flash)), forecast_boot(BOARD, data(flash))))
    next_boot = said["What the loader would do next (as after a return of power)"]
    assert next_boot[0] == "It would start slot A: an image that nothing describes (no descriptor)."
    assert next_boot[1] == "Why: there is neither a journal nor a descriptor; this slot holds a whole image."


# what lies where


def test_the_map_covers_the_chip(flash: NorFlash) -> None:
    regions = inspect_flash(BOARD, data(flash)).regions
    assert [region.start for region in regions] == [0, *(r.start + r.size for r in regions)][:-1]
    assert regions[-1].start + regions[-1].size == BOARD.chip_bytes
    found = {region.key: region.programmed for region in regions}
    assert found["regions.journal"] == 1 and found["slot_a.table"] == 0 and found["slot_b.table"] == 1
    assert found["slot_b.image"] == len(NEW) // SECTOR_BYTES
    assert "Map: 0x008000-0x008fff board identity blank" in words(flash)
    assert "Map: 0x300000-0x3fafff slot B: image 14 of 251 sectors programmed" in words(flash)


def test_a_board_in_a_trial(flash: NorFlash) -> None:
    facts = inspect_flash(BOARD, data(flash))
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
        "Slot B: blocks 14 of 14 match the block table",
        "Exec window: it holds the irom of slot B, all 5 sectors of it",
        "of power): It would start slot B: 2, counter 2 (trial).",
        "of power): Why: the active slot is ready and has yet to prove itself.",
        "of power): It would be attempt 2 of 3.",
        "of power): Before the jump it would set ended[0], spent[1]; about 0.2 s, modelled.",
    ):
        assert line in said


def test_every_field_of_the_newest_cell_is_told(flash: NorFlash) -> None:
    cell = JournalCell(
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
    facts = inspect_flash(BOARD, data(flash))
    assert facts.journal.pages[17].state is PageState.GARBAGE and facts.journal.newest == 16
    assert facts.journal.next is not None and facts.journal.next.erase == 0, "never behind a garbage page"
    assert "after erasing sector 0 of the journal" in words(flash)
    flash.poke(BOARD.journal.start, b"\xff" * BOARD.journal.size)
    assert "No cell is in force: no cell is valid, the journal is lost." in words(flash)
    assert "It would start slot A: 1, counter 1 (no journal confirmed)" in words(flash)


def test_a_sealed_cell_that_is_impossible(flash: NorFlash, tmp_path: Path, slotbench: Any) -> None:
    """What the loader makes of it cannot be told; everything else can."""
    body = bytearray(TRIAL.pack()[:BODY_BYTES])
    body[8] = 9
    flash.poke(BOARD.journal.start + 18 * 256, bytes(body) + digest8(bytes(body)))
    facts = inspect_flash(BOARD, data(flash)).journal
    assert facts.newest is None and "active slot is 9" in facts.pages[18].problem
    with pytest.raises(BenchError, match="right seal over wrong fields"):
        forecast_boot(BOARD, data(flash))
    flash.dump(tmp_path / "flash.bin")
    ran = slotbench("inspect", tmp_path / "flash.bin")
    assert ran.code == 0
    assert "No cell is in force: a sealed cell has impossible values." in ran.out
    assert "Unknown: a journal cell has a right seal" in ran.out


# slots and window


def test_an_image_that_decayed(flash: NorFlash) -> None:
    flash.poke(B.image.start + 3 * SECTOR_BYTES + 9, b"\x12\x34")
    flash.poke(B.image.start + 9 * SECTOR_BYTES + 9, b"\x12\x34")
    slot = inspect_flash(BOARD, data(flash)).slots[1]
    assert slot.image is ImageState.DIFFERS
    assert slot.table is not None and slot.table.differing == (3, 9)
    said = words(flash)
    assert "Slot B: blocks 12 of 14 match the block table; it says that blocks 3, 9 differ" in said
    assert "DIFFERS from the descriptor's SHA-256" in said
    assert forecast_boot(BOARD, data(flash)).hindrances == (None, Hindrance.INVALID)
    assert "Slot B: image does not verify." in said and "set ended[0], bad_b" in said


def test_an_image_that_decayed_while_there_is_no_journal(flash: NorFlash) -> None:
    flash.poke(BOARD.journal.start, b"\xff" * BOARD.journal.size)
    flash.poke(A.image.start + 9 * SECTOR_BYTES, b"\0" * 4)
    told = forecast_boot(BOARD, data(flash))
    assert (told.slot, told.why) == (1, BootReason.NO_JOURNAL_UNCONFIRMED)
    assert told.hindrances == (Hindrance.INVALID, None) and told.words == ("bad in the descriptor of A",)


def test_half_a_download(flash: NorFlash) -> None:
    flash.poke(B.descriptor.start, b"\xff" * SECTOR_BYTES)
    flash.poke(B.image.start + 6 * SECTOR_BYTES, b"\xff" * 8 * SECTOR_BYTES)
    slot = inspect_flash(BOARD, data(flash)).slots[1]
    assert slot.image is ImageState.UNKNOWN and slot.descriptor is None and not slot.page.problem
    assert slot.table is not None
    assert (slot.table.entries, slot.table.differing, slot.table.unknown) == (14, tuple(range(6, 13)), (13,))
    said = words(flash)
    assert "Slot B: descriptor blank: the slot holds nothing that could be started" in said
    assert "Slot B: blocks 6 of 14 match the block table" in said
    assert "the last one cannot be judged without a descriptor" in said


def test_the_last_block_is_as_long_as_the_image(flash: NorFlash) -> None:
    short = NEW[:-1000]
    put_slot(flash, 1, short, 2)
    flash.poke(B.table.start, blocks.block_table(short))
    slot = inspect_flash(BOARD, data(flash)).slots[1]
    assert slot.image is ImageState.MATCHES
    assert slot.table is not None and slot.table.differing == ()


def test_a_table_of_another_image(flash: NorFlash) -> None:
    flash.poke(B.table.start, b"\xff" * SECTOR_BYTES)
    flash.poke(B.table.start, blocks.block_table(NEW)[:-16])
    assert inspect_flash(BOARD, data(flash)).slots[1].table is None


def test_descriptors_of_no_use(flash: NorFlash) -> None:
    too_long = put_slot(flash, 0, OLD, 1, length=A.image.size + 1)
    flash.poke(B.descriptor.start, too_long.pack())
    problems = (
        f"its image has {A.image.size + 1} bytes, the slot has {A.image.size}", "it was written for slot A")
    for slot, problem in zip(inspect_flash(BOARD, data(flash)).slots, problems):
        assert (slot.page.state, slot.page.problem, slot.descriptor) == (PageState.VALID, problem, None)
        assert f"descriptor valid, unusable: {problem}" in words(flash)
    assert forecast_boot(BOARD, data(flash)).hindrances == (Hindrance.NO_DESCRIPTOR,) * 2


def test_a_torn_descriptor(flash: NorFlash) -> None:
    flash.poke(B.descriptor.start + 40, b"\0")
    assert "Slot B: descriptor garbage, unusable: seal does not match the body" in words(flash)


def test_the_window_ends_with_erased_flash(flash: NorFlash) -> None:
    """The last sector of an image that does not fill it, whatever lies behind the image in its slot."""
    short = NEW[:-1000]
    flash.poke(BOARD.window.start, b"\xff" * BOARD.window.size)
    put_slot(flash, 1, short, 2)
    put_window(flash, short)
    assert inspect_flash(BOARD, data(flash)).window.matches[1].differing == ()
    last = BOARD.window.start + 4 * SECTOR_BYTES
    flash.poke(last, NEW[-SECTOR_BYTES:])
    assert inspect_flash(BOARD, data(flash)).window.matches[1].differing == (last,)


def test_a_window_log_that_lies(flash: NorFlash) -> None:
    flash.poke(BOARD.window.start + 2 * SECTOR_BYTES, b"\0" * 4)
    facts = inspect_flash(BOARD, data(flash)).window
    assert facts.names == 1 and facts.matches[1].differing == (BOARD.window.start + 2 * SECTOR_BYTES,)
    assert "THE LOG IS WRONG" in words(flash)


def test_a_window_log_that_knows_nothing(flash: NorFlash) -> None:
    flash.poke(BOARD.window_log.start, windowlog.DIRTY_ENTRY)
    facts = inspect_flash(BOARD, data(flash)).window
    assert (facts.digest, facts.dirty, facts.last) == (None, 1, 0)
    assert "it says unknown: the loader compares and copies" in words(flash)
    assert "Before the jump it would write the window log, set ended[0], spent[1]" in words(flash)
    other = windowlog.held_entry(hashlib.sha256(b"older").digest())
    flash.poke(BOARD.window_log.start + 16, other)
    assert "no slot's: an older release" in words(flash)


def test_sectors_the_loader_would_copy(flash: NorFlash) -> None:
    put_cell(flash, replace(TRIAL, sequence=8, state_b=SlotState.BAD), 18)
    told = forecast_boot(BOARD, data(flash))
    differing = inspect_flash(BOARD, data(flash)).window.matches[0].differing
    assert (told.slot, told.why, told.copied_sectors) == (0, BootReason.FALLBACK, len(differing))
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
    told = forecast_boot(BOARD, data(flash))
    assert told.hindrances[1] is hindrance
    assert told.slot in (0, None)
    assert f"Slot B: {hindrance.value}." in words(flash)


def test_copies_are_not_asked_for_once_an_attempt_was_spent(flash: NorFlash) -> None:
    put_cell(flash, replace(TRIAL, sequence=8, copied=(True,) * 8), 18)
    assert forecast_boot(BOARD, data(flash)).hindrances == (None, None)


def test_a_marked_descriptor(flash: NorFlash) -> None:
    put_slot(flash, 1, NEW, 2, bad=True)
    assert forecast_boot(BOARD, data(flash)).hindrances[1] is Hindrance.MARKED


def test_nothing_boots() -> None:
    told = forecast_boot(BOARD, data(bare_flash()))
    assert (told.slot, told.why) == (None, None)
    assert "Nothing boots: it would say so on the UART" in words(bare_flash())


# a map without a window


def test_images_that_run_in_place() -> None:
    board = boards.load("native_512k")
    user1, user2 = for_board(board, "1.0.0", size=SMALLEST_BYTES)
    first = Firmware(data=user1, product="lamp", version="1.0.0", counter=1)
    flash = factory_flash(board, [(write.offset, write.data) for write in factory_writes(board, first)])
    flash.poke(board.slots[1].table.start, blocks.block_table(user2))
    flash.poke(board.slots[1].image.start, user2[:SECTOR_BYTES])
    facts = inspect_flash(board, data(flash))
    assert facts.window is None
    a, b = facts.slots
    assert (a.image, b.image) == (ImageState.MATCHES, ImageState.UNKNOWN)
    assert b.table is not None and b.table.differing == tuple(range(1, b.table.entries - 1))
    programmed = {region.key: region.programmed for region in facts.regions}
    assert (programmed["slot_a.table"], programmed["slot_a.descriptor"]) == (0, 1), "two parts of one sector"
    told = forecast_boot(board, data(flash))
    assert (told.slot, told.why, told.copied_sectors, told.writes_window_log) == (0, BootReason.ORDINARY, 0, False)
    titles = [title for title, _ in sections(facts, told)]
    assert "Slot B" in titles and "Exec window" not in titles


# header and PHY data


def test_a_header_that_a_flashing_tool_rewrote(flash: NorFlash) -> None:
    flash.poke(2, b"\x00\x4f")
    said = words(flash)
    assert "header: size nibble is 4, not 3: the SDK reads its parameters from another place" in said
    assert "flash mode is qio, not dio" in said and "flash frequency is 80 MHz, not 40 MHz" in said
    flash.poke(0, b"\x00")
    assert "byte 0 is 0x00, not 0xe9: the ROM starts nothing" in words(flash)


@pytest.mark.parametrize(
    ("first", "state"), [(0x05, PhyState.RIGHT), (0xFF, PhyState.BLANK), (0x06, PhyState.WRONG)])
def test_phy_data(flash: NorFlash, first: int, state: PhyState) -> None:
    flash.poke(0x1FC000, bytes([first]) + b"\xff" * 127)
    assert inspect_flash(BOARD, data(flash)).phy.state is state
    assert ("restart for ever" in words(flash)) is (state is PhyState.WRONG)
