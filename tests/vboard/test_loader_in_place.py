"""The loader model on an in-place map: it copies nothing, and all else is as on the map with a window."""

from __future__ import annotations

import functools
import hashlib
import struct
from dataclasses import replace
from typing import Any

import pytest

from slotbench import boards
from slotbench.boards import Region
from slotbench.formats import image_ea, journal
from slotbench.formats.descriptor import ImageForm, SlotDescriptor
from slotbench.formats.image_ea import parse_ea
from slotbench.formats.journal import Ended, JournalCell, SlotState
from slotbench.formats.rtc import BootReason
from slotbench.vboard import firmware
from slotbench.vboard.firmware import SMALLEST_BYTES, Behaviour, Marker, build_user, marker_of
from slotbench.vboard.flash.cuts import EVERY_MODE, Cut, CutMode
from slotbench.vboard.flash.nor import NorFlash, PowerCut
from slotbench.vboard.loader.model import BootResult, LoaderModel, NothingBoots
from slotbench.vboard.loader import image as loader_image
from slotbench.vboard.soc import Soc
from support.vboard.flash import image as stock_image
from support.vboard.loader import TRIAL, chip_of, tail

BOARD = boards.load("native_512k")
JOURNAL = BOARD.journal.start


@functools.cache
def user(slot: int, version: str, does: Behaviour = Behaviour.HEALTHY) -> bytes:
    return firmware.for_board(BOARD, version, does, size=SMALLEST_BYTES)[slot]


OLD, NEW = user(0, "1.0.0"), user(1, "2.0.0")


def bare() -> NorFlash:
    flash = NorFlash(BOARD.chip_bytes)
    flash.poke(0, bytes([0xE9, 1, 2, BOARD.size_nibble << 4]))
    flash.poke(0x7C000, b"\x05" + bytes(127))
    return flash


def put(flash: NorFlash, slot: int, data: bytes, counter: int, **fields: Any) -> SlotDescriptor:
    place = BOARD.slots[slot]
    descriptor = SlotDescriptor(
        slot=slot, counter=counter, length=len(data), sha256=hashlib.sha256(data).digest(), fs_start=0,
        product="test", version=str(counter), **({"form": ImageForm.EA} | fields))
    flash.poke(place.image.start, data)
    flash.poke(place.descriptor.start, descriptor.pack())
    return descriptor


def armed(new: bytes = NEW, **fields: Any) -> NorFlash:
    """A board that ran 1.0.0 from slot A and has just activated the trial of slot B."""
    flash = bare()
    put(flash, 0, OLD, 1, confirmed=True)
    put(flash, 1, new, 2, **fields)
    flash.poke(JOURNAL, TRIAL.pack())
    return flash


def boot(soc: Soc) -> BootResult:
    result = LoaderModel(soc, BOARD).boot(rounds=1)
    assert isinstance(result, BootResult), result
    return result


def cell(soc: Soc) -> JournalCell:
    newest = journal.newest_cell(soc.flash.peek(JOURNAL, BOARD.journal.size))
    assert newest is not None
    return newest[1]


def operations(soc: Soc) -> list[tuple[str, int]]:
    return [(op.kind, op.addr) for op in soc.flash.log or []]


def require_right(soc: Soc, result: BootResult, data: bytes) -> None:
    """RAM is the image's, irom is the slot's own bytes where they were linked for."""
    parsed = parse_ea(data)
    assert result.segments == tuple((segment.address, segment.data) for segment in parsed.segments)
    assert (result.entry, result.length) == (parsed.entry, len(data))
    assert result.irom == Region(BOARD.slots[result.slot].image.start + 16, parsed.irom_bytes)
    assert result.irom_address == parsed.irom_address == BOARD.irom_address(result.slot)
    irom = soc.flash.peek(result.irom.start, result.irom.size)
    assert marker_of(result.segments, irom, result.irom_address).does is Behaviour.HEALTHY


def test_a_trial_boot_spends_the_attempt_and_writes_nothing_else() -> None:
    soc = chip_of(armed())
    result = boot(soc)
    assert (result.slot, result.why, result.counter) == (1, BootReason.TRIAL, 2)
    require_right(soc, result, NEW)
    assert operations(soc) == [("program", JOURNAL + journal.SPENT_OFFSET)]
    assert cell(soc).copied == (False,) * 8, "there is no copy to count"
    assert (tail(soc).slot, tail(soc).trial, tail(soc).attempts_left) == (1, True, 2)
    assert soc.chip_size == 0x80000


def test_attempts_count_down_and_the_old_slot_follows() -> None:
    soc = chip_of(armed())
    boot(soc)
    for left in (1, 0):
        soc.flash.write(tail(soc).reached_at, bytes(4))
        soc.start(2)
        assert boot(soc).why is BootReason.TRIAL
        assert tail(soc).attempts_left == left
    soc.start(2)
    result = boot(soc)
    assert (result.slot, result.why) == (0, BootReason.FALLBACK)
    require_right(soc, result, OLD)
    assert cell(soc).ended[:3] == (Ended.EXCEPTION,) * 3


def test_a_budget_of_copies_that_is_used_up_in_the_cell_holds_here_too() -> None:
    """The rows are the same: only the loader of an in-place map never spends it."""
    flash = armed()
    flash.erase(JOURNAL // 4096)
    flash.poke(JOURNAL, replace(TRIAL, copied=(True,) * 8).pack())
    assert boot(chip_of(flash)).why is BootReason.FALLBACK


def test_an_ordinary_restart_reads_the_ram_part_only_and_a_return_of_power_all() -> None:
    flash = bare()
    put(flash, 0, OLD, 1, confirmed=True)
    flash.poke(JOURNAL, JournalCell(sequence=1, state_a=SlotState.CONFIRMED, counter_a=1).pack())
    soc = chip_of(flash)

    def took_us(reason: int) -> int:
        start = soc.clock.us
        soc.start(reason)
        require_right(soc, boot(soc), OLD)
        return soc.clock.us - start

    first, again = took_us(0), took_us(5)
    not_read = parse_ea(OLD).irom_bytes + 4
    assert first - again == len(OLD) * 1800 // 1024 + not_read, "no digest; irom and CRC are not read"
    assert operations(soc) == []


def test_an_image_that_rots_is_noticed_after_a_return_of_power() -> None:
    flash = armed()
    soc = chip_of(flash)
    boot(soc)
    flash.write(tail(soc).reached_at, bytes(4))
    flash.poke(BOARD.slots[1].image.start + 0x400, bytes(4))
    soc.power_off()
    soc.power_on()
    result = boot(soc)
    assert (result.slot, result.why) == (0, BootReason.FALLBACK)
    assert cell(soc).bad_b
    assert result.console[0] == "slotboot: B counter 2 why 2 error 1"


def test_without_a_journal_the_descriptors_decide() -> None:
    flash = armed()
    flash.erase(JOURNAL // 4096)
    result = boot(chip_of(flash))
    assert (result.slot, result.why) == (0, BootReason.NO_JOURNAL_CONFIRMED)


@pytest.mark.parametrize("form", list(ImageForm))
def test_a_stock_image_cannot_run_in_place(form: ImageForm) -> None:
    soc = chip_of(armed(stock_image("2.0.0"), form=form))
    assert boot(soc).why is BootReason.FALLBACK
    assert cell(soc).bad_b


def test_a_user_image_cannot_run_from_the_window() -> None:
    generic = boards.load("generic_4m")
    flash = NorFlash(generic.chip_bytes)
    for form, slot in ((ImageForm.EA, 0), (ImageForm.E9, 1)):
        place = generic.slots[slot]
        flash.poke(place.image.start, OLD)
        descriptor = SlotDescriptor(
            slot=slot, counter=1, length=len(OLD), sha256=hashlib.sha256(OLD).digest(), fs_start=0x100000,
            product="test", version="1", form=form)
        flash.poke(place.descriptor.start, descriptor.pack())
    assert isinstance(LoaderModel(chip_of(flash), generic).boot(rounds=1), NothingBoots)


def test_an_image_of_the_other_slot_starts_and_crashes() -> None:
    """The loader does not know where it was linked for: the digest is right. The CPU finds out."""
    soc = chip_of(armed(user(0, "2.0.0")))
    result = boot(soc)
    irom = soc.flash.peek(result.irom.start, result.irom.size)
    assert result.irom_address == 0x40241010
    assert marker_of(result.segments, irom, result.irom_address) == Marker(None, None, Behaviour.CRASH)
    assert marker_of(result.segments, irom, 0x40201010).version == "2.0.0"


def test_a_foreign_image_of_the_other_slot_crashes_too() -> None:
    """Told by its pointers: it has no marker."""
    data = user(0, "2.0.0").replace(b"slotbench firmware ", b"somebody firmware! ")
    parsed = data[16 : 16 + parse_ea(user(0, "2.0.0")).irom_bytes]
    assert marker_of([(0x40100000, b"code")], parsed, 0x40201010).does is Behaviour.HEALTHY
    assert marker_of([(0x40100000, b"code")], parsed, 0x40241010).does is Behaviour.CRASH
    assert marker_of([(0x40100000, b"code")], b"\x33" * 4096, 0x40241010).does is Behaviour.HEALTHY


def test_no_cut_of_a_trial_boot_runs_anything_but_what_is_in_the_slot() -> None:
    dry = chip_of(armed())
    boot(dry)
    assert dry.flash.operations == 1
    for mode in (*EVERY_MODE, CutMode.WEAK):
        for seed in range(6):
            soc = chip_of(armed(), seed)
            soc.flash.arm(Cut(0, mode, seed))
            with pytest.raises(PowerCut):
                boot(soc)
            for _ in range(2):
                soc.power_on()
                result = boot(soc)
                require_right(soc, result, (OLD, NEW)[result.slot])
                assert 1 <= sum(cell(soc).spent) <= 3
                soc.power_off()


# What is loaded of a user image.


def load(data: bytes) -> loader_image.Loadable | None:
    return loader_image.load(ImageForm.EA, lambda offset, size: data[offset : offset + size], len(data))


def test_it_loads_what_the_parser_finds() -> None:
    for data in (OLD, NEW, image_ea.build_ea([(0x40100000, bytes(8))], 0x40100000, bytes(16))):
        parsed, loadable = parse_ea(data), load(data)
        assert loadable is not None
        assert loadable.segments == tuple((segment.address, segment.data) for segment in parsed.segments)
        assert (loadable.entry, loadable.irom_offset, loadable.irom_bytes) == (
            parsed.entry, parsed.irom_offset, parsed.irom_bytes)


IROM_BYTES = parse_ea(OLD).irom_bytes
RAM = 16 + IROM_BYTES


@pytest.mark.parametrize(("offset", "change"), [
    (0, b"\xe9"), (1, b"\x03"), (8, b"\x10"), (12, bytes(4)), (12, struct.pack("<I", IROM_BYTES + 4)),
    (12, struct.pack("<I", IROM_BYTES - 16)), (12, struct.pack("<I", len(OLD))),
    (12, b"\xf0\xff\xff\xff"), (RAM, b"\xea"), (RAM + 1, b"\x00"), (RAM + 1, b"\x11"), (RAM + 4, bytes(4)),
    (RAM + 8, b"\x00\x00\x20\x40"), (RAM + 12, b"\x01"), (RAM + 12, b"\xff\xff\x00\x00"), (RAM + 20, b"\xa5"),
    (len(OLD) - 5, b"\xa5"),
])  # fmt: skip
def test_what_no_chip_could_start_is_not_loaded(offset: int, change: bytes) -> None:
    changed = OLD[:offset] + change + OLD[offset + len(change) :]
    assert changed != OLD and load(OLD) is not None
    assert load(changed) is None


@pytest.mark.parametrize("length", [0, 15, 16, 17, RAM, RAM + 4, RAM + 12, RAM + 100, len(OLD) - 16])
def test_half_an_image_is_not_loaded(length: int) -> None:
    assert load(OLD[:length]) is None


# The bench's user images.


def test_linked_again_is_the_same_firmware_with_other_addresses() -> None:
    one, two = user(0, "1.0.0"), user(1, "1.0.0")
    assert len(one) == len(two)
    both = (struct.unpack(f"<{len(data) // 4}I", data) for data in (one, two))
    words = [(before, after) for before, after in zip(*both) if before != after]
    moved = sum(after - before == 0x40000 for before, after in words)
    assert moved >= 64, "aligned pointers moved by the distance of the slots"
    assert len(words) < len(one) / 4 / 8


@pytest.mark.parametrize("size", [SMALLEST_BYTES, 100_001, BOARD.slot_bytes])
def test_images_are_of_about_the_size_wanted(size: int) -> None:
    data = build_user("1.0", irom_address=0x40201010, size=size)
    assert size - 20 < len(data) <= size
    assert parse_ea(data).irom_address == 0x40201010


def test_versions_share_a_third_of_their_irom_blocks() -> None:
    one, two = (build_user(v, irom_address=0x40201010, size=BOARD.slot_bytes) for v in ("1.0", "2.0"))
    blocks = [one[i : i + 4096] == two[i : i + 4096] for i in range(0, len(one), 4096)]
    assert 0.25 < sum(blocks) / len(blocks) < 0.4
