"""The flash operations of one update, and what is in the filesystem after a cut at each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from littlefs import LittleFSError

from slotbench.boards import Region
from slotbench.formats.littlefs import read_superblock
from slotbench.inspection.mounting import mount_littlefs, read_content
from slotbench.vboard.flash.cuts import Cut, CutMode
from slotbench.vboard.flash.nor import BLOCK, SECTOR, NorFlash
from slotbench.vboard.signals import PowerCut

__all__ = ["CutPoint", "ReplayableFlash", "UpdateRecording", "files_at"]

_TORN: tuple[int, ...] = (0, 1)
"""Seeds of what a torn operation leaves."""


class ReplayableFlash(NorFlash):
    """A flash that notes what is written and erased, once `begin` was called."""

    def __init__(self, image: NorFlash) -> None:
        super().__init__(image.size, log=False, clock=image.clock)
        self.copy_from(image)
        self.recording: UpdateRecording | None = None

    def begin(self) -> UpdateRecording:
        """Begin to note; the recording, which goes on until the flash is given up."""
        self.recording = UpdateRecording(self.clone())
        return self.recording

    def write(self, addr: int, data: bytes | bytearray | memoryview, actor: str = "cpu") -> None:
        """As in the base class."""
        if self.recording is not None:
            self.recording.operations.append((addr, bytes(data)))
        super().write(addr, data, actor)

    def erase(self, sector: int, actor: str = "cpu") -> None:
        """As in the base class."""
        if self.recording is not None:
            self.recording.operations.append((sector * SECTOR, None))
        super().erase(sector, actor)

    def erase_block(self, block: int, actor: str = "cpu") -> None:
        """As so many erases of a sector."""
        for sector in range(block * BLOCK // SECTOR, (block + 1) * BLOCK // SECTOR):
            self.erase(sector, actor)


@dataclass(frozen=True, slots=True)
class CutPoint:
    """A cut and the flash that it leaves."""

    cut: Cut
    flash: NorFlash


@dataclass(slots=True)
class UpdateRecording:
    """The flash before the update, and its operations: address, and data or None for an erase."""

    before: NorFlash
    operations: list[tuple[int, bytes | None]] = field(default_factory=list)
    _flashes: list[NorFlash] = field(default_factory=list)

    def cuts(self, every: int = 1) -> Iterator[CutPoint]:
        """A cut before, and inside of, every nth operation, torn in two ways; and one after the last."""
        for index in range(0, len(self.operations), every):
            for cut in (Cut(index, CutMode.BEFORE), *(Cut(index, CutMode.TORN, seed) for seed in _TORN)):
                yield CutPoint(cut, self.after(cut))
        yield CutPoint(Cut(len(self.operations), CutMode.BEFORE), self.flash_before(len(self.operations)))

    def flash_before(self, index: int) -> NorFlash:
        """What is there before this operation; after the last one, before the one that would follow."""
        while len(self._flashes) <= index:
            done = len(self._flashes)
            flash = self._flashes[-1].clone() if done else self.before.clone()
            if done:
                _apply(flash, self.operations[done - 1])
            self._flashes.append(flash)
        return self._flashes[index].clone()

    def after(self, cut: Cut) -> NorFlash:
        """What this cut leaves, with the power on again. Its seed is that of words that read differently."""
        flash = self.flash_before(cut.index)
        flash.seed = cut.seed
        flash.reset_counters()
        flash.arm(Cut(0, cut.mode, cut.seed))
        try:
            _apply(flash, self.operations[cut.index])
        except PowerCut:
            flash.power_on()
        return flash


def files_at(flash: NorFlash, place: Region) -> dict[str, bytes] | None:
    """The files by absolute path; None where the filesystem cannot be mounted or read."""
    data = flash.peek(place.start, place.size)
    found = read_superblock(data)
    if found is None:
        return None
    try:
        content = read_content(mount_littlefs(found.version, data))
    except LittleFSError:
        return None
    return {path: text for path, text in content.items() if text is not None}


def _apply(flash: NorFlash, operation: tuple[int, bytes | None]) -> None:
    addr, data = operation
    act: Callable[[], None] = (
        (lambda: flash.erase(addr // SECTOR)) if data is None else (lambda: flash.write(addr, data)))
    act()
