"""Checks that an image can run from a slot of a board: its kind, its length and its link address."""

from __future__ import annotations

from collections.abc import Sequence

from slotbench.boards.model import BoardProfile
from slotbench.errors import USAGE, BenchError
from slotbench.formats.descriptor import ImageForm
from slotbench.formats.image import WINDOW_END
from slotbench.formats.image_ea import LINK_ADDRESSES, irom_address
from slotbench.images import Family, IdentifiedImage, identify, require_usable

__all__ = ["fitting_slots", "stock_image", "user_image", "user_images"]

_EQUAL_SHARE = 0.9
"""The share of bytes that are the same in a firmware linked for two addresses. Real pairs have 0.997."""


def stock_image(data: bytes, board: BoardProfile) -> IdentifiedImage:
    """Identify the E9 image `data` and check it for both slots of a `board` with an exec window.

    Raises FormatError if it is refused for what it is, BenchError if it has the other form, is too long,
    keeps its files in another place than the board, or has a boot.py that keeps the boot hook from running.
    """
    found = identify(data)
    if found.family is Family.NATIVE:
        raise BenchError(
            f"the image is an EA user image ({found.title}); {board.name} runs MicroPython's E9 images from "
            "an exec window", cure="use a MicroPython .bin, or a board with an in-place map")
    require_usable(found)
    _check_length(found.length, "image", board)
    if found.fs_start is not None and found.fs_start != board.fs_start:
        build = "default build, for 2 MiB or more" if board.fs_start >= WINDOW_END else "FLASH_1M build"
        raise BenchError(
            f"filesystem of the image ({found.title}) starts at 0x{found.fs_start:x}, that of {board.name} "
            f"at 0x{board.fs_start:x}",
            cure=f"use MicroPython's {build}; this one would not find the files")
    if found.hides_hook:
        raise BenchError(
            "its frozen boot.py runs instead of the file and does not run the boot hook: a trial would have "
            "no deadline",
            cure='begin that boot.py with __import__("twoslot_boot"), or freeze none and name it otherwise')
    return found


def user_image(data: bytes, board: BoardProfile, slot: int) -> IdentifiedImage:
    """Identify the user image `data` and check it for `slot` of a `board` that runs images in place.

    Raises FormatError if it is refused for what it is, BenchError if it has the other form, is too long, or
    was linked for another address. An image that does not show its link address is accepted.
    """
    name = f"user{slot + 1} image"
    found = identify(data)
    if found.form is ImageForm.E9:
        raise BenchError(
            f"{name} is an E9 image ({found.title}); {board.name} runs EA user images in place",
            cure="give the user1.bin and user2.bin of native firmware")
    require_usable(found)
    _check_length(found.length, name, board)
    wanted, other = board.irom_address(slot), board.irom_address(1 - slot)
    linked = irom_address(data, found.parsed.irom_bytes, (wanted, other, *LINK_ADDRESSES))
    if linked is not None and linked != wanted:
        raise BenchError(
            f"{name} ({found.title}) is linked for 0x{linked:08x}, slot {'AB'[slot]} of {board.name} runs at "
            f"0x{wanted:08x}",
            cure=f"give the image that is linked for slot {'AB'[slot]}" if linked == other
            else "link it for this flash map")
    return found


def user_images(images: Sequence[bytes], board: BoardProfile) -> tuple[IdentifiedImage, ...]:
    """Identify the user images for slot A and slot B of a `board` that runs images in place.

    Raises FormatError and BenchError as `user_image` does, and BenchError unless they are one firmware that
    was linked twice.
    """
    if len(images) != 2:
        count = "one image" if len(images) == 1 else f"{len(images)} images"
        raise BenchError(
            f"{count} given; {board.name} runs images in place and needs one linked for each slot",
            cure="give user1.bin and user2.bin", exit_code=USAGE)
    first, second = (require_usable(identify(data)) for data in images)
    at_a, at_b = (board.irom_address(slot) for slot in (0, 1))
    if images[0] == images[1]:
        raise BenchError(
            f"both images are the same; slot A of {board.name} runs at 0x{at_a:08x}, slot B at 0x{at_b:08x}",
            cure="link the firmware for each: user1.bin and user2.bin")
    if (first.link_address, second.link_address) == (at_b, at_a):
        raise BenchError(
            f"the images are in the wrong order: the first is {first.title}, the second {second.title}",
            cure="give user1.bin first, user2.bin second")
    if first.link_address == second.link_address == at_a != at_b:
        raise BenchError(
            f"both images ({first.title}) are linked for 0x{at_a:08x}, so they are a pair for a map of two "
            f"whole megabytes (1024+1024); slot B of {board.name} runs at 0x{at_b:08x}",
            cure="use the pair that the maker gives for this flash map, such as 512+512 for 1 MB")
    found = tuple(user_image(data, board, slot) for slot, data in enumerate(images))
    _check_pair(images, found)
    return found


def fitting_slots(data: bytes, board: BoardProfile) -> str:
    """The slots of `board` that the image can run from, as letters; empty if it can run from none, or the
    board has none.
    """
    fitting = ""
    if not board.has_loader:
        return fitting
    for slot, letter in enumerate("AB"):
        try:
            if board.in_place:
                user_image(data, board, slot)
            else:
                stock_image(data, board)
        except BenchError:
            continue
        fitting += letter
    return fitting


def _check_pair(images: Sequence[bytes], found: Sequence[IdentifiedImage]) -> None:
    """Raise BenchError unless both images are the same firmware, which differs in addresses only."""
    equal = sum(1 for one, other in zip(*images) if one == other)
    if len(images[0]) != len(images[1]) or equal < _EQUAL_SHARE * len(images[0]):
        raise BenchError(
            f"the images are no pair: {found[0].title} ({found[0].length} bytes) and {found[1].title} "
            f"({found[1].length} bytes) are different firmware",
            cure="give user1.bin and user2.bin of one build")


def _check_length(length: int, name: str, board: BoardProfile) -> None:
    if length > board.slot_bytes:
        raise BenchError(
            f"{name} has {length} bytes, {'a slot of ' if board.has_loader else ''}{board.name} takes "
            f"{board.slot_bytes}",
            cure="use a smaller build")
