"""Building a release: its images are checked against the boards, then described in a document."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from slotbench.boards import BoardProfile
from slotbench.boards.images import stock_image, user_images
from slotbench.errors import USAGE, BenchError
from slotbench.formats import blocks
from slotbench.formats.descriptor import ImageForm
from slotbench.formats.release import RAW_ONLY, VERSION_CHARS_MAX, ImageRef, Release
from slotbench.images import IdentifiedImage
from slotbench.release import store


@dataclass(frozen=True, slots=True)
class _ImageSummary:
    """The facts from the images: their entries in the document, the version, and what the board must have."""

    images: dict[str, ImageRef]
    version: str | None
    fs_start: int = 0
    fs_version: int = 0
    mpy_abi: int = 0
    twoslot: int = 0
    hides_main: bool | None = None


def build_release(
    *images: bytes,
    product: str, boards: Sequence[BoardProfile], counter: int, created: int,
    channels: Sequence[str] = ("stable",), version: str | None = None,
    fs_start: int | None = None, fs_version: int | None = None, fs_upgrade: bool = False,
    mpy_abi: int | None = None, floor: int = 0, notes: str = "", encodings: tuple[str, ...] = RAW_ONLY,
) -> Release:
    """Make the release of firmware `images` and check it for each of `boards`. Nothing is written or signed.

    `images` is one image for both slots. Boards that run images in place need one for slot A and one for
    slot B, in this order. `created` is Unix seconds. `version` is taken from the image if it is None.
    `fs_start`, `fs_version` and `mpy_abi` come from the image; a given value only confirms it. Native
    firmware has neither filesystem nor .mpy version; these are 0. `encodings` says in what forms the images
    will be in the site (release.patches). Raises FormatError if an image is refused
    for what it is or a field is out of range, BenchError if an image does not fit a board or contradicts a
    given value.
    """
    if len({board.layout for board in boards}) > 1:
        raise BenchError(
            f"{', '.join(board.name for board in boards)} run their slots in different ways",
            cure="build a release for each board", exit_code=USAGE)
    if stock := [board.name for board in boards if not board.has_loader]:
        raise BenchError(
            f"{stock[0]} has no loader, so no firmware travels to it", exit_code=USAGE,
            cure="ship your program alone: slotbench ship --app DIR; a firmware goes over the cable: "
            "slotbench flash")
    if boards[0].in_place:
        _refuse_micropython_options(
            {"--fs-start": fs_start, "--fs-version": fs_version, "--mpy-abi": mpy_abi})
        firmware = _check_native_images(images, boards)
    else:
        firmware = _check_stock_image(images, boards)
        _confirm("--fs-start", fs_start, firmware.fs_start)
        _confirm("--fs-version", fs_version, firmware.fs_version)
        _confirm("--mpy-abi", mpy_abi, firmware.mpy_abi)
    release = Release(
        product=product, boards=tuple(board.name for board in boards), channels=tuple(channels),
        version=_choose_version(version, firmware.version), counter=counter, created=created,
        images={key: replace(ref, encodings=encodings) for key, ref in firmware.images.items()},
        fs_start=firmware.fs_start, fs_version=firmware.fs_version, fs_upgrade=fs_upgrade,
        mpy_abi=firmware.mpy_abi, floor=floor, notes=notes, twoslot=firmware.twoslot,
        frozen_main=firmware.hides_main or None,
    )
    release.to_payload()
    return release


def _check_stock_image(images: Sequence[bytes], boards: Sequence[BoardProfile]) -> _ImageSummary:
    """Check the one MicroPython image for both slots."""
    if len(images) != 1:
        raise BenchError(
            f"{len(images)} images given; {boards[0].name} runs the same image from both slots",
            cure="give one image", exit_code=USAGE)
    data = images[0]
    found = [stock_image(data, board) for board in boards][0]
    return _ImageSummary(
        {"any": _image_ref(data, ImageForm.E9)}, found.micropython,
        fs_start=_require_fact(found, found.fs_start, "where its filesystem starts"),
        fs_version=_require_fact(found, found.fs_version, "the version of its littlefs"),
        mpy_abi=_require_fact(found, found.mpy_abi, "its .mpy version"), twoslot=found.twoslot,
        hides_main=found.hides_main)


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
    return _ImageSummary(refs, None)


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


def _require_fact(image: IdentifiedImage, fact: int | None, what: str) -> int:
    if fact is None:
        raise BenchError(
            f"{image.title} does not show {what}",
            cure="give an image that does; no option can say it instead")
    return fact


def _confirm(flag: str, given: int | None, found: int) -> None:
    """Raise BenchError if the value given with `flag` is not that of the image."""
    if given is not None and given != found:
        raise BenchError(
            f"the image has 0x{found:x}, not 0x{given:x}", where=flag,
            cure=f"leave out {flag}: it can only confirm", exit_code=USAGE)


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
