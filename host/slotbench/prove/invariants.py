"""The promises that must always hold, checked whenever the loader starts a firmware."""

from __future__ import annotations

import hashlib
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, TypeAlias

from slotbench.boards import Region
from slotbench.formats import FormatError
from slotbench.formats.application_record import FILES, FOLDERS, LIST_PART, PART, WHY
from slotbench.formats.image import parse_e9
from slotbench.formats.image_ea import parse_ea
from slotbench.formats.journal import KEYS_DIGEST_BYTES, JournalCell, Report, SlotState
from slotbench.formats.keys import unpack_pinned
from slotbench.formats.release import is_development
from slotbench.formats.rtc import BootReason
from slotbench.vboard.board import BoardState, Boot, VirtualBoard
from slotbench.vboard.factory import BOOT_LINE

__all__ = ["ATTEMPTS", "OF_TWOSLOT", "Broken", "Image", "Images", "Invariants", "image_for", "require"]

ATTEMPTS: Final = 3
_BOOT: Final = "/boot.py"
_COPIES: Final = ("/twoslot.keys", "/twoslot.keys2")
OF_TWOSLOT: Final = (*_COPIES, "/twoslot.keys.part", "/twoslot.etag")
"""Files that an update may change: the copies of the pinned keys, one that is being written, and the
known head.
"""

Image: TypeAlias = bytes | tuple[bytes, ...]
"""The image of a release: one for both slots, or that of slot A and that of slot B."""

Images: TypeAlias = Mapping[int, Image]
"""All images that were ever signed, by counter."""


class Broken(AssertionError):
    """A promise does not hold; `number` is its number in class Invariants."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(number, text)
        self.number = number

    def __str__(self) -> str:
        return f"{self.number}: {self.args[1]}"


def require(holds: object, number: int, text: str) -> None:
    """Raise Broken unless `holds` is true."""
    if not holds:
        raise Broken(number, text)


def image_for(images: Image, slot: int) -> bytes:
    """The image of a release that a slot takes."""
    return images if isinstance(images, bytes) else images[slot]


class Invariants:
    """Called as a board's `on_boot`. A failure names the promise by its number:

    1 some slot boots, 2 what runs was signed and verified, 3 the counter never goes below the
    floor, 4 an unconfirmed release runs at most three times, 5 files and settings of the user are
    untouched, 6 the board comes to rest, 7 reports are true, 11 a proven release is not given up,
    12 one copy of the pinned keys is right and not older than the journal's epoch. (Whoever runs
    the board checks 6; the power-cut proof checks 8 to 10.)
    """

    def __init__(self, images: Images) -> None:
        self.images = images
        self.boots = 0
        self.trials: Counter[tuple[int, int, int]] = Counter()
        self.files: dict[str, bytes] = {}
        self.pinned = False
        self.untouched: dict[str, tuple[Region, tuple[bytes, ...]]] = {}

    def begin(self, board: VirtualBoard) -> None:
        """Remember what must not change."""
        self.files = _of_the_user(board.files)
        self.pinned = any(_epoch(board.files[name]) for name in _COPIES if name in board.files)
        regions = {"filesystem": board.profile.filesystem, "loader": board.profile.loader}
        self.untouched = {
            name: (region, board.flash.sectors(region.start, region.size))
            for name, region in regions.items()}

    def go_on_from(self, other: Invariants) -> None:
        """Take over what `other` remembers: this board has the same past."""
        self.trials = other.trials.copy()
        self.files, self.untouched, self.pinned = other.files, other.untouched, other.pinned

    def __call__(self, board: VirtualBoard, boot: Boot) -> None:
        self.boots += 1
        require(board.state is not BoardState.DEAD, 1, "some slot boots")
        self.runs_what_was_signed(board, boot)
        cell = board.cell
        if cell is not None:
            counter = self._counter(board, boot)
            require(counter >= cell.floor, 3, f"counter {counter} is below the floor {cell.floor}")
            self.trials_are_bounded(board, boot, cell, counter)
            self.reports_what_is_so(cell)
            self.keeps_its_keys(board, boot, cell)
            self.keeps_what_was_proven(board, boot, cell)
        self.leaves_the_user_alone(board)

    def runs_what_was_signed(self, board: VirtualBoard, boot: Boot) -> None:
        """Promise 2: RAM and irom are the same as if the signed image had been flashed plainly."""
        result = board.result
        assert result is not None
        signed = self.images.get(self._counter(board, boot))
        if signed is None:
            raise Broken(2, "what runs was signed")
        image = image_for(signed, boot.slot)
        digest, ram, irom, linked = _expected(image, board.profile.in_place)
        descriptor = board.descriptor(boot.slot)
        require(descriptor is not None and descriptor.sha256 == digest, 2, "what runs is what is described")
        require(result.segments == ram, 2, "RAM holds the signed image")
        require(board.irom() == irom, 2, "what executes from flash is the signed image's irom")
        require(result.irom_address == board.profile.irom_address(boot.slot), 2, "the CPU sees it there")
        if board.profile.in_place:
            require(result.irom_address == linked, 2, "it was linked for where it is")
            inside = result.irom.start in board.profile.slots[boot.slot].image
            require(inside, 2, "the slot's own bytes execute")

    def trials_are_bounded(self, board: VirtualBoard, boot: Boot, cell: JournalCell, counter: int) -> None:
        """Promise 4: an unconfirmed release runs at most three times a round, unless nothing else
        boots.
        """
        state = cell.states[boot.slot]
        confirmed = state is SlotState.CONFIRMED or (
            state is SlotState.READY and cell.active == boot.slot and cell.confirmed
        )
        if boot.why is BootReason.TRIAL:
            rounds = cell.rounds if cell.unproven_counter == counter else 0
            # A newer head begins the rounds anew.
            this_round = counter, rounds, cell.head_seq
            self.trials[this_round] += 1
            require(self.trials[this_round] <= ATTEMPTS, 4, "unconfirmed, and started a fourth time")
        elif boot.why in (BootReason.ORDINARY, BootReason.FALLBACK):
            require(confirmed or _unsure(board), 4, f"unconfirmed, and started as {boot.why.name}")

    def reports_what_is_so(self, cell: JournalCell) -> None:
        """Promise 7: the pending report is true."""
        about = cell.report_counter
        if cell.report is Report.CONFIRMED:
            slots = [slot for slot in (0, 1) if cell.counters[slot] == about]
            confirmed = [slot for slot in slots if cell.states[slot] is SlotState.CONFIRMED]
            gone = about not in cell.counters
            require(confirmed or gone, 7, f"{about} is reported as confirmed and is not")
        elif cell.report is Report.BAD:
            banned = cell.bad_counter >= about or is_development(about)
            require(banned, 7, f"{about} is reported as bad and is not banned")
        elif cell.report is Report.UNPROVEN:
            unproven = cell.unproven_counter == about or is_development(about)
            require(unproven, 7, f"{about} is reported as unproven and is not")

    def keeps_its_keys(self, board: VirtualBoard, boot: Boot, cell: JournalCell) -> None:
        """Promise 12: one copy of the pinned keys is right and not older than the journal's epoch;
        it is the document that the journal means. In a trial it is not newer either.
        """
        if not self.pinned:
            return
        if any(cell.keys_digest):
            digests = {_digest(board.files[name]) for name in _COPIES if name in board.files}
            require(cell.keys_digest in digests, 11, "no copy is the keys document that the journal means")
        newest = max((_epoch(board.files[name]) for name in _COPIES if name in board.files), default=0)
        wanted = max(1, cell.key_epoch)
        require(newest >= wanted, 11, f"keys of epoch {wanted} are pinned, and not of {newest}")
        # The trial may have ended although the cell that says so reads differently now.
        unsure = any(word in board.profile.journal for word in board.flash.weak)
        if boot.why is BootReason.TRIAL and not unsure:
            require(newest == wanted, 11, f"keys of epoch {newest} were not pinned in a trial")

    def keeps_what_was_proven(self, board: VirtualBoard, boot: Boot, cell: JournalCell) -> None:
        """Promise 11: a confirmed release is left only after a verdict, or if the window can no
        longer be written, which happens on worn flash.
        """
        left = cell.active
        if boot.why is not BootReason.FALLBACK or left == boot.slot or board.flash.stuck or _unsure(board):
            return
        descriptor = board.descriptor(left)
        judged = cell.bad[left] or cell.states[left] is SlotState.BAD
        proven = descriptor is not None and descriptor.confirmed and descriptor.counter == cell.counters[left]
        require(judged or not proven, 11, "a release that had proven itself was given up without a verdict")

    def leaves_the_user_alone(self, board: VirtualBoard) -> None:
        """Promise 5: files and settings of the user are untouched, and so is the loader.

        Where the board's own littlefs has written to the filesystem, the files are what counts.
        """
        require(_of_the_user(board.files) == self.files, 5, "files are untouched")
        for name, (region, content) in self.untouched.items():
            if name == "filesystem" and board.soc.filesystem is not None:
                continue
            require(board.flash.sectors(region.start, region.size) == content, 5, f"the {name} is untouched")

    @staticmethod
    def _counter(board: VirtualBoard, boot: Boot) -> int:
        descriptor = board.descriptor(boot.slot)
        if descriptor is None:
            raise Broken(2, "what runs has a descriptor")
        return descriptor.counter


_APPLICATIONS = (*(f"/{name}/" for name in FOLDERS), *(f"/{name}" for name in (*FILES, PART, LIST_PART, WHY)))


def _of_the_user(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """All files except those in which twoslot keeps pinned keys, and the applications; boot.py without the
    hook's lines, which a board puts back.
    """
    users = {
        name: content for name, content in files.items()
        if name not in OF_TWOSLOT and not name.startswith(_APPLICATIONS)}
    line = BOOT_LINE.encode()
    boot = users.pop(_BOOT, b"").removeprefix(line + b"\n").removeprefix(BOM_UTF8)
    return {**users, _BOOT: boot.replace(line, b"")}


@lru_cache(maxsize=64)
def _epoch(copy: bytes) -> int:
    """The epoch of a copy of the pinned keys; 0 if the copy is damaged."""
    try:
        return unpack_pinned(copy).epoch
    except FormatError:
        return 0


@lru_cache(maxsize=64)
def _digest(copy: bytes) -> bytes:
    """What the journal holds of a copy of the pinned keys; empty if the copy is damaged."""
    if not _epoch(copy):
        return b""
    return hashlib.sha256(copy.split(b"\n")[0]).digest()[:KEYS_DIGEST_BYTES]


def _unsure(board: VirtualBoard) -> bool:
    """Whether the loader may have read a weak word differently than it reads now."""
    return any(word in board.profile.journal for word in board.flash.weak)


@lru_cache(maxsize=64)
def _expected(image: bytes, in_place: bool) -> tuple[bytes, tuple[tuple[int, bytes], ...], bytes, int | None]:
    """Digest, RAM, irom and the address of the irom of a signed image."""
    digest = hashlib.sha256(image).digest()
    if in_place:
        user = parse_ea(image)
        ram = tuple((segment.address, segment.data) for segment in user.segments)
        return digest, ram, image[user.irom_offset : user.irom_offset + user.irom_bytes], user.irom_address
    plain = parse_e9(image)
    ram = tuple((segment.address, segment.data) for segment in plain.segments)
    return digest, ram, image[plain.irom_offset : plain.irom_offset + plain.irom_bytes], None
