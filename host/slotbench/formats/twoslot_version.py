"""The version of a frozen twoslot as a number (FORMATS), as releases and slot descriptors have it."""

from __future__ import annotations

import re
from typing import Final

from slotbench.formats import FormatError

__all__ = ["NONE", "UNKNOWN", "pack_version", "twoslot_words", "version_text"]

NONE: Final = 0
"""No twoslot is frozen into the firmware."""
UNKNOWN: Final = 1
"""A twoslot is frozen into it, which does not say its version."""

_VERSION: Final = re.compile(r"(\d{1,5})\.(\d{1,3})\.(\d{1,3})")
_MAJOR_MAX: Final = 0x7FFF
_PART_MAX: Final = 0xFF


def pack_version(text: str) -> int:
    """The number of a version: major << 16 | minor << 8 | patch. Raises FormatError."""
    match = _VERSION.fullmatch(text)
    major, minor, patch = map(int, match.groups()) if match else (0, 0, 0)
    number = major << 16 | minor << 8 | patch
    if major > _MAJOR_MAX or max(minor, patch) > _PART_MAX or number <= UNKNOWN:
        raise FormatError(f"{text!r} is no version of twoslot", field="twoslot")
    return number


def twoslot_words(number: int) -> str:
    """What people are told of the twoslot in a firmware, by its number."""
    if number == NONE:
        return "not in it: its files are on the board"
    if number == UNKNOWN:
        return "frozen into it, and does not say its version"
    return f"{version_text(number)}, frozen into it"


def version_text(number: int) -> str:
    """The version with this number."""
    return f"{number >> 16}.{number >> 8 & _PART_MAX}.{number & _PART_MAX}"
