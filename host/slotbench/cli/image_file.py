"""Firmware images that are named on the command line."""

from __future__ import annotations

from pathlib import Path

from slotbench.boards import BoardProfile
from slotbench.boards.images import stock_image, user_image
from slotbench.formats import FormatError
from slotbench.images import IdentifiedImage, identify, require_usable
from slotbench.release.files import read_bytes

__all__ = ["IMAGE_BYTES_MAX", "image_for_slot_a", "read_firmware", "read_image"]

IMAGE_BYTES_MAX = 16 * 1024 * 1024


def read_image(path: Path) -> bytes:
    """The bytes of an image. Raises BenchError if it cannot be read or is longer than any flash."""
    return read_bytes(path, IMAGE_BYTES_MAX)


def read_firmware(path: Path) -> bytes:
    """The bytes of a firmware image, checked as far as that is possible without a board.

    Raises BenchError as `read_image` does, FormatError if the file is refused for what it is.
    """
    data = read_image(path)
    try:
        require_usable(identify(data))
    except FormatError as error:
        raise error.within(str(path)) from None
    return data


def image_for_slot_a(data: bytes, board: BoardProfile, where: str) -> IdentifiedImage:
    """Identify an image and check it for slot A of `board`. `where` names it. Raises BenchError."""
    try:
        return user_image(data, board, 0) if board.in_place else stock_image(data, board)
    except FormatError as error:
        raise error.within(where) from None
