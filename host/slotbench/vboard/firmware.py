"""The bench's own firmware: real ESP8266 images of firmware-like content, and what a CPU does with them.

What an image does after boot is told by a marker inside it, never by a side channel. The marker lies in the
RAM data and in the irom with one build id; whoever runs RAM of one build with irom of another crashes.
"""

from __future__ import annotations

import enum
import hashlib
import json
import random
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from slotbench.errors import USAGE, BenchError
from slotbench.formats.image import DRAM, IRAM, IROM_OFFSET, build_e9
from slotbench.vboard.flash import SECTOR

__all__ = ["DEFAULT_BYTES", "SMALLEST_BYTES", "Does", "Marker", "build", "identify"]

DEFAULT_BYTES: Final = 600 * 1024
SMALLEST_BYTES: Final = 48 * 1024

_MAGIC: Final = b"slotbench firmware "
_MARKER_BYTES: Final = 256
_TEXT_BYTES: Final = 31_000
_DATA_BYTES: Final = 2_240
_MD5_BYTES: Final = 16
_SHARED_EVERY: Final = 3
_MARKER: Final = re.compile(re.escape(_MAGIC) + rb"(\{[^}]*\})")
_BANNER: Final = re.compile(rb"v(\d+\.\d+(?:\.\d+)?[-\w.]*) on \d{4}-\d\d-\d\d")
_WORDS: Final = (
    "socket timeout flash sector partition module object callback scheduler buffer stream memory heap pin "
    "access point station connect address register interrupt timer frequency voltage attribute index value"
).split()


class Does(enum.Enum):
    """What the firmware does after boot."""

    HEALTHY = "healthy"
    CRASH = "crash"
    """An exception before any Python runs."""
    HANG = "hang"
    """Python starts, the application never gives the updater a turn."""
    FREEZE = "freeze"
    """Hangs before boot.py with the watchdog fed: only a power cycle helps."""
    OFFLINE = "offline"
    """Never gets a network."""
    NOIMPORT = "noimport"
    """`import twoslot` raises ValueError("incompatible .mpy file")."""
    RESTART = "restart"
    """The application restarts the chip in a loop."""


@dataclass(frozen=True, slots=True)
class Marker:
    """Which build runs. `build` and `version` are None when the bytes do not say."""

    build: str | None
    version: str | None
    does: Does


def build(
    version: str,
    does: Does = Does.HEALTHY,
    *,
    size: int = DEFAULT_BYTES,
    seed: int = 0,
    fs_start: int = 0x100000,
) -> bytes:
    """An E9 image of about `size` bytes (at least 48 KB), the same for the same arguments.

    Versions of one `seed` and size have about a third of their 4 KB blocks in common, at equal offsets.
    `fs_start` is the literal that tells where its filesystem begins. Raises BenchError when the size is too
    small or the version does not fit.
    """
    if size < SMALLEST_BYTES:
        do = f"use at least {SMALLEST_BYTES}"
        raise BenchError("firmware too small", where=f"{size} bytes", do=do, exit_code=USAGE)
    identity = f"{seed}/{size}/{version}/{does.value}"
    build_id = hashlib.sha256(identity.encode()).hexdigest()[:16]
    marker = _marker(build_id, version, does)
    own = random.Random(f"own {identity}")
    shared = random.Random(f"shared {seed}/{size}")
    irom_bytes = (size - IROM_OFFSET - _MD5_BYTES) & ~3
    blocks = []
    for index in range(-(-irom_bytes // SECTOR)):
        is_shared = index % _SHARED_EVERY == 1
        common = _content(shared, SECTOR)
        blocks.append(common if is_shared else _content(own, SECTOR))
    irom = bytearray(b"".join(blocks)[:irom_bytes])
    banner = f"MicroPython v1.28.0 on 2025-12-16; slotbench {version}\0".encode()
    irom[: len(marker)] = marker
    irom[_MARKER_BYTES : _MARKER_BYTES + len(banner)] = banner
    struct.pack_into("<I", irom, 2 * _MARKER_BYTES, fs_start)
    text = _content(own, _TEXT_BYTES)
    data = marker.ljust(_MARKER_BYTES, b"\0") + _content(own, _DATA_BYTES - _MARKER_BYTES)
    segments = [(IRAM.start, text), (DRAM.start, data)]
    return build_e9(segments, IRAM.start + 0x420, bytes(irom))


def identify(segments: Sequence[tuple[int, bytes]], irom: bytes) -> Marker:
    """What a CPU with these RAM segments (address, bytes) and this irom in its window does.

    No marker at all is a real MicroPython image: healthy, with the version its banner gives. RAM of one build
    with irom of another, or a marker in only one of them, crashes.
    """
    in_ram = _found(b"".join(content for _, content in segments))
    in_irom = _found(irom)
    if in_ram is None and in_irom is None:
        banner = _BANNER.search(irom)
        return Marker(None, banner.group(1).decode() if banner else None, Does.HEALTHY)
    if in_ram is None or in_irom is None or in_ram.build != in_irom.build:
        return Marker(None, None, Does.CRASH)
    return in_ram


def _marker(build_id: str, version: str, does: Does) -> bytes:
    fields = {"build": build_id, "version": version, "does": does.value}
    marker = _MAGIC + json.dumps(fields, separators=(",", ":")).encode() + b"\0"
    if len(marker) > _MARKER_BYTES or "}" in version:
        raise BenchError("version does not fit the marker", where=version, exit_code=USAGE)
    return marker


def _found(data: bytes) -> Marker | None:
    match = _MARKER.search(data)
    if match is None:
        return None
    try:
        fields = json.loads(match.group(1))
        return Marker(fields["build"], fields["version"], Does(fields["does"]))
    except (ValueError, KeyError, TypeError):
        return None


def _content(rng: random.Random, length: int) -> bytes:
    """Bytes as a linker leaves them: mostly code that repeats its idioms, strings, tables, constants."""
    idioms = [rng.randbytes(3) for _ in range(48)]
    out = bytearray()
    while len(out) < length:
        kind = rng.random()
        if kind < 0.72:
            for _ in range(rng.randrange(20, 90)):
                out += rng.choice(idioms) if rng.random() < 0.6 else rng.randbytes(rng.choice((2, 3)))
        elif kind < 0.86:
            words = (rng.choice(_WORDS) for _ in range(rng.randrange(2, 9)))
            out += " ".join(words).encode() + b"\0"
        elif kind < 0.96:
            base = 0x40200000 | rng.randrange(0, 0xF0000, 4)
            count = rng.randrange(4, 24)
            out += struct.pack(f"<{count}I", *(base + 4 * rng.randrange(64) for _ in range(count)))
        else:
            out += bytes(4 * rng.randrange(1, 16))
    return bytes(out[:length])
