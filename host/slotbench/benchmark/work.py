"""What a board has to do to apply a patch: counted by decoding it as a board does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from slotbench.formats.blocks import BLOCK_BYTES
from slotbench.formats.patch import HEADER_BYTES, PatchDecoder, PatchHeader
from slotbench.formats.prediction import AddressMap

__all__ = ["PatchWork", "changed_blocks", "count_work"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchWork:
    """`operations` copy, `edits` change runs of bytes, `predictions` look up by how much something moved;
    `inflated` bytes come out of the deflate stream.
    """

    operations: int
    edits: int
    edited_bytes: int
    predictions: int
    inflated: int


def count_work(old: bytes, patch: bytes) -> PatchWork:
    """The work of a patch from `old`. Raises FormatError for one that is damaged."""
    looked_up = 0

    class CountingMap(AddressMap):
        """Counts what is looked up."""

        def shift(self, key: int) -> int:
            """By how much the thing at `key` moved."""
            nonlocal looked_up
            looked_up += 1
            return AddressMap.shift(self, key)

    decoder = PatchDecoder(old, PatchHeader.unpack(patch), patch[HEADER_BYTES:])
    decoder.map = CountingMap(decoder.map.keys, decoder.map.shifts)
    decoder.run()
    return PatchWork(
        operations=decoder.operations, edits=decoder.edits, edited_bytes=decoder.edited_bytes,
        predictions=looked_up, inflated=decoder.stream.place)


def changed_blocks(old: bytes, new: bytes) -> Sequence[int]:
    """The blocks of the new image that differ from those at the same place of the old one."""
    return [
        at // BLOCK_BYTES for at in range(0, len(new), BLOCK_BYTES)
        if new[at:at + BLOCK_BYTES] != old[at:at + BLOCK_BYTES]]
