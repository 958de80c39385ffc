"""Building a release: images checked against their boards, and the document about them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slotbench.boards import BoardProfile
from slotbench.boards.images import stock_image, user_images
from slotbench.errors import USAGE, BenchError
from slotbench.formats import SECTOR_BYTES, blocks
from slotbench.formats.descriptor import ImageForm
from slotbench.formats.image import Image, may_start_at, parse_e9
from slotbench.formats.image_ea import UserImage, parse_ea
from slotbench.formats.release import VERSION_CHARS_MAX, ImageRef, Release
from slotbench.formats.segments import form_of
from slotbench.release import store
from slotbench.release.micropython import Implied, implied


@dataclass(frozen=True, slots=True)
class _ImageSummary:
    """What the images say: their entries in the document, the filesystem start, and what else they tell."""

    images: dict[str, ImageRef]
    fs_start: int
    version: str | None
    facts: Implied | None


def build(
    *images: bytes,
    product: str, boards: Sequence[BoardProfile], counter: int, created: int,
    channels: Sequence[str] = ("stable",), version: str | None = None,
    fs_start: int | None = None, fs_version: int | None = None, fs_upgrade: bool = False,
    mpy_abi: int | None = None, floor: int = 0, notes: str = "",
) -> Release:
    """The release of firmware `images`, checked for every one of `boards`: one image for both slots; for
    boards that run it in place one for slot A and one for slot B, in this order.

    Nothing is written or signed.

    What is None is taken from the image when its bytes tell; native firmware has neither filesystem
    nor .mpy version, and 0 says so. `created` is Unix seconds. Raises FormatError when an image is not
    a whole ESP8266 image or a field is out of its range, BenchError when it does not fit a board or
    slot or has to be told.
    """
    if len({board.layout for board in boards}) > 1:
        raise BenchError(
            f"{', '.join(board.name for board in boards)} run their slots in different ways",
            do="build a release for each", exit_code=USAGE)
    if boards[0].in_place:
        _refuse_micropython({"--fs-start": fs_start, "--fs-version": fs_version, "--mpy-abi": mpy_abi})
        firmware = _native(images, boards)
    else:
        firmware = _stock(images, boards, fs_start)
    release = Release(
        product=product, boards=tuple(board.name for board in boards), channels=tuple(channels),
        version=_version(version, firmware.version), counter=counter, created=created,
        images=firmware.images, fs_start=firmware.fs_start,
        fs_version=_told(
            fs_version, firmware.facts, "fs_version", "--fs-version, e.g. 0x20001 for littlefs 2.1"),
        fs_upgrade=fs_upgrade,
        mpy_abi=_told(mpy_abi, firmware.facts, "mpy_abi", "--mpy-abi, e.g. 6"),
        floor=floor, notes=notes,
    )
    release.to_payload()
    return release


def parse_image(data: bytes) -> Image | UserImage:
    """An image of either form, checked. Raises FormatError with the offset of what is wrong."""
    return parse_ea(data) if form_of(data) is ImageForm.EA else parse_e9(data)


def _stock(images: Sequence[bytes], boards: Sequence[BoardProfile], fs_start: int | None) -> _ImageSummary:
    """One of MicroPython's images, for both slots."""
    if len(images) != 1:
        raise BenchError(
            f"{len(images)} images given; {boards[0].name} runs the same image from both slots",
            do="give one", exit_code=USAGE)
    data = images[0]
    image = stock_image(data, boards[0])
    start = _filesystem_start(data, image, fs_start)
    for board in boards:
        stock_image(data, board)
        _check_filesystem(start, board)
    refs = {"any": _ref(data, ImageForm.E9)}
    return _ImageSummary(refs, start, image.micropython, implied(image.micropython or ""))


def _native(images: Sequence[bytes], boards: Sequence[BoardProfile]) -> _ImageSummary:
    """A user image for each slot."""
    for board in boards:
        user_images(images, board)
        for slot in (0, 1):
            if board.irom_address(slot) != boards[0].irom_address(slot):
                raise BenchError(
                    f"slot {'AB'[slot]} of {board.name} runs at 0x{board.irom_address(slot):08x}, "
                    f"of {boards[0].name} at 0x{boards[0].irom_address(slot):08x}",
                    do="build a release for each", exit_code=USAGE)
    refs = {key: _ref(data, ImageForm.EA) for key, data in zip("ab", images)}
    return _ImageSummary(refs, 0, None, Implied(mpy_abi=0, fs_version=0))


def _ref(data: bytes, form: ImageForm) -> ImageRef:
    sha256 = hashlib.sha256(data).hexdigest()
    table_sha256 = blocks.digest(blocks.table(data)).hex()
    return ImageRef(
        url=store.image_name(sha256), length=len(data), sha256=sha256,
        blocks=table_sha256, blocks_url=store.blocks_name(table_sha256), form=form,
    )


def _refuse_micropython(told: Mapping[str, int | None]) -> None:
    for flag, value in told.items():
        if value:
            raise BenchError(
                "native firmware has neither filesystem nor .mpy version", where=f"{flag} {value}",
                do=f"leave out {flag}", exit_code=USAGE)


def _filesystem_start(data: bytes, image: Image, told: int | None) -> int:
    """The filesystem start that was told or derived; a told one must not contradict the image."""
    if told is None:
        if image.fs_start is None:
            raise BenchError(
                "the image does not tell where its filesystem starts",
                do="give --fs-start: 0x100000 for MicroPython's default build, 0x99000 for FLASH_1M",
                exit_code=USAGE)
        return image.fs_start
    if told % SECTOR_BYTES or told < image.length:
        raise BenchError(
            f"filesystem start 0x{told:x} is not a sector behind the image (0x{image.length:x} bytes)",
            do="check --fs-start")
    if image.fs_start not in (None, told) and not may_start_at(data, told):
        raise BenchError(
            f"filesystem start 0x{told:x} is not the image's (0x{image.fs_start:x})",
            do="leave out --fs-start")
    return told


def _check_filesystem(fs_start: int, board: BoardProfile) -> None:
    if fs_start != board.fs_start:
        raise BenchError(
            f"filesystem of the image starts at 0x{fs_start:x}, of {board.name} at 0x{board.fs_start:x}",
            do="use the build for that flash layout: its boot code would not find the files")


def _version(told: str | None, found: str | None) -> str:
    if told is not None:
        return told
    if found is None:
        raise BenchError("the image does not tell its version", do="give --version", exit_code=USAGE)
    return found[:VERSION_CHARS_MAX]


def _told(value: int | None, facts: Implied | None, name: str, flag: str) -> int:
    if value is not None:
        return value
    if facts is None:
        raise BenchError(f"the image does not tell its {name}", do=f"give {flag}", exit_code=USAGE)
    return int(getattr(facts, name))
