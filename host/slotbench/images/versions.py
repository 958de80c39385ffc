"""The facts that follow from a MicroPython version: its .mpy version, its littlefs version, whether it is too
old for twoslot.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

OLDEST: Final = (1, 20)
"""The oldest MicroPython that was seen to run twoslot, on the emulated chip: 1.20.0 and 1.21.0, built from
source, and official 1.22.1.

Official 1.19.1 was tried and does not: before 1.20 a module has no `__dict__`, with which twoslot drops what
it has loaded, and the chip crashed at the first restart.
"""
OLDEST_WORDS: Final = f"{OLDEST[0]}.{OLDEST[1]} or later"

_VERSION = re.compile(r"(\d+)\.(\d+)")


class ImpliedFacts(NamedTuple):
    """`mpy_abi` is `sys.implementation._mpy & 0xff`; `fs_version` is littlefs' LFS_DISK_VERSION."""

    mpy_abi: int
    fs_version: int


# The first version with each set of facts, newest first. .mpy: docs/reference/mpyfiles.rst. littlefs 2.8
# (disk version 2.1) came with micropython#12731 in v1.22. This port has littlefs since e0905e85a7, between
# v1.12 and v1.13: of v1.12 only builds made from later sources have it (`identify` looks for the driver).
_SINCE = (
    ((1, 22), ImpliedFacts(6, 0x00020001)),
    ((1, 19), ImpliedFacts(6, 0x00020000)),
    ((1, 12), ImpliedFacts(5, 0x00020000)),
)


def implied_facts(version: str) -> ImpliedFacts | None:
    """The facts of firmware with this banner version; None if it is too old or not a version."""
    found = numbers_of(version)
    return next((facts for since, facts in _SINCE if found is not None and found >= since), None)


def numbers_of(version: str) -> tuple[int, int] | None:
    """The first two numbers of a banner's version ("1.19.1-dirty": 1, 19); None if it is not a version."""
    match = _VERSION.match(version)
    return (int(match.group(1)), int(match.group(2))) if match else None


def is_too_old(version: str) -> bool:
    """Whether firmware with this banner version is older than what runs twoslot."""
    found = numbers_of(version)
    return found is not None and found < OLDEST
