"""The firmware that a new virtual board begins with: the bench's own, a file, or that of a release."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from slotbench.boards import BoardProfile
from slotbench.cli.image_file import image_for_slot_a, read_firmware
from slotbench.errors import USAGE, BenchError
from slotbench.formats.release import Release
from slotbench.images import IdentifiedImage
from slotbench.release import documents, store
from slotbench.vboard import firmware

__all__ = ["FirstFirmware", "first_firmware"]

_BENCH_VERSION = "1.0.0"


@dataclass(frozen=True, slots=True)
class FirstFirmware:
    """An image for slot A, what it is, and its version. Of a release also `counter` and `product`."""

    data: bytes
    found: IdentifiedImage
    version: str
    counter: int | None = None
    product: str | None = None


def first_firmware(image: Path | None, release: Path | None, board: BoardProfile) -> FirstFirmware:
    """The firmware in the file `image`, or that of the document `release`, else the bench's own.

    Raises BenchError, FormatError.
    """
    if image is not None and release is not None:
        raise BenchError(
            "--image and --release both name a firmware", cure="give one of them", exit_code=USAGE)
    if release is not None:
        return _of_release(release, board)
    if image is None:
        size = min(firmware.DEFAULT_BYTES, board.slot_bytes)
        data = firmware.for_board(board, _BENCH_VERSION, size=size)[0]
        return FirstFirmware(
            data, image_for_slot_a(data, board, "the bench's own firmware"), _BENCH_VERSION)
    data = read_firmware(image)
    found = image_for_slot_a(data, board, str(image))
    return FirstFirmware(data, found, found.micropython or "unknown")


def _of_release(path: Path, board: BoardProfile) -> FirstFirmware:
    """The image lies in the site of the release, as `release publish` puts it there."""
    described = Release.from_payload(documents.read_release_payload(path))
    ref = described.images.get("any") or described.images["a"]
    place = path.parent.parent / store.image_name(ref.sha256)
    if not place.is_file():
        raise BenchError(
            "the image of this release is not in its site", where=str(place),
            cure="name the release in a published site, SITE/releases/DIGEST.release, or give --image",
            exit_code=USAGE)
    data = read_firmware(place)
    if hashlib.sha256(data).hexdigest() != ref.sha256:
        raise BenchError(
            "the image of this release is damaged", where=str(place), cure="publish the release again")
    return FirstFirmware(
        data, image_for_slot_a(data, board, str(place)), described.version, described.counter,
        described.product)
