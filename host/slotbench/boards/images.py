"""Checks that an image can run from a slot of a board: its form, its length and its link address."""

from __future__ import annotations

from collections.abc import Sequence

from slotbench.boards.model import BoardProfile
from slotbench.errors import USAGE, BenchError
from slotbench.formats.descriptor import ImageForm
from slotbench.formats.image import Image, parse_e9
from slotbench.formats.image_ea import LINK_ADDRESSES, UserImage, irom_address, parse_ea
from slotbench.formats.segments import form_of


def stock_image(data: bytes, board: BoardProfile) -> Image:
    """Parse the E9 image `data` for both slots of a `board` with an exec window.

    Raises FormatError if it is not whole, BenchError if it has the other form or is too long.
    """
    if form_of(data) is not ImageForm.E9:
        raise BenchError(
            f"the image is an EA user image; {board.name} runs MicroPython's E9 images from an exec window",
            cure="use a MicroPython .bin, or a board with an in-place map")
    image = parse_e9(data)
    _check_length(image.length, "image", board)
    return image


def user_image(data: bytes, board: BoardProfile, slot: int) -> UserImage:
    """Parse the user image `data` for `slot` of a `board` that runs images in place.

    Raises FormatError if it is not whole, BenchError if it has the other form, is too long, or was linked for
    another address. An image that does not show its link address is accepted.
    """
    name = f"user{slot + 1} image"
    if form_of(data) is not ImageForm.EA:
        raise BenchError(
            f"{name} is an E9 image, like MicroPython's; {board.name} runs EA user images in place",
            cure="give the user1.bin and user2.bin of native firmware")
    image = parse_ea(data)
    _check_length(image.length, name, board)
    wanted, other = board.irom_address(slot), board.irom_address(1 - slot)
    linked = irom_address(data, image.irom_bytes, (wanted, other, *LINK_ADDRESSES))
    if linked is not None and linked != wanted:
        raise BenchError(
            f"{name} is linked for 0x{linked:08x}, slot {'AB'[slot]} of {board.name} runs at 0x{wanted:08x}",
            cure="give user1.bin first, user2.bin second" if linked == other
            else "link it for this flash map")
    return image


def user_images(images: Sequence[bytes], board: BoardProfile) -> tuple[UserImage, ...]:
    """Parse the user images for slot A and slot B of a `board` that runs images in place.

    Raises FormatError and BenchError as `user_image` does, and BenchError unless they are two different ones.
    """
    if len(images) != 2:
        count = "one image" if len(images) == 1 else f"{len(images)} images"
        raise BenchError(
            f"{count} given; {board.name} runs images in place and needs one linked for each slot",
            cure="give user1.bin and user2.bin", exit_code=USAGE)
    if images[0] == images[1]:
        raise BenchError(
            f"both images are the same; slot A of {board.name} runs at 0x{board.irom_address(0):08x}, "
            f"slot B at 0x{board.irom_address(1):08x}",
            cure="link the firmware for each: user1.bin and user2.bin")
    return tuple(user_image(data, board, slot) for slot, data in enumerate(images))


def _check_length(length: int, name: str, board: BoardProfile) -> None:
    if length > board.slot_bytes:
        raise BenchError(
            f"{name} has {length} bytes, a slot of {board.name} takes {board.slot_bytes}",
            cure="use a smaller build")
