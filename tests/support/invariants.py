"""What must always hold, in nine words or less each: checked at every hand-over from loader to firmware."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping

from slotbench.formats.image import parse_e9
from slotbench.formats.image_ea import parse_ea
from slotbench.formats.journal import Cell, Report, SlotState
from slotbench.formats.rtc import Why
from slotbench.vboard.board import Boot, State, VirtualBoard

ATTEMPTS = 3


def image_for(images: bytes | tuple[bytes, ...], slot: int) -> bytes:
    """The image of a release that a slot takes."""
    return images if isinstance(images, bytes) else images[slot]


class Invariants:
    """Called as a board's `on_boot`. `images` are all that were ever signed, by counter: one, or that of
    slot A and that of slot B.

    A failure names the invariant by its number in design 9.
    """

    def __init__(self, images: Mapping[int, bytes | tuple[bytes, ...]]) -> None:
        self.images = images
        self.boots = 0
        self.trials: Counter[tuple[int, int]] = Counter()

    def begin(self, board: VirtualBoard) -> None:
        """Remember what must not change."""
        self.files = dict(board.files)
        self.untouched = {
            name: (region, board.flash.peek(region.start, region.size))
            for name, region in (("filesystem", board.board.filesystem), ("loader", board.board.loader))
        }

    def __call__(self, board: VirtualBoard, boot: Boot) -> None:
        self.boots += 1
        assert board.state is not State.DEAD, "1: some slot boots"
        self.runs_what_was_signed(board, boot)
        cell = board.cell
        if cell is not None:
            counter = self._counter(board, boot)
            assert counter >= cell.floor, f"3: counter {counter} is below the floor {cell.floor}"
            self.trials_are_bounded(boot, cell, counter)
            self.reports_what_is_so(board, cell)
        self.leaves_the_user_alone(board)

    def runs_what_was_signed(self, board: VirtualBoard, boot: Boot) -> None:
        """Invariant 2: RAM and irom are what a plain flash of the signed image gives."""
        result = board.result
        assert result is not None
        signed = self.images.get(self._counter(board, boot))
        assert signed is not None, "2: what runs was signed"
        image = image_for(signed, boot.slot)
        descriptor = board.descriptor(boot.slot)
        digest = hashlib.sha256(image).digest()
        assert descriptor is not None and descriptor.sha256 == digest, "2: what runs is what is described"
        parsed = parse_ea(image) if board.board.in_place else parse_e9(image)
        ram = tuple((segment.address, segment.data) for segment in parsed.segments)
        assert result.segments == ram, "2: RAM holds the signed image"
        irom = image[parsed.irom_offset : parsed.irom_offset + parsed.irom_bytes]
        assert board.irom() == irom, "2: what executes from flash is the signed image's irom"
        assert result.irom_address == board.board.irom_address(boot.slot), "2: the CPU sees it there"
        if board.board.in_place:
            assert result.irom_address == parsed.irom_address, "2: it was linked for where it is"
            assert result.irom.start in board.board.slots[boot.slot].image, "2: the slot's own bytes execute"

    def trials_are_bounded(self, boot: Boot, cell: Cell, counter: int) -> None:
        """Invariant 4: an unconfirmed release runs at most three times a round, unless nothing else boots."""
        state = cell.states[boot.slot]
        confirmed = state is SlotState.CONFIRMED or (
            state is SlotState.READY and cell.active == boot.slot and cell.confirmed
        )
        if boot.why is Why.TRIAL:
            rounds = cell.rounds if cell.unproven_counter == counter else 0
            self.trials[counter, rounds] += 1
            assert self.trials[counter, rounds] <= ATTEMPTS, "4: unconfirmed, and started a fourth time"
        elif boot.why in (Why.ORDINARY, Why.FALLBACK):
            assert confirmed, f"4: unconfirmed, and started as {boot.why.name}"

    def reports_what_is_so(self, board: VirtualBoard, cell: Cell) -> None:
        """Invariant 7: the pending report is true."""
        about = cell.report_counter
        if cell.report is Report.CONFIRMED:
            slots = [slot for slot in (0, 1) if cell.counters[slot] == about]
            confirmed = [slot for slot in slots if cell.states[slot] is SlotState.CONFIRMED]
            gone = about not in cell.counters
            assert confirmed or gone, f"7: {about} is reported as confirmed and is not"
        elif cell.report is Report.BAD:
            assert cell.bad_counter >= about, f"7: {about} is reported as bad and is not banned"
        elif cell.report is Report.UNPROVEN:
            assert cell.unproven_counter == about, f"7: {about} is reported as unproven and is not"

    def leaves_the_user_alone(self, board: VirtualBoard) -> None:
        """Invariant 5: files and settings of the user are untouched, and so is the loader."""
        assert board.files == self.files, "5: files are untouched"
        for name, (region, content) in self.untouched.items():
            assert board.flash.peek(region.start, region.size) == content, f"5: the {name} is untouched"

    @staticmethod
    def _counter(board: VirtualBoard, boot: Boot) -> int:
        descriptor = board.descriptor(boot.slot)
        assert descriptor is not None, "2: what runs has a descriptor"
        return descriptor.counter
