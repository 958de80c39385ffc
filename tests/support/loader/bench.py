"""Flash with the real loader and small real images; one boot on the machine, held against the model."""

from __future__ import annotations

import functools
import hashlib
import random
import zlib
from dataclasses import dataclass
from typing import Any

from slotbench import boards
from slotbench.boards import BoardProfile
from slotbench.formats import image_ea, journal, rtc, windowlog
from slotbench.formats.descriptor import ImageForm, SlotDescriptor
from slotbench.formats.image import IROM_OFFSET, build_e9, parse_e9
from slotbench.formats.image_ea import parse_ea
from slotbench.formats.journal import JournalCell
from slotbench.formats.segments import DRAM, IRAM
from slotbench.vboard.flash.nor import SECTOR, NorFlash
from slotbench.vboard.loader.model import BootResult, LoaderModel, NothingBoots
from slotbench.vboard.lx106.loader import loader_sector
from slotbench.vboard.lx106.machine import LoaderMachine
from slotbench.vboard.soc import RTC_BASE, Soc

ENTRY_OFFSET = 0x20
TAIL = slice(rtc.ADDRESS - RTC_BASE, rtc.ADDRESS - RTC_BASE + rtc.TAIL_BYTES)
_TEXT_BYTES, _DATA_BYTES, _IROM_BYTES = 512, 256, 2 * SECTOR + 600


@functools.cache
def board_of(name: str) -> BoardProfile:
    return boards.load(name)


WINDOW, IN_PLACE = board_of("generic_4m"), board_of("native_512k")


@functools.cache
def small_image(version: str, slot: int | None = None, irom_bytes: int = _IROM_BYTES) -> bytes:
    """An E9 image, or an EA image linked for a slot of the in-place map: the least that a loader has to load.

    The middle one of its three irom sectors is the same in every version.
    """
    rng, shared = random.Random(f"image {version}"), random.Random("shared")
    segments = [(IRAM.start, rng.randbytes(_TEXT_BYTES)), (DRAM.start, rng.randbytes(_DATA_BYTES))]
    irom = rng.randbytes(SECTOR) + shared.randbytes(SECTOR) + rng.randbytes(max(0, irom_bytes - 2 * SECTOR))
    irom = irom[: irom_bytes & ~15]
    if slot is None:
        return build_e9(segments, IRAM.start + ENTRY_OFFSET, irom)
    return image_ea.build_ea(segments, IRAM.start + ENTRY_OFFSET, irom)


def image_for(board: BoardProfile, version: str, slot: int) -> bytes:
    return small_image(version, slot if board.in_place else None)


def bare(board: BoardProfile, **options: Any) -> NorFlash:
    """A chip with the loader in its sector and PHY data."""
    flash = NorFlash(board.chip_bytes, **options)
    flash.poke(0, loader_sector(board))
    flash.poke(board.visible_bytes - 4 * SECTOR, b"\x05" + bytes(127))
    return flash


def put(board: BoardProfile, flash: NorFlash, slot: int, data: bytes, counter: int, **fields: Any) -> SlotDescriptor:
    """An image and its descriptor."""
    place = board.slots[slot]
    values: dict[str, Any] = {
        "slot": slot, "counter": counter, "length": len(data), "sha256": hashlib.sha256(data).digest(),
        "fs_start": board.fs_start, "product": "test", "version": str(counter),
        "form": ImageForm.EA if board.in_place else ImageForm.E9,
    }
    descriptor = SlotDescriptor(**(values | fields))
    flash.poke(place.image.start, data)
    flash.poke(place.descriptor.start, descriptor.pack())
    return descriptor


def put_cell(board: BoardProfile, flash: NorFlash, cell: JournalCell, index: int = 0) -> None:
    flash.poke(board.journal.start + 256 * index, cell.pack())


def put_window(board: BoardProfile, flash: NorFlash, data: bytes) -> None:
    """The exec window holds an image's irom, as a loader left it, and the window log says so."""
    irom = data[board.irom_offset :]
    flash.poke(board.window.start, irom.ljust(-(-len(irom) // SECTOR) * SECTOR, b"\xff"))
    flash.poke(board.window_log.start, windowlog.held_entry(hashlib.sha256(data).digest()))


CAUSES = (1, 2, 4, 5)
"""What the ROM tells of the hardware, also after restarts by the SDK: power, reset pin, watchdog, deep sleep."""


def chip_with(
    flash: NorFlash, *, reason: int = 0, tail: rtc.Tail | None = None, seed: int = 0, cause: int | None = None,
) -> Soc:
    """A chip on this flash that has just started for this reason, with this tail of the boot before.

    `cause` is what the hardware did last before a restart by the SDK; None: one of them for each journal.
    """
    soc = Soc(flash, seed=seed, sdk_save_every=0)
    drawn = CAUSES[zlib.crc32(flash.peek(WINDOW.journal.start, 2 * SECTOR)) % len(CAUSES)]
    soc.hardware_cause = drawn if cause is None else cause
    if tail is not None:
        soc.rtc[TAIL] = tail.pack()
    soc.start(reason)
    return soc


def tail_of(soc: Soc) -> rtc.Tail:
    return rtc.Tail.unpack(bytes(soc.rtc[TAIL]))


def newest(board: BoardProfile, flash: NorFlash) -> JournalCell | None:
    found = journal.newest_cell(flash.peek(board.journal.start, board.journal.size))
    return found[1] if found is not None else None


@dataclass(frozen=True, slots=True)
class Booted:
    """A boot on the machine: what it started, and the chip and machine behind it."""

    result: BootResult | NothingBoots
    soc: Soc
    machine: LoaderMachine

    @property
    def choice(self) -> tuple[int, int] | None:
        """(slot, why)."""
        return (self.result.slot, int(self.result.why)) if isinstance(self.result, BootResult) else None


def boot(board: BoardProfile, soc: Soc, *, seed: int = 0, accelerate: bool = True, log_lies: bool = False) -> Booted:
    """One boot of the machine; what it starts must be right, unless slot, window and log were made to disagree."""
    machine = LoaderMachine(soc, board, seed=seed, accelerate=accelerate)
    booted = Booted(machine.boot(rounds=1), soc, machine)
    if isinstance(booted.result, BootResult) and not log_lies:
        require_plain_flash(board, booted)
    return booted


def require_plain_flash(board: BoardProfile, booted: Booted) -> None:
    """RAM, entry and irom are what a plain flash of the image in the slot gives; the log says nothing else."""
    result, flash = booted.result, booted.soc.flash
    assert isinstance(result, BootResult)
    data = flash.peek(board.slots[result.slot].image.start, result.length)
    parsed = parse_ea(data) if board.in_place else parse_e9(data)
    assert result.entry == parsed.entry
    assert result.segments == tuple((segment.address, segment.data) for segment in parsed.segments)
    assert booted.soc.chip_size == board.visible_bytes
    if not board.in_place:
        irom = data[IROM_OFFSET:]
        assert flash.peek(board.window.start, len(irom)) == irom
        held = windowlog.held_digest(flash.peek(board.window_log.start, board.window_log.size))
        assert held in (None, hashlib.sha256(data).digest()[: windowlog.PREFIX_BYTES])


def same_as_model(
    board: BoardProfile, flash: NorFlash, *, seed: int = 0, log_lies: bool = False, **start: Any
) -> Booted:
    """One boot on the machine and one of the model: result, operations, flash and tail must be equal."""
    soc, twin = (chip_with(flash.clone(), seed=seed, **start) for _ in range(2))
    booted = boot(board, soc, seed=seed, log_lies=log_lies)
    expected = LoaderModel(twin, board).boot(rounds=1)
    assert booted.result == expected
    assert soc.flash.log == twin.flash.log
    assert same_flash(soc.flash, twin.flash)
    assert bytes(soc.rtc) == bytes(twin.rtc)
    return booted


def same_flash(one: NorFlash, other: NorFlash) -> bool:
    return one.sectors(0, one.size) == other.sectors(0, other.size)
