"""Building a release: its images are checked against the boards, then described in a document."""

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
from slotbench.release.micropython import ImpliedFacts, implied_facts


@dataclass(frozen=True, slots=True)
class _ImageSummary:
    """The facts from the images: their entries in the document, the filesystem start, the version."""

    images: dict[str, ImageRef]
    fs_start: int
    version: str | None
    facts: ImpliedFacts | None


def build_release(
    *images: bytes,
    product: str, boards: Sequence[BoardProfile], counter: int, created: int,
    channels: Sequence[str] = ("stable",), version: str | None = None,
    fs_start: int | None = None, fs_version: int | None = None, fs_upgrade: bool = False,
    mpy_abi: int | None = None, floor: int = 0, notes: str = "",
) -> Release:
    """Make the release of firmware `images` and check it for each of `boards`. Nothing is written or signed.

    `images` is one image for both slots. Boards that run images in place need one for slot A and one for
    slot B, in this order. `created` is Unix seconds. A value of None is taken from the image. Native firmware
    has neither filesystem nor .mpy version; these are 0. Raises FormatError if an image is not whole or a
    field is out of range, BenchError if an image does not fit a board or does not show a value.
    """
    if len({board.layout for board in boards}) > 1:
        raise BenchError(
            f"{', '.join(board.name for board in boards)} run their slots in different ways",
            cure="build a release for each board", exit_code=USAGE)
    if boards[0].in_place:
        _refuse_micropython_options(
            {"--fs-start": fs_start, "--fs-version": fs_version, "--mpy-abi": mpy_abi})
        firmware = _check_native_images(images, boards)
    else:
        firmware = _check_stock_image(images, boards, fs_start)
    release = Release(
        product=product, boards=tuple(board.name for board in boards), channels=tuple(channels),
        version=_choose_version(version, firmware.version), counter=counter, created=created,
        images=firmware.images, fs_start=firmware.fs_start,
        fs_version=_choose_fact(
            fs_version, firmware.facts, "fs_version", "--fs-version, e.g. 0x20001 for littlefs 2.1"),
        fs_upgrade=fs_upgrade,
        mpy_abi=_choose_fact(mpy_abi, firmware.facts, "mpy_abi", "--mpy-abi, e.g. 6"),
        floor=floor, notes=notes,
    )
    release.to_payload()
    return release


def parse_image(data: bytes) -> Image | UserImage:
    """Parse and check an image of either form. Raises FormatError with the offset of the mistake."""
    return parse_ea(data) if form_of(data) is ImageForm.EA else parse_e9(data)


def _check_stock_image(
    images: Sequence[bytes], boards: Sequence[BoardProfile], fs_start: int | None,
) -> _ImageSummary:
    """Check the one MicroPython image for both slots."""
    if len(images) != 1:
        raise BenchError(
            f"{len(images)} images given; {boards[0].name} runs the same image from both slots",
            cure="give one image", exit_code=USAGE)
    data = images[0]
    image = stock_image(data, boards[0])
    start = _choose_filesystem_start(data, image, fs_start)
    for board in boards:
        stock_image(data, board)
        _check_filesystem(start, board)
    refs = {"any": _image_ref(data, ImageForm.E9)}
    return _ImageSummary(refs, start, image.micropython, implied_facts(image.micropython or ""))


def _check_native_images(images: Sequence[bytes], boards: Sequence[BoardProfile]) -> _ImageSummary:
    """Check a user image for each slot."""
    for board in boards:
        user_images(images, board)
        for slot in (0, 1):
            if board.irom_address(slot) != boards[0].irom_address(slot):
                raise BenchError(
                    f"slot {'AB'[slot]} of {board.name} runs at 0x{board.irom_address(slot):08x}, "
                    f"of {boards[0].name} at 0x{boards[0].irom_address(slot):08x}",
                    cure="build a release for each board", exit_code=USAGE)
    refs = {key: _image_ref(data, ImageForm.EA) for key, data in zip("ab", images)}
    return _ImageSummary(refs, 0, None, ImpliedFacts(mpy_abi=0, fs_version=0))


def _image_ref(data: bytes, form: ImageForm) -> ImageRef:
    sha256 = hashlib.sha256(data).hexdigest()
    table_sha256 = blocks.table_digest(blocks.block_table(data)).hex()
    return ImageRef(
        url=store.image_name(sha256), length=len(data), sha256=sha256,
        blocks=table_sha256, blocks_url=store.blocks_name(table_sha256), form=form,
    )


def _refuse_micropython_options(given: Mapping[str, int | None]) -> None:
    for flag, value in given.items():
        if value:
            raise BenchError(
                "native firmware has neither filesystem nor .mpy version", where=f"{flag} {value}",
                cure=f"leave out {flag}", exit_code=USAGE)


def _choose_filesystem_start(data: bytes, image: Image, given: int | None) -> int:
    """The given filesystem start, or else the one in the image. A given one must not contradict the image."""
    if given is None:
        if image.fs_start is None:
            raise BenchError(
                "the image does not show where its filesystem starts",
                cure="give --fs-start: 0x100000 for MicroPython's default build, 0x99000 for FLASH_1M",
                exit_code=USAGE)
        return image.fs_start
    if given % SECTOR_BYTES or given < image.length:
        raise BenchError(
            f"filesystem start 0x{given:x} is not a sector behind the image (0x{image.length:x} bytes)",
            cure="check --fs-start")
    if image.fs_start not in (None, given) and not may_start_at(data, given):
        raise BenchError(
            f"filesystem start 0x{given:x} is not that of the image (0x{image.fs_start:x})",
            cure="leave out --fs-start")
    return given


def _check_filesystem(fs_start: int, board: BoardProfile) -> None:
    if fs_start != board.fs_start:
        raise BenchError(
            f"filesystem of the image starts at 0x{fs_start:x}, that of {board.name} at 0x{board.fs_start:x}",
            cure="use the firmware build for that flash layout; this one would not find the files")


def _choose_version(given: str | None, found: str | None) -> str:
    if given is not None:
        if given.startswith("-") or given != given.strip():
            raise BenchError(
                f"{given!r} is not a version: it begins with - or has blanks around it",
                cure="check --version; it may be that the option before it lacks its value", exit_code=USAGE)
        return given
    if found is None:
        raise BenchError("the image does not show its version", cure="give --version", exit_code=USAGE)
    return found[:VERSION_CHARS_MAX]


def _choose_fact(value: int | None, facts: ImpliedFacts | None, name: str, flag: str) -> int:
    if value is not None:
        return value
    if facts is None:
        raise BenchError(f"the image does not show its {name}", cure=f"give {flag}", exit_code=USAGE)
    return int(getattr(facts, name))
