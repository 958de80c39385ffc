"""The loader as a Python model: decides, verifies, fills the exec window, spends the attempt, hands
over.

Written from FORMATS.md and device/docs, in the order of its flash operations. All of them go
through the chip with actor "loader", so that a cut can hit each. Tests compare the real loader's
code with this model. An in-place map has no window to fill, no log of it and no budget for it; all
else is the same there.
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import replace
from typing import Final

from slotbench.boards import BoardProfile, Region
from slotbench.formats import FormatError, journal, rtc, windowlog
from slotbench.formats.descriptor import BAD_OFFSET, ImageForm, SlotDescriptor
from slotbench.formats.image import IROM_OFFSET, LENGTH_WORD_OFFSET
from slotbench.formats.rtc import BootReason
from slotbench.formats.seal import PAGE_BYTES
from slotbench.vboard.flash.nor import BLOCK, SECTOR
from slotbench.vboard.loader.decision import (
    Decision,
    choose_slot,
    how_it_ended,
    last_spent,
    why_it_restarted,
)
from slotbench.vboard.loader.image import Loadable, load
from slotbench.vboard.loader.outcome import BootOutcome, BootResult, NothingBoots
from slotbench.vboard.signals import BenchViolation
from slotbench.vboard.soc import RTC_BASE, Soc

__all__ = ["BootOutcome", "BootResult", "LoaderModel", "NothingBoots"]

_ACTOR: Final = "loader"
_TRIES: Final = 3
_WORTH_A_BLOCK: Final = 8
"""Of 16 sectors, by the typical figures of data sheets (device/slotboot/README.md)."""
_SET: Final = bytes(4)
_MD5_BYTES: Final = 16
_WAIT_MS: Final = 30_000
_HASH_US_PER_KB: Final = 1800
"""The emulated chip counts 94,000 instructions a KB (device/slotboot/README.md). Under the ROM that is at
52 MHz. With the reads it makes 1.8 s for 640 KB.
"""
_TAIL: Final = slice(rtc.ADDRESS - RTC_BASE, rtc.ADDRESS - RTC_BASE + rtc.TAIL_BYTES)
_RESTART_INFO: Final = slice(rtc.RESTART_INFO - RTC_BASE, rtc.RESTART_INFO - RTC_BASE + 4)
_SEEN_MARK: Final = slice(rtc.SEEN_MARK - RTC_BASE, rtc.SEEN_MARK - RTC_BASE + 4)
_RETAINED: Final = slice(
    rtc.RETAINED_ADDRESS - RTC_BASE, rtc.RETAINED_ADDRESS - RTC_BASE + rtc.RETAINED_BYTES)


class LoaderModel:
    """`slotboot` of one board."""

    def __init__(self, soc: Soc, profile: BoardProfile) -> None:
        self._soc = soc
        self._profile = profile
        self._console: list[str] = []
        self._cell: journal.JournalCell | None = None
        self._cell_addr = 0
        self._descriptors: list[SlotDescriptor | None] = [None, None]
        self._before: rtc.Tail | None = None
        self._reset_reason = 0

    def boot(self, *, rounds: int = 3) -> BootResult | NothingBoots:
        """Run from reset to the jump. Gives up after `rounds` waits of 30 s, which a real board
        does not.
        """
        self._console = []
        for _ in range(rounds):
            result = self._round()
            if result is not None:
                return result
            self._say("-", 0, 0, BootOutcome.NOTHING_BOOTS)
            self._soc.clock.advance_ms(_WAIT_MS)
        return NothingBoots(tuple(self._console))

    def _round(self) -> BootResult | None:
        """From the journal to the jump, once."""
        self._read_state()
        self._write_end_of_attempt()
        failed: set[int] = set()
        while (choice := choose_slot(self._cell, self._descriptors, frozenset(failed))) is not None:
            descriptor = self._descriptors[choice.slot]
            assert descriptor is not None
            started = self._start(choice, descriptor)
            if started is not None:
                return started
            failed.add(choice.slot)
        return self._start_stock_image()

    def _start_stock_image(self) -> BootResult | None:
        """Row 7: neither journal nor descriptor. A stock image contains its own checksum."""
        if self._profile.in_place or self._cell is not None or any(self._descriptors):
            return None
        for slot in (0, 1):
            self._descriptors[slot] = descriptor = self._stock_image(slot)
            if descriptor is None:
                continue
            started = self._start(Decision(slot, BootReason.NO_DESCRIPTOR), descriptor)
            if started is not None:
                return started
        return None

    def _stock_image(self, slot: int) -> SlotDescriptor | None:
        """The descriptor that a stock image would have, by its length word and its digest."""
        region = self._profile.slots[slot].image
        word = self._soc.rom_read(region.start + LENGTH_WORD_OFFSET, 4)
        length = int.from_bytes(word, "little") + _MD5_BYTES & 0xFFFFFFFF
        if not IROM_OFFSET <= length <= region.size:
            return None
        digest = hashlib.sha256(self._soc.rom_read(region.start, length + 3 & ~3)[:length]).digest()
        return SlotDescriptor(
            slot=slot, counter=0, length=length, sha256=digest, fs_start=0, product="", version="")

    def _start(self, choice: Decision, descriptor: SlotDescriptor) -> BootResult | None:
        """Everything between the decision and the jump; None when this slot cannot start now."""
        slot = choice.slot
        stock = choice.why is BootReason.NO_DESCRIPTOR

        def say(outcome: BootOutcome) -> None:
            self._say("AB"[slot], descriptor.counter, choice.why, outcome)

        holds = self._profile.in_place or self._window_holds(descriptor)
        trusted = holds and not stock and self._booted_last(slot, descriptor)
        image = self._verified(slot, descriptor, trusted=trusted, by_md5=stock)
        if image is None:
            if not stock:
                self._mark_bad(slot)
            say(BootOutcome.IMAGE_NOT_VALID)
            return None
        trial = choice.why is BootReason.TRIAL
        if not holds:
            image = self._through_window(slot, descriptor, trial=trial)
            if image is None:
                say(BootOutcome.WINDOW_NOT_WRITTEN)
                return None
        if trial and not self._spend("spent", journal.SPENT_OFFSET):
            say(BootOutcome.ATTEMPT_NOT_WRITTEN)
            return None
        self._leave_tail(choice, descriptor)
        self._soc.chip_size = self._profile.visible_bytes
        say(BootOutcome.STARTED)
        return BootResult(
            slot=slot,
            why=choice.why,
            counter=descriptor.counter,
            length=descriptor.length,
            entry=image.entry,
            segments=image.segments,
            irom=self._irom(slot, image),
            console=tuple(self._console),
        )

    # 1. What is known.

    def _read_state(self) -> None:
        region = self._profile.journal
        try:
            newest = journal.newest_cell(self._soc.rom_read(region.start, region.size))
        except FormatError as error:
            raise BenchViolation(f"sealed journal cell that no writer may write: {error}") from error
        self._cell = newest[1] if newest is not None else None
        self._cell_addr = region.start + newest[0] * PAGE_BYTES if newest is not None else 0
        self._descriptors = [self._read_descriptor(slot) for slot in (0, 1)]
        self._reset_reason = why_it_restarted(
            self._soc.hardware_cause, int.from_bytes(self._soc.rtc[_RESTART_INFO], "little"),
            seen=self._soc.rtc[_SEEN_MARK] == rtc.MAGIC)
        try:
            self._before = rtc.Tail.unpack(bytes(self._soc.rtc[_TAIL]))
        except FormatError:
            self._before = None

    def _read_descriptor(self, slot: int) -> SlotDescriptor | None:
        place = self._profile.slots[slot]
        try:
            descriptor = SlotDescriptor.unpack(self._soc.rom_read(place.descriptor.start, PAGE_BYTES))
        except FormatError:
            return None
        if descriptor.slot != slot or not 0 < descriptor.length <= place.image.size:
            return None
        return descriptor

    # 2. How the attempt before this boot ended.

    def _write_end_of_attempt(self) -> None:
        cell = self._cell
        if cell is None or cell.confirmed or cell.states[cell.active] is not journal.SlotState.READY:
            return
        attempt = last_spent(cell)
        if attempt is None or cell.ended[attempt] is not None:
            return
        code = how_it_ended(self._before, self._reset_reason)
        word = int(code).to_bytes(4, "little")
        self._soc.rom_write(self._cell_addr + journal.ENDED_OFFSET + 4 * attempt, word, _ACTOR)
        ended = (*cell.ended[:attempt], int(code), *cell.ended[attempt + 1 :])
        self._cell = replace(cell, ended=ended)

    # 3. Is the slot what its descriptor says?

    def _booted_last(self, slot: int, descriptor: SlotDescriptor) -> bool:
        before = self._before
        return before is not None and (before.slot, before.counter) == (slot, descriptor.counter)

    def _verified(
        self, slot: int, descriptor: SlotDescriptor, *, trusted: bool = False, by_md5: bool = False,
        in_window: bool = False,
    ) -> Loadable | None:
        """What a valid image has to load; three reads before one is believed wrong.

        `in_window`: its irom is read from the exec window, and once.
        """
        if descriptor.form is not (ImageForm.EA if self._profile.in_place else ImageForm.E9):
            return None
        start, length = self._profile.slots[slot].image.start, descriptor.length

        def read(offset: int, size: int) -> bytes:
            return self._soc.rom_read(start + offset, size + 3 & ~3)[:size]

        for _ in range(1 if in_window else _TRIES):
            if trusted:
                image = load(descriptor.form, read, length)
            else:
                data = self._with_irom_of_window(start, length) if in_window else read(0, length)
                self._soc.clock.advance_us(length * _HASH_US_PER_KB // 1024)
                same = hashlib.sha256(data).digest() == descriptor.sha256
                if not same or by_md5 and not _md5_is_right(data):
                    continue
                image = load(descriptor.form, lambda offset, size: data[offset : offset + size], length)
            if image is not None:
                return image
        return None

    def _irom(self, slot: int, image: Loadable) -> Region:
        profile = self._profile
        if profile.in_place:
            return Region(profile.slots[slot].image.start + image.irom_offset, image.irom_bytes)
        return Region(profile.window.start, image.irom_bytes)

    def _mark_bad(self, slot: int) -> None:
        """Mark the slot bad, so that no later boot tries it while there is another one."""
        cell, descriptor = self._cell, self._descriptors[slot]
        assert descriptor is not None
        if cell is None:
            if not descriptor.bad:
                self._set(self._profile.slots[slot].descriptor.start + BAD_OFFSET)
            self._descriptors[slot] = replace(descriptor, bad=True)
        else:
            if not cell.bad[slot]:
                offset = journal.BAD_B_OFFSET if slot else journal.BAD_A_OFFSET
                self._set(self._cell_addr + offset)
            self._cell = replace(cell, bad_b=True) if slot else replace(cell, bad_a=True)

    # 4. The exec window.

    def _window_holds(self, descriptor: SlotDescriptor) -> bool:
        return windowlog.held_digest(self._read_log()) == descriptor.sha256[: windowlog.PREFIX_BYTES]

    def _with_irom_of_window(self, start: int, length: int) -> bytes:
        """The image in the slot at `start`, but for the irom, which is the window's."""
        offset, window = self._profile.irom_offset, self._profile.window.start
        ram = self._soc.rom_read(start, offset)
        irom = self._soc.rom_read(window, length - offset + 3 & ~3)[: length - offset]
        return ram + irom

    def _through_window(self, slot: int, descriptor: SlotDescriptor, *, trial: bool) -> Loadable | None:
        """Fill the window and load the image with its irom; None, which is no verdict, when it fails."""
        for _ in range(_TRIES):
            if not self._fill_window(slot, descriptor, trial=trial):
                return None
            image = self._verified(slot, descriptor, in_window=True)
            if image is not None:
                self._say_held(descriptor)
                return image
        return None

    def _fill_window(self, slot: int, descriptor: SlotDescriptor, *, trial: bool) -> bool:
        """Make the window the irom of this image, and read each sector back."""
        cell = self._cell
        if trial and cell is not None and not any(cell.spent):
            if not self._spend("copied", journal.COPIED_OFFSET):
                return False
        if not self._forget_held():
            return False
        profile = self._profile
        image = profile.slots[slot].image.start
        blank = range(0)
        for offset in range(profile.irom_offset, descriptor.length, SECTOR):
            target = profile.window.start + offset - profile.irom_offset
            whole = target % BLOCK == 0 and descriptor.length - offset >= BLOCK
            if whole and self._is_worth_a_block(image + offset, target):
                self._soc.rom_erase_block(target // BLOCK, _ACTOR)
                blank = range(target, target + BLOCK)
            if not self._copy_sector(image + offset, target, erased=target in blank):
                return False
        return True

    def _is_worth_a_block(self, source: int, target: int) -> bool:
        """Whether so many sectors of this 64 KB block differ that to erase it at once is faster."""
        read = self._soc.rom_read
        differing = (
            at for at in range(0, BLOCK, SECTOR) if read(source + at, SECTOR) != read(target + at, SECTOR))
        return sum(1 for _ in itertools.islice(differing, _WORTH_A_BLOCK)) == _WORTH_A_BLOCK

    def _say_held(self, descriptor: SlotDescriptor) -> None:
        entry = windowlog.next_free_entry(self._read_log())
        if entry is not None:
            addr = self._profile.window_log.start + entry * windowlog.ENTRY_BYTES
            self._write_back(addr, windowlog.held_entry(descriptor.sha256))

    def _forget_held(self) -> bool:
        """Program every held entry to zeros: from now on no entry may describe the window.

        An entry that is not the last one does not count, but a torn erase of the log could erase
        those behind it and revive it.
        """
        for index, entry in enumerate(windowlog.split_entries(self._read_log())):
            if windowlog.classify_entry(entry) is windowlog.EntryState.HELD:
                addr = self._profile.window_log.start + index * windowlog.ENTRY_BYTES
                if not self._write_back(addr, windowlog.DIRTY_ENTRY):
                    return False
        return True

    def _copy_sector(self, source: int, target: int, *, erased: bool) -> bool:
        """A whole sector of the slot. One that reads right each time stays; one that is `erased` is not
        erased first.
        """
        soc = self._soc
        wanted = soc.rom_read(source, SECTOR)
        if all(soc.rom_read(target, SECTOR) == wanted for _ in range(_TRIES)):
            return True
        for attempt in range(_TRIES):
            if attempt or not erased:
                soc.rom_erase(target // SECTOR, _ACTOR)
            soc.rom_write(target, wanted, _ACTOR)
            if soc.rom_read(target, SECTOR) == wanted:
                return True
        return False

    def _read_log(self) -> bytes:
        return self._soc.rom_read(self._profile.window_log.start, self._profile.window_log.size)

    # 5. The attempt, and the word to Python.

    def _spend(self, field: str, offset: int) -> bool:
        """Set the next of eight open words (`spent` or `copied`); False when none can be set."""
        cell = self._cell
        assert cell is not None
        words: tuple[bool, ...] = getattr(cell, field)
        if all(words):
            return False
        index = words.index(False)
        if not self._set(self._cell_addr + offset + 4 * index):
            return False
        words = (*words[:index], True, *words[index + 1 :])
        self._cell = replace(cell, spent=words) if field == "spent" else replace(cell, copied=words)
        return True

    def _leave_tail(self, choice: Decision, descriptor: SlotDescriptor) -> None:
        trial = choice.why is BootReason.TRIAL
        left = self._cell.attempts - sum(self._cell.spent) if trial and self._cell is not None else 0
        tail = rtc.Tail(
            slot=choice.slot,
            trial=trial,
            attempts_left=left,
            why=choice.why,
            counter=descriptor.counter,
            reset_reason=self._reset_reason,
            reached_at=self._cell_addr + journal.REACHED_OFFSET if trial else 0,
            schedule=self._before.schedule if self._before is not None else 0,
        )
        self._soc.rtc[_TAIL] = tail.pack()
        if self._before is None:
            self._soc.rtc[_RETAINED] = bytes(rtc.RETAINED_BYTES)
        self._soc.rtc[_SEEN_MARK] = rtc.MAGIC

    def _set(self, addr: int) -> bool:
        """Set an open word; True when it reads back."""
        return self._write_back(addr, _SET)

    def _write_back(self, addr: int, data: bytes) -> bool:
        self._soc.rom_write(addr, data, _ACTOR)
        return self._soc.rom_read(addr, len(data)) == data

    def _say(self, slot: str, counter: int, why: int, outcome: BootOutcome) -> None:
        self._console.append(f"slotboot: {slot} counter {counter} why {int(why)} error {int(outcome)}")


def _md5_is_right(data: bytes) -> bool:
    """Whether a stock image, of whole words, ends with the MD5 of what is before but for its first
    word.
    """
    end = len(data) - _MD5_BYTES
    return not end % 4 and hashlib.md5(data[4:end], usedforsecurity=False).digest() == data[end:]
