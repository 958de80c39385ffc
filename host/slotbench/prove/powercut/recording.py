"""A run remembered operation by operation, so that power can be cut at any of them without running
it again.

A board without power keeps its flash and nothing else. So what a cut leaves is the flash before the
operation, with this one operation not begun, torn, or done: made from the record in microseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from slotbench.prove.invariants import Invariants
from slotbench.vboard.flash.cuts import Cut, commit_happens
from slotbench.vboard.flash.nor import BLOCK, SECTOR, FlashOperation, NorFlash
from slotbench.vboard.signals import PowerCut

__all__ = ["RecordedOperation", "RecordingFlash"]


@dataclass(frozen=True, slots=True)
class RecordedOperation:
    """One operation, the flash right before it, what it programs (nothing of an erase), and the
    board's past: what its promises know, and bytes of images it received; its files before, and
    after the operation.
    """

    op: FlashOperation
    flash: NorFlash
    data: bytes
    past: Invariants
    received: int
    files: Mapping[str, bytes]
    files_after: Mapping[str, bytes]

    def files_at(self, cut: Cut) -> dict[str, bytes]:
        """The board's files as this cut leaves them."""
        return dict(self.files_after if commit_happens(cut) else self.files)

    def after(self, cut: Cut) -> NorFlash:
        """The flash, without power, as this cut leaves it; `cut.index` is the operation's own."""
        flash = self.flash.clone()
        flash.operations = self.op.index
        flash.arm(cut)
        try:
            if self.op.kind == "commit":
                flash.commit(lambda: None, self.op.length)
            elif self.op.kind == "erase" and self.op.length == BLOCK:
                flash.erase_block(self.op.addr // BLOCK, self.op.actor)
            elif self.op.kind == "erase":
                flash.erase(self.op.addr // SECTOR, self.op.actor)
            else:
                flash.write(self.op.addr, self.data, self.op.actor)
        except PowerCut:
            return flash.clone()
        raise AssertionError(f"the power was not cut at {cut}")


class RecordingFlash(NorFlash):
    """A flash that remembers each operation and what was there before."""

    moments: list[RecordedOperation]
    past: Callable[[], tuple[Invariants, int]]
    files: Callable[[], dict[str, bytes]]

    @classmethod
    def from_flash(cls, flash: NorFlash) -> RecordingFlash:
        """The same content; `past` and `files` are to be set before the first operation."""
        recording = cls(flash.size, timing=flash.timing, seed=flash.seed)
        recording.copy_from(flash)
        recording.moments = []
        return recording

    def write(self, addr: int, data: bytes | bytearray | memoryview, actor: str = "cpu") -> None:
        """Program, and remember."""
        before = self.clone() if data else None
        index = self.operations
        super().write(addr, data, actor)
        if before is not None:
            op = FlashOperation(index, "program", addr, len(data), actor)
            files = self.files()
            self.moments.append(RecordedOperation(op, before, bytes(data), *self.past(), files, files))

    def erase(self, sector: int, actor: str = "cpu") -> None:
        """Erase, and remember."""
        before, index = self.clone(), self.operations
        super().erase(sector, actor)
        self._remember_erase(before, FlashOperation(index, "erase", sector * SECTOR, SECTOR, actor))

    def erase_block(self, block: int, actor: str = "cpu") -> None:
        """Erase 64 KB, and remember."""
        before, index = self.clone(), self.operations
        super().erase_block(block, actor)
        self._remember_erase(before, FlashOperation(index, "erase", block * BLOCK, BLOCK, actor))

    def _remember_erase(self, before: NorFlash, op: FlashOperation) -> None:
        files = self.files()
        self.moments.append(RecordedOperation(op, before, b"", *self.past(), files, files))

    def commit(self, change: Callable[[], object], length: int) -> None:
        """Change the files, and remember."""
        files = self.files()
        index = self.operations
        super().commit(change, length)
        op = FlashOperation(index, "commit", -1, length, "python")
        self.moments.append(RecordedOperation(op, self.clone(), b"", *self.past(), files, self.files()))
