"""MicroPython's ESP8266 port: what its image proves about itself.

Banner, frozen modules, the code of `esp.flash_user_start()`, the link address and the SDK's version are
looked for separately. An image is MicroPython if they agree. `slotbench.images` decides.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from slotbench.formats import SECTOR_BYTES
from slotbench.formats.image import IROM_OFFSET
from slotbench.formats.segments import IROM_MAP_START, WINDOW_END
from slotbench.images.frozen import frozen_modules, has_hook_call
from slotbench.images.identified import Filesystem
from slotbench.images.lx106 import sector_functions

__all__ = ["LINK_ADDRESS", "MicroPythonEvidence", "collect_evidence", "filesystem_place", "sdk_version"]

LINK_ADDRESS: Final = IROM_MAP_START + IROM_OFFSET
"""The CPU address of the irom of an image that starts at flash offset 0."""

_BANNER: Final = re.compile(
    rb"MicroPython v(\d{1,3}\.\d{1,3}(?:\.\d{1,3})?[-\w.]{0,40}) on \d{4}-\d\d-\d\d")
_SDK: Final = re.compile(rb"\b(\d(?:\.\d){2,3}(?:-dev)?\([0-9a-f]{7,8}\))")
_FUNCTIONS_MAX: Final = 4
_POINTERS_MAX: Final = 64
"""An image has one such function and one pointer to it. A file full of them is looked at no longer."""
_WORD: Final = struct.Struct("<I")


@dataclass(frozen=True, slots=True, kw_only=True)
class MicroPythonEvidence:
    """The separate pieces of evidence; None or empty if the image does not have them.

    `user_starts`: all results of functions that could be `esp.flash_user_start()`, with the link address
    that the pointers to the function give.
    """

    version: str | None
    sdk: str | None
    frozen: tuple[str, ...]
    has_hook_call: bool
    user_starts: tuple[tuple[int, int], ...]
    has_littlefs: bool
    has_fat: bool

    @property
    def filesystem(self) -> Filesystem | None:
        """The filesystem that the frozen `inisetup` makes with its drivers; None: no evidence."""
        if not (self.has_littlefs or self.has_fat):
            return Filesystem.NONE
        if "inisetup.py" not in self.frozen:
            return None
        return Filesystem.LITTLEFS if self.has_littlefs else Filesystem.FAT


def collect_evidence(data: bytes) -> MicroPythonEvidence:
    """The evidence in an image with irom at 0x9000. `data` need not be whole."""
    banner = _BANNER.search(data)
    return MicroPythonEvidence(
        version=banner.group(1).decode() if banner else None,
        sdk=sdk_version(data),
        frozen=frozen_modules(data),
        has_hook_call=has_hook_call(data),
        user_starts=tuple(_user_starts(data)),
        has_littlefs=b"VfsLfs2\0" in data and b"littlefs" in data,
        has_fat=b"VfsFat\0" in data,
    )


def sdk_version(data: bytes) -> str | None:
    """The version of Espressif's SDK in an image; None if it has none."""
    sdk = _SDK.search(data)
    return sdk.group(1).decode() if sdk else None


def filesystem_place(user_start: int) -> int:
    """The flash offset of the filesystem (modules/flashbdev.py).

    Below 1 MB it leaves out one sector, which is for native code.
    """
    return user_start if user_start >= WINDOW_END else user_start + SECTOR_BYTES


def _user_starts(data: bytes) -> list[tuple[int, int]]:
    """The function's result and the link address of the image, for each function that is one of Python's.

    Python calls it through a function object (its type, then its address), which a table points to. The two
    pointers hold only for one link address.
    """
    found = []
    for function in islice(sector_functions(data, IROM_OFFSET, WINDOW_END), _FUNCTIONS_MAX):
        for link in (LINK_ADDRESS, *range(IROM_MAP_START, IROM_MAP_START + WINDOW_END, SECTOR_BYTES)):
            offset = link - IROM_OFFSET
            objects = islice(_words(data, function.start + offset), _POINTERS_MAX)
            if any(next(_words(data, at - 4 + offset), None) is not None for at in objects):
                found.append((function.value, link))
                break
    return found


def _words(data: bytes, value: int) -> Iterator[int]:
    """The offsets of the aligned words `value` in the irom."""
    word = _WORD.pack(value)
    at = data.find(word, IROM_OFFSET)
    while at >= 0:
        if at % 4 == 0:
            yield at
        at = data.find(word, at + 1)
