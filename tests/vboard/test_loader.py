"""The loader model on the chip: what it writes, what it spares, what it refuses."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest

from slotbench.formats import journal, rtc, windowlog
from slotbench.formats.image import IROM_OFFSET
from slotbench.formats.journal import Ended, JournalCell, SlotState
from slotbench.formats.rtc import BootReason
from slotbench.vboard.flash.cuts import Cut, CutMode
from slotbench.vboard.flash.nor import SECTOR, NorFlash, PowerCut
from slotbench.vboard.loader.model import LoaderModel, NothingBoots
from support.loader.bench import CAUSES
from support.vboard.flash import bare_flash, image, put_cell, put_slot, put_window, window
from support.vboard.loader import (
    BOARD,
    NEW,
    OLD,
    boot,
    cell,
    chip_of,
    held,
    operations,
    reach_hook,
    require_right,
    tail,
    updated,
)

# one boot


def test_a_trial_boot_in_the_order_of_its_operations() -> None:
    soc = chip_of(updated())
    result = boot(soc)
    assert (result.slot, result.why, result.counter) == (1, BootReason.TRIAL, 2)
    require_right(soc, result)
    sectors = range(IROM_OFFSET, len(NEW), SECTOR)
    log = operations(soc)
    assert log[0] == ("program", 0x1000 + journal.COPIED_OFFSET), "the copy is counted before it begins"
    assert log[1] == ("program", 0x3000), "what the window holds is forgotten before it changes"
    assert log[2:-2] == [(kind, at) for at in sectors for kind in ("erase", "program")]
    assert log[-2] == ("program", 0x3010), "and written down after the last sector was read back"
    assert log[-1] == ("program", 0x1000 + journal.SPENT_OFFSET), "the attempt is spent right before the jump"
    assert {op.actor for op in soc.flash.log or []} == {"loader"}
    assert held(soc) == hashlib.sha256(NEW).digest()[:7]


def test_the_last_sector_is_the_slots_behind_the_image_too() -> None:
    data = NEW[:-1000]
    flash = updated()
    put_slot(flash, 1, data + b"old" * 333, 2)
    put_slot(flash, 1, data, 2)
    behind = flash.peek(BOARD.slots[1].image.start + len(data), 1000)
    assert behind.startswith(b"old")
    flash.poke(0xE000, bytes(SECTOR))
    soc = chip_of(flash)
    assert boot(soc).slot == 1
    assert window(soc.flash, data) == data[IROM_OFFSET:]
    assert soc.flash.peek(len(data), 1000) == behind


def test_the_words_to_python_and_to_the_sdk() -> None:
    soc = chip_of(updated())
    boot(soc)
    assert tail(soc) == rtc.Tail(
        slot=1, trial=True, attempts_left=2, why=BootReason.TRIAL, counter=2, reset_reason=0,
        reached_at=0x1000 + journal.REACHED_OFFSET,
    )
    assert soc.chip_size == BOARD.visible_bytes
    assert boot(chip_of(updated())).console == ("slotboot: B counter 2 why 2 error 0",)


def test_an_ordinary_restart_writes_nothing_and_does_not_verify() -> None:
    flash = bare_flash()
    put_slot(flash, 0, OLD, 1, confirmed=True)
    put_window(flash, OLD)
    put_cell(flash, JournalCell(sequence=1, state_a=SlotState.CONFIRMED, counter_a=1))
    soc = chip_of(flash)
    start_us = soc.clock.us
    require_right(soc, boot(soc))
    with_verify = soc.clock.us - start_us
    soc.start(5)
    start_us = soc.clock.us
    result = boot(soc)
    require_right(soc, result)
    assert operations(soc) == [] and result.why is BootReason.ORDINARY
    assert soc.clock.us - start_us < with_verify - len(OLD) * 500 // 1024
    assert not tail(soc).trial


def test_verifying_640_kb_takes_what_the_emulated_chip_counts() -> None:
    big = image("1.0.0", size=640_000)
    flash = bare_flash()
    put_slot(flash, 0, big, 1, confirmed=True)
    put_window(flash, big)
    soc = chip_of(flash)
    boot(soc)
    assert 1700 < soc.clock.ms < 1900


def test_an_image_that_rots_is_noticed_after_a_return_of_power_only() -> None:
    flash = bare_flash()
    put_slot(flash, 0, OLD, 1, confirmed=True)
    put_window(flash, OLD)
    soc = chip_of(flash)
    boot(soc)
    flash.poke(BOARD.slots[0].image.start + 0xB000, b"\0\0\0\0")
    soc.start(4)
    boot(soc)
    soc.power_off()
    soc.power_on()
    assert isinstance(LoaderModel(soc, BOARD).boot(rounds=2), NothingBoots)


def test_sectors_that_are_right_are_neither_erased_nor_written() -> None:
    flash = updated()
    flash.poke(BOARD.window.start, NEW[IROM_OFFSET : IROM_OFFSET + 2 * SECTOR])
    soc = chip_of(flash)
    require_right(soc, boot(soc))
    erased = [addr for kind, addr in operations(soc) if kind == "erase"]
    assert erased == list(range(IROM_OFFSET + 2 * SECTOR, len(NEW), SECTOR))


def test_the_next_attempt_copies_nothing_and_counts_down() -> None:
    soc = chip_of(updated())
    boot(soc)
    for left in (1, 0):
        reach_hook(soc)
        soc.flash.reset_counters()
        soc.start(4)
        assert boot(soc).why is BootReason.TRIAL
        assert tail(soc).attempts_left == left
        assert [addr for _, addr in operations(soc)] == [
            0x1000 + journal.ENDED_OFFSET + 4 * (1 - left), 0x1000 + journal.SPENT_OFFSET + 4 * (2 - left),
        ]  # fmt: skip
    soc.start(2)
    result = boot(soc)
    assert (result.slot, result.why) == (0, BootReason.FALLBACK)
    require_right(soc, result)
    assert cell(soc).spent[:4] == (True, True, True, False)
    assert cell(soc).ended[:4] == (Ended.RESTART, Ended.RESTART, Ended.EXCEPTION, None)
    assert not tail(soc).trial and tail(soc).attempts_left == 0


def test_how_the_attempt_ended_is_written_once() -> None:
    soc = chip_of(updated())
    boot(soc)
    reach_hook(soc)
    soc.write_word(0x600013F8, 6)
    soc.start(4)
    boot(soc)
    assert cell(soc).ended[0] == Ended.IMPORT_FAILED
    assert tail(soc).note == 0
    soc.power_off()
    soc.power_on()
    boot(soc)
    assert cell(soc).ended[:2] == (Ended.IMPORT_FAILED, Ended.POWER_LOST)


def test_a_confirmed_trial_is_ordinary_and_nothing_is_written() -> None:
    soc = chip_of(updated())
    boot(soc)
    soc.flash.write(0x1000 + journal.CONFIRMED_OFFSET, bytes(4))
    soc.flash.reset_counters()
    soc.start(2)
    assert boot(soc).why is BootReason.ORDINARY
    assert operations(soc) == []


def test_eight_copies_that_were_cut_end_the_trial() -> None:
    soc = chip_of(updated())
    for _ in range(8):
        soc.flash.arm(Cut(soc.flash.operations + 1, CutMode.TORN, 1))
        with pytest.raises(PowerCut):
            boot(soc)
        soc.power_on()
    assert sum(cell(soc).copied) == 8 and not any(cell(soc).spent)
    result = boot(soc)
    assert result.why is BootReason.FALLBACK
    require_right(soc, result)


@pytest.mark.parametrize("cause", CAUSES)
@pytest.mark.parametrize(("reason", "ended"), [(1, 2), (2, 3), (3, 4), (4, 8), (5, 9), (6, 7)])
def test_a_trial_that_ends_the_same_way_three_times(reason: int, ended: int, cause: int) -> None:
    """Whatever started the board before: three attempts, and the loader writes down how each ended."""
    soc = chip_of(updated())
    soc.start(4)
    soc.hardware_cause = cause
    for attempt in range(3):
        assert boot(soc).why is BootReason.TRIAL
        reach_hook(soc)
        if reason > 1 or attempt:
            soc.start_sdk()
        soc.start(reason)
    assert boot(soc).why is BootReason.FALLBACK
    assert cell(soc).ended[:3] == (ended,) * 3


@pytest.mark.parametrize("cause", CAUSES)
@pytest.mark.parametrize("reason", [0, 1, 2, 4, 6])
def test_an_attempt_that_never_reached_the_hook_is_the_last(reason: int, cause: int) -> None:
    """A firmware that hangs before boot.py with the watchdogs fed: one power cycle, and the old release is back."""
    soc = chip_of(updated())
    soc.start(4)
    soc.hardware_cause = cause
    assert boot(soc).why is BootReason.TRIAL
    assert tail(soc).reached_at == 0x1000 + journal.REACHED_OFFSET
    soc.power_off()
    soc.power_on()
    if reason:
        soc.start(reason)
    result = boot(soc)
    assert (result.slot, result.why) == (0, BootReason.FALLBACK)
    assert tail(soc).reached_at == 0, "the hook sets nothing outside a trial"
    assert sum(cell(soc).spent) == 1 and not cell(soc).reached


@pytest.mark.parametrize("cause", CAUSES)
def test_a_bite_before_the_sdk_was_up_is_none_of_the_restart_before(cause: int) -> None:
    """The SDK wrote down a restart, and the image hangs before its own SDK takes that away."""
    soc = chip_of(updated())
    soc.start(4)
    soc.hardware_cause = cause
    assert boot(soc).why is BootReason.TRIAL
    assert tail(soc).reset_reason == 4
    soc.start(1)
    boot(soc)
    assert (tail(soc).reset_reason, cell(soc).ended[0]) == (1, Ended.HARDWARE_WATCHDOG)


@pytest.mark.parametrize("address", [0x600013D8, 0x600013DC, 0x600013FC])
def test_retained_words_are_kept_over_resets_and_dropped_with_power(address: int) -> None:
    soc = chip_of(updated())
    boot(soc)
    assert soc.read_word(address) == 0, "noise of the first start"
    soc.write_word(address, 77)
    soc.start(5)
    boot(soc)
    assert soc.read_word(address) == 77
    soc.power_off()
    soc.power_on()
    boot(soc)
    assert soc.read_word(address) == 0


# images and slots that are not right


@pytest.mark.parametrize(
    ("offset", "data"),
    [
        (0, b"\xea"),
        (1, b"\x11"),
        (1, b"\x00"),
        (4, b"\x00\x00\x20\x40"),
        (8, b"\x00\x00\x00\x60"),
        (12, b"\x00\x00\x01\x00"),
        (12, b"\x01"),
        (100, b"\x5a\xa5"),
    ],
    ids=[
        "magic", "17 segments", "no segment", "entry in irom", "segment outside RAM", "segment too long",
        "odd length", "checksum",
    ],
)  # fmt: skip
def test_an_image_the_cpu_could_not_start_is_refused_though_its_digest_fits(offset: int, data: bytes) -> None:
    wrong = bytearray(NEW)
    wrong[offset : offset + len(data)] = data
    flash = updated()
    put_slot(flash, 1, bytes(wrong), 2)
    soc = chip_of(flash)
    result = boot(soc)
    assert (result.slot, result.why) == (0, BootReason.FALLBACK)
    assert cell(soc).bad == (False, True)
    assert result.console[0] == "slotboot: B counter 2 why 2 error 1"


def test_images_of_the_native_maps_are_not_for_this_loader() -> None:
    flash = updated()
    put_slot(flash, 1, NEW, 2, form=2)
    assert boot(chip_of(flash)).slot == 0


def test_without_a_cell_the_bad_mark_goes_to_the_descriptor() -> None:
    flash = updated()
    for sector in (1, 2):
        flash.erase(sector)
    flash.poke(BOARD.slots[0].image.start + 0xB000, b"\0\0\0\0")
    soc = chip_of(flash)
    assert boot(soc).why is BootReason.NO_JOURNAL_UNCONFIRMED
    word = soc.flash.peek(BOARD.slots[0].descriptor.start + 132, 4)
    assert word == bytes(4)


@pytest.mark.parametrize("fields", [{"slot": 0}, {"length": 0}, {"length": 0xFB001}], ids=str)
def test_descriptors_that_do_not_describe_their_slot(fields: dict[str, int]) -> None:
    flash = updated()
    descriptor = dataclasses.replace(put_slot(flash, 1, NEW, 2), **fields)
    flash.poke(BOARD.slots[1].descriptor.start, descriptor.pack())
    assert boot(chip_of(flash)).why is BootReason.FALLBACK


def test_three_reads_before_an_image_counts_as_wrong() -> None:
    """A weak word reads right often enough; without a second read the release would be marked bad."""
    right = started = 0
    for seed in range(20):
        flash = updated()
        flash = NorFlash(flash.size, image=flash.peek(0, flash.size), seed=seed)
        flash.set_weak(BOARD.slots[1].image.start + 0xB000, 4, 1)
        soc = chip_of(flash)
        started += boot(soc).slot
        right += not cell(soc).bad_b
    assert 14 <= right < 20, f"7 of 8 are expected to pass, {right} of 20 did"
    assert 0 < started < right, "it is read once more when it is copied, and what was copied is hashed"


# no word about the board at all


def stock(*slots: int) -> NorFlash:
    flash = bare_flash()
    for slot in slots:
        flash.poke(BOARD.slots[slot].image.start, (OLD, NEW)[slot])
    return flash


@pytest.mark.parametrize(("slots", "started"), [((0,), 0), ((1,), 1), ((0, 1), 0)])
def test_a_stock_image_that_nobody_described_is_started(slots: tuple[int, ...], started: int) -> None:
    soc = chip_of(stock(*slots))
    result = boot(soc)
    assert (result.slot, result.why, result.counter) == (started, BootReason.NO_DESCRIPTOR, 0)
    require_right(soc, result)
    assert held(soc) == hashlib.sha256((OLD, NEW)[started]).digest()[:7]
    soc.flash.reset_counters()
    soc.start(4)
    took_us = soc.clock.us
    require_right(soc, boot(soc))
    assert operations(soc) == []
    assert soc.clock.us - took_us > len(OLD) * 500 // 1024, "it is never trusted"


def test_a_stock_image_whose_md5_is_wrong_is_passed_over_and_nothing_is_written_about_it() -> None:
    flash = stock(0, 1)
    flash.poke(BOARD.slots[0].image.start + 0xA000, bytes(4))
    soc = chip_of(flash)
    result = boot(soc)
    assert (result.slot, result.why) == (1, BootReason.NO_DESCRIPTOR)
    assert result.console[0] == "slotboot: A counter 0 why 7 error 1"
    assert not [addr for _, addr in operations(soc) if 0x4000 <= addr < IROM_OFFSET]


@pytest.mark.parametrize("length", [0, 0x9000, 0x9002, 0xFB000 - 16, 0xFB000, 0xFFFFFFF0, 0xFFFFFFFF])
def test_a_length_word_that_cannot_be(length: int) -> None:
    flash = stock(0)
    flash.poke(BOARD.slots[0].image.start + 0x8FFC, length.to_bytes(4, "little"))
    assert isinstance(LoaderModel(chip_of(flash), BOARD).boot(rounds=1), NothingBoots)


# worn flash


def test_a_window_sector_that_cannot_be_written_passes_the_slot_over_without_a_verdict() -> None:
    flash = updated()
    flash.set_stuck(IROM_OFFSET // SECTOR + 1)
    soc = chip_of(flash)
    result = boot(soc)
    assert (result.slot, result.why) == (0, BootReason.FALLBACK)
    require_right(soc, result)
    assert cell(soc).bad == (False, False) and not any(cell(soc).spent)
    erases = [addr for kind, addr in operations(soc) if addr == IROM_OFFSET + SECTOR and kind == "erase"]
    assert len(erases) == 3


def test_an_attempt_that_cannot_be_spent_is_not_made() -> None:
    flash = updated()
    put_window(flash, NEW)
    flash.erase(3)
    flash.poke(0x3000, windowlog.held_entry(hashlib.sha256(NEW).digest()))
    flash.set_stuck(1)
    assert boot(chip_of(flash)).why is BootReason.FALLBACK


def test_a_held_entry_that_cannot_be_zeroed_keeps_its_window() -> None:
    flash = updated()
    flash.set_stuck(3)
    soc = chip_of(flash)
    result = boot(soc)
    assert result.slot == 0
    require_right(soc, result)
    assert held(soc) == hashlib.sha256(OLD).digest()[:7]


def test_every_held_entry_is_zeroed_before_the_window_changes() -> None:
    """Garbage behind a true entry hides it; a torn erase of the log may take that and leave the entry."""
    flash = updated()
    flash.poke(0x3010, b"garbage of a cut")
    soc = chip_of(flash)
    require_right(soc, boot(soc))
    log = soc.flash.peek(0x3000, SECTOR)
    assert windowlog.classify_entry(log[:16]) is windowlog.EntryState.DIRTY
    states = [windowlog.classify_entry(entry) for entry in windowlog.split_entries(log)]
    assert states.count(windowlog.EntryState.HELD) == 1


def test_a_full_log_says_nothing_and_is_left_alone() -> None:
    flash = updated()
    flash.poke(0x3000, bytes(SECTOR))
    soc = chip_of(flash)
    require_right(soc, boot(soc))
    assert not [addr for _, addr in operations(soc) if 0x3000 <= addr < 0x4000]
    assert held(soc) is None


# nothing boots


def test_nothing_boots_says_so_and_waits_with_the_watchdog_fed() -> None:
    soc = chip_of(bare_flash())
    result = LoaderModel(soc, BOARD).boot(rounds=3)
    assert isinstance(result, NothingBoots)
    assert result.console == ("slotboot: - counter 0 why 0 error 4",) * 3
    assert soc.clock.ms >= 90_000
