"""What an image says of its frozen modules: their names, which twoslot is among them, and what hides a file.

The port runs a frozen `boot.py` or `main.py` instead of the file of that name.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from slotbench.formats import FormatError
from slotbench.formats.twoslot_version import NONE, UNKNOWN, pack_version

__all__ = ["BOOT", "MAIN", "frozen_modules", "has_hook_call", "twoslot_number", "version_module"]

BOOT: Final = "boot.py"
MAIN: Final = "main.py"

_TWOSLOT: Final = "twoslot/__init__.py"
"""The module that shows that twoslot is inside."""
_VERSION: Final = re.compile(r"twoslot/version_(\d{1,5})_(\d{1,3})_(\d{1,3})\.py")
_HOOK: Final = b"twoslot_boot\0"
_IN_A_WORD: Final = re.compile(rb"[\w./\" ]")
_FIRST: Final = b"_boot.py\0"
"""The name of the module that the port itself cannot start without."""
_LISTS_MAX: Final = 16
_NAME_BYTES_MAX: Final = 130
_NAME: Final = re.compile(rb"[A-Za-z_][\w./-]{0,120}\.py")
_LAST_NAME: Final = re.compile(rb"[A-Za-z_][\w./-]{0,120}\.py\Z")


def version_module(version: str) -> str:
    """The path of the empty module that tells the version of a frozen twoslot: its name stands in the image.

    MicroPython makes an identifier of C of it: no dots.
    """
    return f"twoslot/version_{version.replace('.', '_')}.py"


def twoslot_number(frozen: Collection[str]) -> int:
    """The version of the twoslot among these modules, as a number (formats.twoslot_version)."""
    if _TWOSLOT not in frozen:
        return NONE
    found = {".".join(match.groups()) for name in frozen if (match := _VERSION.fullmatch(name))}
    try:
        return pack_version(found.pop()) if len(found) == 1 else UNKNOWN
    except FormatError:
        return UNKNOWN


def has_hook_call(data: bytes) -> bool:
    """Whether frozen code names the boot hook, as a `boot.py` does that runs it.

    twoslot itself has this name only as a part of longer texts.
    """
    at = data.find(_HOOK)
    while at >= 0 and _IN_A_WORD.match(data, at - 1):
        at = data.find(_HOOK, at + 1)
    return at >= 0


def frozen_modules(data: bytes) -> tuple[str, ...]:
    """The names of the frozen modules (`mp_frozen_names`): NUL-separated, in the order of the image."""
    longest: list[bytes] = []
    at = data.find(_FIRST)
    for _ in range(_LISTS_MAX):
        if at < 0:
            break
        names, begin = _names_from(data, at), at
        while (name := _name_before(data, begin)) is not None:
            names.insert(0, name)
            begin -= len(name) + 1
        longest = max(longest, names, key=len)
        at = data.find(_FIRST, at + 1)
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
