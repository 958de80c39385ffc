"""The bench's own images: real in form, with a marker, and nothing that a chip runs."""

from __future__ import annotations

import re
import struct
from typing import Final

from slotbench.formats.image import LENGTH_WORD_OFFSET
from slotbench.formats.segments import WINDOW_END
from slotbench.images.micropython import filesystem_place

__all__ = ["MARKER", "banner_version", "is_bench_image", "stated_filesystem"]

MARKER: Final = b"slotbench firmware "
_BANNER: Final = re.compile(rb"v(\d{1,3}\.\d{1,3}(?:\.\d{1,3})?[-\w.]{0,40}) on \d{4}-\d\d-\d\d")
_USER_STARTS: Final = (0x98000, WINDOW_END)
_MD5_BYTES: Final = 16


def is_bench_image(data: bytes) -> bool:
    """Whether an image is one of the bench's own, or of its tests."""
    return MARKER in data


def banner_version(data: bytes) -> str | None:
    """The version in the banner of a bench image; None if it has no banner."""
    banner = _BANNER.search(data)
    return banner.group(1).decode() if banner else None


def stated_filesystem(data: bytes) -> int | None:
    """The flash offset of the filesystem that a bench image states; None if it states none, or two.

    It states it by a word of its own, as the word of MicroPython's two layouts that the image fits.
    """
    stated = [
        start for start in _USER_STARTS if len(data) <= start + _MD5_BYTES and _has_word(data, start)]
    return filesystem_place(stated[0]) if len(stated) == 1 else None


def _has_word(data: bytes, value: int) -> bool:
    """Whether the image holds the aligned 32-bit word `value` anywhere but in the length word."""
    word = struct.pack("<I", value)
    at = data.find(word)
    while at >= 0:
        if at % 4 == 0 and at != LENGTH_WORD_OFFSET:
            return True
        at = data.find(word, at + 1)
    return False
