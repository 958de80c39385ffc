"""The facts that follow from a MicroPython version: its .mpy version and its littlefs version."""

from __future__ import annotations

import re
from typing import NamedTuple

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
    match = _VERSION.match(version)
    if not match:
        return None
    found = (int(match.group(1)), int(match.group(2)))
    return next((facts for since, facts in _SINCE if found >= since), None)
