"""A virtual board that is one file: the whole flash of a chip, as in a dump."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from slotbench.boards import BoardProfile
from slotbench.errors import USAGE, BenchError
from slotbench.locks import LockedElsewhere, hold_lock
from slotbench.vboard.clock import Clock
from slotbench.vboard.flash.nor import NorFlash
from slotbench.vboard.live.made_here import has_mark, mark

__all__ = ["FlashFile"]


@dataclass(frozen=True, slots=True)
class FlashFile:
    """The flash of a board of this `profile` in the file `path`: for a runner what a BoardFolder
    is.

    Its files are in its flash alone. No dump has the chip's unique id, so that is made of the path.
    """

    path: Path
    profile: BoardProfile

    @property
    def flash_path(self) -> Path:
        """The file."""
        return self.path

    @property
    def unique_id(self) -> bytes:
        """4 bytes, the same for the same path."""
        return hashlib.sha256(os.fsencode(self.path.resolve())).digest()[:4]

    @property
    def is_own(self) -> bool:
        """Whether a board that ran here left the file as it is."""
        return has_mark(self.path.read_bytes())

    def mark_own(self) -> None:
        """Remember that the file is as a board that ran here left it."""
        mark(self.path.read_bytes())

    def make_erased(self) -> None:
        """Make the file of an erased chip. Raises BenchError (exit code 2)."""
        NorFlash(self.profile.chip_bytes).dump(self.path)
        self.mark_own()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the file: one process for each board. Raises BenchError (exit code 2) if another
        process holds it.
        """
        # Not the file itself: saving replaces it.
        held_path = self.path.with_name(f".{self.path.name}.lock")
        try:
            with hold_lock(held_path, wait=False):
                try:
                    yield
                finally:
                    with suppress(OSError):  # Windows removes no file that is open
                        held_path.unlink()
        except LockedElsewhere:
            raise BenchError(
                "this board runs already", where=str(self.path), cure="end it with Ctrl-C where it runs",
                exit_code=USAGE) from None

    def load_flash(self, clock: Clock) -> NorFlash:
        """The flash; `NorFlash.save` writes it back. Raises BenchError: missing, unreadable, wrong
        size.
        """
        return NorFlash(self.profile.chip_bytes, self.path, clock=clock, log=False)

    def load_files(self) -> dict[str, bytes]:
        """None: they are in the flash."""
        return {}

    def files_to_import(self, files: dict[str, bytes], flash: NorFlash) -> dict[str, bytes]:
        """None."""
        return {}

    def export_files(self, before: Mapping[str, bytes], files: Mapping[str, bytes], flash: NorFlash) -> None:
        """Nothing to do: they are in the flash."""
