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
from slotbench.images.identified import Filesystem
from slotbench.images.lx106 import sector_functions

__all__ = ["LINK_ADDRESS", "MicroPythonEvidence", "collect_evidence", "filesystem_place", "sdk_version"]

LINK_ADDRESS: Final = IROM_MAP_START + IROM_OFFSET
"""The CPU address of the irom of an image that starts at flash offset 0."""

_BANNER: Final = re.compile(
    rb"MicroPython v(\d{1,3}\.\d{1,3}(?:\.\d{1,3})?[-\w.]{0,40}) on \d{4}-\d\d-\d\d")
_SDK: Final = re.compile(rb"\b(\d(?:\.\d){2,3}(?:-dev)?\([0-9a-f]{7,8}\))")
_NAME: Final = re.compile(rb"[A-Za-z_][\w./-]{0,120}\.py")
_BOOT: Final = b"_boot.py\0"
_LISTS_MAX: Final = 16
_FUNCTIONS_MAX: Final = 4
_POINTERS_MAX: Final = 64
"""An image has one list, one function and one pointer to it. A file full of them is looked at no longer."""
_NAME_BYTES_MAX: Final = 130
_LAST_NAME: Final = re.compile(rb"[A-Za-z_][\w./-]{0,120}\.py\Z")
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
        frozen=_frozen_modules(data),
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


def _frozen_modules(data: bytes) -> tuple[str, ...]:
    """The names of the frozen modules (`mp_frozen_names`): NUL-separated, in the order of the image."""
    longest: list[bytes] = []
    at = data.find(_BOOT)
    for _ in range(_LISTS_MAX):
        if at < 0:
            break
        names, begin = _names_from(data, at), at
        while (name := _name_before(data, begin)) is not None:
            names.insert(0, name)
            begin -= len(name) + 1
        longest = max(longest, names, key=len)
        at = data.find(_BOOT, at + 1)
    return tuple(name.decode() for name in longest)


def _names_from(data: bytes, at: int) -> list[bytes]:
    """The names that follow each other from offset `at` on."""
    names = []
    while (match := _NAME.match(data, at)) is not None and data[match.end() : match.end() + 1] == b"\0":
        names.append(match.group())
        at = match.end() + 1
    return names


def _name_before(data: bytes, at: int) -> bytes | None:
    """The name whose NUL is the byte before offset `at`; None if there is none."""
    if at < 1 or data[at - 1]:
        return None
    begin = max(data.rfind(b"\0", 0, at - 1) + 1, at - 1 - _NAME_BYTES_MAX)
    # The first name of the list follows on other data, which need not end with a NUL.
    match = _LAST_NAME.search(data, begin, at - 1)
    return match.group() if match is not None else None


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
