"""The bench's own firmware: real ESP8266 images with firmware-like content, and what a CPU does
with them.

A marker inside the image says how it behaves after boot. The marker lies in the RAM data and in the
irom, with one build id: RAM of one build with irom of another crashes. In a user image it also
holds the address that the image was linked for: run from another address, the image crashes.
"""

from __future__ import annotations

import enum
import functools
import hashlib
import json
import random
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from slotbench.boards import BoardProfile
from slotbench.errors import USAGE, BenchError
from slotbench.formats import image_ea
from slotbench.formats.image import IROM_OFFSET, WINDOW_END, build_e9
from slotbench.formats.segments import DRAM, IRAM, IROM_MAP_START
from slotbench.images.bench import MARKER, banner_version
from slotbench.images.frozen import frozen_modules
from slotbench.untrusted import load_json
from slotbench.vboard.flash.nor import SECTOR

__all__ = [
    "DEFAULT_BYTES", "SMALLEST_BYTES", "Behaviour", "Marker", "build", "build_user", "for_board", "marker_of",
]

DEFAULT_BYTES: Final = 600 * 1024
SMALLEST_BYTES: Final = 48 * 1024

_MARKER_BYTES: Final = 256
_TEXT_BYTES: Final = 31_000
_DATA_BYTES: Final = 2_240
_MD5_BYTES: Final = 16
_SHARED_EVERY: Final = 3
_IDIOMS: Final = 48
_IDIOM_BITS: Final = _IDIOMS.bit_length()
_ENTRY_OFFSET: Final = 0x420
_EA_RAM_BYTES: Final = 33_284
"""Headers, RAM segments, checksum and CRC32 of a user image."""
_HANDLERS: Final = 64
_TABLE_BYTES: Final = 256
_ANYWHERE: Final = range(IROM_MAP_START, IROM_MAP_START + 0xF0000)
_MARKER: Final = re.compile(re.escape(MARKER) + rb"(\{[^}]*\})")
_WORDS: Final = (
    "socket timeout flash sector partition module object callback scheduler buffer stream memory heap pin "
    "access point station connect address register interrupt timer frequency voltage attribute index value"
).split()


class Behaviour(enum.Enum):
    """What the firmware does after boot."""

    HEALTHY = "healthy"
    CRASH = "crash"
    """An exception before any Python runs."""
    HANG = "hang"
    """Python starts, but the application never calls the updater."""
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
    """The build that runs, the address its irom was linked for (None: unknown), and its frozen modules."""

    build: str | None
    version: str | None
    does: Behaviour
    irom_address: int | None = None
    frozen: tuple[str, ...] = ()


@functools.lru_cache(maxsize=32)
def build(
    version: str,
    does: Behaviour = Behaviour.HEALTHY,
    *,
    size: int = DEFAULT_BYTES,
    seed: int = 0,
    fs_start: int = 0x100000,
    frozen: tuple[str, ...] = (),
) -> bytes:
    """An E9 image of about `size` bytes (at least 48 KB), the same for the same arguments.

    Versions of one `seed` and size have about a third of their 4 KB blocks in common, at equal
    offsets. `fs_start` is the literal that tells where its filesystem begins. Raises BenchError
    when the size is too small or the version does not fit.

    `frozen` are names of frozen modules: virtual boards find twoslot there, or a boot.py or main.py
    (slotbench.vboard.frozen).
    """
    _require_size(size)
    marker, own, shared = _beginnings(version, does, size, seed)
    irom_bytes = (size - IROM_OFFSET - _MD5_BYTES) & ~3
    irom = bytearray(_blocks(own, shared, irom_bytes, _ANYWHERE))
    banner = f"MicroPython v1.28.0 on 2025-12-16; slotbench {version}\0".encode()
    irom[: len(marker)] = marker
    irom[_MARKER_BYTES : _MARKER_BYTES + len(banner)] = banner
    struct.pack_into("<I", irom, 2 * _MARKER_BYTES, fs_start)
    if frozen:
        names = b"\0" + b"".join(name.encode() + b"\0" for name in ("_boot.py", *frozen)) + b"\0"
        irom[3 * _MARKER_BYTES : 3 * _MARKER_BYTES + len(names)] = names
    return build_e9(_ram(own, marker, _ANYWHERE), IRAM.start + _ENTRY_OFFSET, bytes(irom))


@functools.lru_cache(maxsize=32)
def build_user(
    version: str, does: Behaviour = Behaviour.HEALTHY, *, irom_address: int, size: int, seed: int = 0
) -> bytes:
    """An EA image of at most `size` bytes (at least 48 KB) whose irom is linked for `irom_address`.

    The same version for another address is the same firmware linked again: it differs in addresses
    only. Versions have blocks in common as those of `build` have. Raises BenchError as `build`
    does.
    """
    _require_size(size)
    marker, own, shared = _beginnings(version, does, size, seed, irom_address)
    start = image_ea.IROM_OFFSET
    irom_bytes = (size - start - _EA_RAM_BYTES) & ~15
    flash = range(irom_address, irom_address + irom_bytes - _TABLE_BYTES)
    # Blocks are those of the image: its irom begins 16 bytes into the first one.
    irom = bytearray(_blocks(own, shared, start + irom_bytes, flash)[start:])
    irom[: len(marker)] = marker
    handlers = (own.randrange(flash.start, flash.stop, 4) for _ in range(_HANDLERS))
    struct.pack_into(f"<{_HANDLERS}I", irom, _MARKER_BYTES, *handlers)
    return image_ea.build_ea(_ram(own, marker, flash), IRAM.start + _ENTRY_OFFSET, bytes(irom))


def for_board(
    board: BoardProfile, version: str, does: Behaviour = Behaviour.HEALTHY, *, size: int, seed: int = 0,
    frozen: tuple[str, ...] = (),
) -> tuple[bytes, ...]:
    """The images of a release for `board`: one for both slots, or one for slot A and one for slot
    B.

    `size` in bytes; arguments and errors as of `build`.
    """
    if board.in_place:
        addresses = (board.irom_address(slot) for slot in (0, 1))
        return tuple(
            build_user(version, does, irom_address=at, size=size, seed=seed) for at in addresses)
    # MicroPython says where user data may begin; below 1 MB it leaves a sector out there.
    start = board.fs_start if board.fs_start >= WINDOW_END else board.fs_start - SECTOR
    return (build(version, does, size=size, seed=seed, fs_start=start, frozen=frozen),)


def marker_of(
    segments: Sequence[tuple[int, bytes]], irom: bytes, irom_address: int | None = None
) -> Marker:
    """What a CPU does with these RAM segments (address, bytes) and this irom at `irom_address`.

    An image without a marker is a real one: healthy, with the version of its MicroPython banner.
    RAM of one build with irom of another, a marker in only one of them, or an irom that was linked
    for another address, crashes.
    """
    in_ram = _found(b"".join(content for _, content in segments))
    in_irom = _found(irom)
    if in_ram is None and in_irom is None:
        does = Behaviour.CRASH if _linked_elsewhere(irom, irom_address) else Behaviour.HEALTHY
        return Marker(None, banner_version(irom), does, frozen=frozen_modules(irom))
    if in_ram != in_irom or in_ram is None or in_ram.irom_address not in (None, irom_address):
        return Marker(None, None, Behaviour.CRASH)
    return replace(in_ram, frozen=frozen_modules(irom))


def _linked_elsewhere(irom: bytes, irom_address: int | None) -> bool:
    if irom_address is None:
        return False
    candidates = (irom_address, *image_ea.LINK_ADDRESSES)
    return image_ea.irom_address(irom, len(irom), candidates) not in (None, irom_address)


def _require_size(size: int) -> None:
    if size < SMALLEST_BYTES:
        cure = f"use at least {SMALLEST_BYTES}"
        raise BenchError("firmware too small", where=f"{size} bytes", cure=cure, exit_code=USAGE)


def _beginnings(
    version: str, does: Behaviour, size: int, seed: int, irom_address: int | None = None
) -> tuple[bytes, random.Random, str]:
    """The marker, and where the content of this build and that of all builds of this seed come
    from.
    """
    identity = f"{seed}/{size}/{version}/{does.value}"
    build_id = hashlib.sha256(identity.encode()).hexdigest()[:16]
    marker = _marker(build_id, version, does, irom_address)
    return marker, random.Random(f"own {identity}"), f"shared {seed}/{size}"


def _blocks(own: random.Random, shared: str, length: int, flash: range) -> bytes:
    """Blocks of the image from where its irom begins, every third one shared between versions."""
    blocks = [
        common if index % _SHARED_EVERY == 1 else _content(own, SECTOR, flash)
        for index, common in enumerate(_shared_blocks(shared, -(-length // SECTOR), flash))]
    return b"".join(blocks)[:length]


@functools.lru_cache(maxsize=16)
def _shared_blocks(seed: str, count: int, flash: range) -> tuple[bytes, ...]:
    rng = random.Random(seed)
    return tuple(_content(rng, SECTOR, flash) for _ in range(count))


def _ram(own: random.Random, marker: bytes, flash: range) -> list[tuple[int, bytes]]:
    text = _content(own, _TEXT_BYTES, flash)
    data = marker.ljust(_MARKER_BYTES, b"\0") + _content(own, _DATA_BYTES - _MARKER_BYTES, flash)
    return [(IRAM.start, text), (DRAM.start, data)]


def _marker(build_id: str, version: str, does: Behaviour, irom_address: int | None) -> bytes:
    fields: dict[str, str | int] = {"build": build_id, "version": version, "does": does.value}
    if irom_address is not None:
        fields["irom_address"] = irom_address
    marker = MARKER + json.dumps(fields, separators=(",", ":")).encode() + b"\0"
    if len(marker) > _MARKER_BYTES or "}" in version:
        raise BenchError("version does not fit the marker", where=version, exit_code=USAGE)
    return marker


def _found(data: bytes) -> Marker | None:
    match = _MARKER.search(data)
    if match is None:
        return None
    try:
        fields = load_json(match.group(1))
        linked = fields.get("irom_address")
        return Marker(fields["build"], fields["version"], Behaviour(fields["does"]), linked)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _content(rng: random.Random, length: int, flash: range) -> bytes:
    """Bytes as a linker leaves them: mostly code that repeats its idioms, strings, tables,
    constants.

    The tables hold addresses in `flash`. The loop draws what rng.choice() and rng.randbytes() would:
    their calls took most of the time.
    """
    draw, bits = rng.random, rng.getrandbits
    idioms = [rng.randbytes(3) for _ in range(_IDIOMS)]
    out = bytearray()
    while len(out) < length:
        kind = rng.random()
        if kind < 0.72:
            for _ in range(rng.randrange(20, 90)):
                if draw() < 0.6:
                    while (index := bits(_IDIOM_BITS)) >= _IDIOMS:
                        pass
                    out += idioms[index]
                else:
                    while (more := bits(2)) >= 2:
                        pass
                    out += bits(8 * (2 + more)).to_bytes(2 + more, "little")
        elif kind < 0.86:
            words = (rng.choice(_WORDS) for _ in range(rng.randrange(2, 9)))
            out += " ".join(words).encode() + b"\0"
        elif kind < 0.96:
            base = rng.randrange(flash.start, flash.stop, 4)
            count = rng.randrange(4, 24)
            targets = (base + 4 * rng.randrange(_TABLE_BYTES // 4) for _ in range(count))
            out += struct.pack(f"<{count}I", *targets)
        else:
            out += bytes(4 * rng.randrange(1, 16))
    return bytes(out[:length])
