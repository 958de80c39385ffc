"""What a MicroPython version implies: the .mpy version it imports and the littlefs it writes."""

from __future__ import annotations

import re
from typing import NamedTuple

_VERSION = re.compile(r"(\d+)\.(\d+)")


class ImpliedFacts(NamedTuple):
    """`mpy_abi` as in `sys.implementation._mpy & 0xff`; `fs_version` as littlefs' LFS_DISK_VERSION.
    """

    mpy_abi: int
    fs_version: int


# First version, newest first. .mpy: docs/reference/mpyfiles.rst. littlefs 2.8 (disk version 2.1)
# came with micropython#12731 in v1.22; LFS2 itself with v1.12.
_SINCE = (
    ((1, 22), ImpliedFacts(6, 0x00020001)),
    ((1, 19), ImpliedFacts(6, 0x00020000)),
    ((1, 12), ImpliedFacts(5, 0x00020000)),
)


def implied_facts(version: str) -> ImpliedFacts | None:
    """What firmware with this banner version has; None when it is too old or no version at all."""
    match = _VERSION.match(version)
    if not match:
        return None
    found = (int(match.group(1)), int(match.group(2)))
    return next((facts for since, facts in _SINCE if found >= since), None)
