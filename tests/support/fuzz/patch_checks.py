"""What must hold of a board that takes any bytes for a patch."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from slotbench.formats import FormatError, blocks
from slotbench.formats.patch import HEADER_BYTES, PatchHeader, apply_patch
from slotbench.vboard.vm import CPythonVM
from support.device.board import BOARD, VECTORS, DeviceBoard

__all__ = ["NEW", "OLD", "PatchBody", "PatchedBoard", "any_patch", "packed"]

RUNNING, SPARE = BOARD.slots
OLD, NEW = ((VECTORS / "patches" / f"{name}.bin").read_bytes() for name in ("old", "new"))
_STEPS = 100
"""More than an image of two blocks takes."""


class PatchBody:
    """A response whose body is a patch, all of which is there."""

    def __init__(self, data: bytes) -> None:
        self.data, self.got = data, 0

    def wait_ms(self, size: int = 0) -> None:
        self.got = 0

    def fill(self, views: Any) -> bool:
        for view in views:
            part, self.data = self.data[: len(view)], self.data[len(view) :]
            view[: len(part)] = part
            self.got += len(part)
        return True


class PatchedBoard:
    """A board that runs OLD and is about to make NEW from a patch; `whole`: from one that needs no old image."""

    def __init__(self, device: DeviceBoard, vm: CPythonVM, patch: bytes, *, whole: bool = False) -> None:
        self.device = device
        device.put_slot(0, OLD, counter=5)
        device.flash.poke(RUNNING.image.start, OLD)
        device.flash.poke(SPARE.table.start, blocks.table_sector(blocks.block_table(NEW)))
        device.flash.poke(SPARE.image.start, b"\xff" * 4096 * 3)
        scan: Any = vm.import_("twoslot.image.scan")
        self.decoder: Any = vm.import_("twoslot.patch.blocks")
        place = (
            SPARE.image.start, SPARE.table.start, RUNNING.image.start, RUNNING.table.start, RUNNING.descriptor.start)
        self.progress = scan.start(place, {"length": len(NEW)})
        for block in range(self.progress["blocks"]):
            scan.check_block(self.progress, block)
        self.agent = SimpleNamespace(
            progress=self.progress, plan={"ways": 2 if whole else 1}, place=place, response=PatchBody(patch), request=None,
            source=SimpleNamespace(close=lambda agent: None), stage="twoslot.patch.blocks", written=0, tries=0,
            waiting=False)

    def make(self) -> bool:
        """Take the patch to its end, within so many steps; whether that made the image."""
        for _ in range(_STEPS):
            self.decoder.step(self.agent)
            if self.agent.stage != "twoslot.patch.blocks":
                return not self.progress["left"]
        raise AssertionError("an endless patch")

    def image(self) -> bytes:
        """What is in the spare slot."""
        return self.device.flash.peek(SPARE.image.start, len(NEW))


def any_patch(device: DeviceBoard, vm: CPythonVM, patch: bytes) -> None:
    """The board makes the image exactly when the bench's codec does, writes nothing outside the image, and counts
    only blocks that are the release's.
    """
    made = PatchedBoard(device, vm, patch)
    outside = device.flash.peek(0, SPARE.image.start), device.flash.peek(SPARE.image.start + 8192, 4096)
    is_right = _makes_the_image(patch)
    assert made.make() == is_right
    assert outside == (device.flash.peek(0, SPARE.image.start), device.flash.peek(SPARE.image.start + 8192, 4096))
    image = made.image()
    for block in range(made.progress["blocks"]):
        if not made.progress["missing"][block >> 3] >> (block & 7) & 1:
            span = slice(block * 4096, (block + 1) * 4096)
            assert image[span] == NEW[span], f"block {block} is another one"


def _makes_the_image(patch: bytes) -> bool:
    """By the bench's codec; it may stop behind the last byte, as the board does."""
    try:
        return apply_patch(OLD, patch) == NEW
    except FormatError:
        return False


def packed(stream: bytes) -> bytes:
    """A patch with these numbers and bytes, in stored blocks of a deflate stream."""
    data = PatchHeader(10, len(OLD), len(NEW)).pack()
    assert len(data) == HEADER_BYTES
    for at in range(0, len(stream) or 1, 0xFFFF):
        part = stream[at:at + 0xFFFF]
        last = at + len(part) >= len(stream)
        data += bytes([last]) + len(part).to_bytes(2, "little") + (len(part) ^ 0xFFFF).to_bytes(2, "little") + part
    return data
