"""Images that prove what MicroPython's prove, built from the port's documents: nothing of theirs is in them.

Each piece of evidence is a parameter, so that a test can take one away.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from functools import cache

from slotbench.formats.image import build_e9

FROZEN = ("_boot.py", "flashbdev.py", "inisetup.py", "ntptime.py", "asyncio/__init__.py")
LINK = 0x40209000
SDK = "2.2.0-dev(9422289)"
CODE = bytes.fromhex("31ffff 0c12 f03311 202320 0df0")
"""l32r a3, the word before; movi.n a2, 1; slli a3, a3, 1; or a2, a2, a3; ret.n: `esp.flash_user_start()`."""
CODE_OF_GCC_12 = bytes.fromhex("21ffff 0c13 2a22 302220 0df0")
ROMFS_CODE = bytes.fromhex("31ffff 21fdff 3a22 2a22 0c13 302220 0df0")
"""With two words: the limit of the firmware, and the size of the ROMFS behind it."""

_CODE_AT = 0x400
_OBJECT_AT = 0x480
_TABLE_AT = 0x500
_TEXT_AT = 0x600


@cache
def micropython_image(
    version: str | None = "1.26.0", *, user_start: int = 0x100000, link: int = LINK, sdk: str | None = SDK,
    frozen: Sequence[str] = FROZEN, drivers: Sequence[str] = ("VfsLfs2", "VfsFat"), size: int = 100_000,
    code: bytes = CODE, romfs: int = 0, calls_it: bool = True, md5: bool = True, seed: int = 1,
    texts: Sequence[str] = (),
) -> bytes:
    """An image of about `size` bytes with this evidence. `calls_it`: a Python function object points to it.
    `texts`: further NUL-terminated ones, as those of frozen code.
    """
    rng = random.Random(seed)
    letters = b"abcdefghijklmnopqrstuvwxyz "
    irom = bytearray(bytes(rng.choices(letters, k=size - 0x9000 - 16)))
    start = _CODE_AT + 8
    irom[_CODE_AT - 8 : _CODE_AT + 16] = bytes(24)
    struct.pack_into("<II", irom, _CODE_AT, romfs, user_start - romfs)
    irom[start : start + 32] = code.ljust(32, b"\0")
    struct.pack_into("<II", irom, _OBJECT_AT, link + 0x200, link + start)
    if calls_it:
        struct.pack_into("<II", irom, _TABLE_AT, 0x1FA2, link + _OBJECT_AT)
    text = b"\0".join((
        *([f"MicroPython v{version} on 2025-08-09; ESP module".encode()] if version else []),
        *([sdk.encode()] if sdk else []), b"littlefs" if "VfsLfs2" in drivers else b"",
        *(name.encode() for name in (*drivers, *texts)), b""))
    text += b"".join(name.encode() + b"\0" for name in frozen) + b"\0"
    irom[_TEXT_AT : _TEXT_AT + len(text)] = text
    segments = [(0x40100000, bytes(rng.choices(letters, k=0x7000))), (0x3FFE8000, bytes(0x200))]
    return build_e9(segments, 0x40100420, bytes(irom), md5=md5)
