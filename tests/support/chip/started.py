"""Boards whose SDK has started once: then a start takes 3 million instructions, where the first of all takes 200.

At its first start the SDK computes its access point's key (4096 rounds) and writes it behind the filesystem. Tests of
what comes later begin with flash that has it. It is what the firmware itself wrote, for the same MAC, on a board that was
made in the same way.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator
from typing import Final

import pytest

from slotbench.boards import BoardProfile
from slotbench.prove.chip.bed import ChipBed
from slotbench.vboard.chip.board import ChipBoard
from slotbench.vboard.flash.nor import SECTOR, NorFlash

UNIQUE_ID: Final = b"\x01\x02\x03"
_SECTORS: Final = 5
"""At the end of what the SDK sees: parameters, radio data."""
_LIMIT_US: Final = 30_000_000
_SLICE_US: Final = 100_000
_known: Final[dict[tuple[str, str, bytes], list[tuple[int, bytes]]]] = {}


def let_it_have_started(profile: BoardProfile, flash: NorFlash, image: bytes, unique_id: bytes = UNIQUE_ID) -> None:
    """Put into the flash of a new board, which starts `image`, what the SDK writes at its first start."""
    key = (profile.name, hashlib.sha256(image).hexdigest(), unique_id)
    if key not in _known:
        _known[key] = list(_written(profile, flash.clone(), unique_id))
    for offset, data in _known[key]:
        flash.poke(offset, data)


def _written(profile: BoardProfile, flash: NorFlash, unique_id: bytes) -> Iterator[tuple[int, bytes]]:
    """The sectors of the SDK that a start of this board changes."""
    said = bytearray()
    end = profile.visible_bytes
    places = range(end - _SECTORS * SECTOR, end, SECTOR)
    before = [flash.peek(place, SECTOR) for place in places]
    board = ChipBoard(profile, flash, unique_id=unique_id, connected=False, on_text=said.extend)
    board.power_on()
    while b">>> " not in said and board.us < _LIMIT_US:
        board.run(board.us + _SLICE_US)
    board.power_off()
    for place, old in zip(places, before):
        if (new := flash.peek(place, SECTOR)) != old:
            yield place, new


@pytest.fixture(autouse=True)
def started_boards(monkeypatch: pytest.MonkeyPatch) -> None:
    """The boards of a ChipBed have started before, in the tests of a folder whose conftest imports this."""
    made: Callable[..., NorFlash] = ChipBed.flash

    @functools.wraps(made)
    def flash(self: ChipBed, image: bytes | None = None) -> NorFlash:
        new = made(self, image)
        let_it_have_started(self.profile, new, self.image if image is None else image)
        return new

    monkeypatch.setattr(ChipBed, "flash", flash)
