"""Samples for tests: firmware images, a product's keys, and what is below a folder."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from slotbench.formats.image import build_e9
from slotbench.formats.keys import Keys
from slotbench.release.keys import SigningKey

VECTOR_KEYS = Path(__file__).parents[1] / "vectors" / "keys"
PRODUCT = "sensor"
NOW = 1_750_000_000
SEQ = NOW - 1_577_836_800
"""The seq of a first head that is published at NOW."""


@dataclass(frozen=True)
class KeyRing:
    """A product's key files, and one key that is nobody's."""

    offline: Path
    online: Path
    stranger: Path
    document: Path
    keys: Keys

    def load(self, name: str) -> SigningKey:
        """The key in a file. `SigningKey.load` takes a tenth of a second each time."""
        path = getattr(self, name)
        return replace(_loaded(path.read_bytes()), where=str(path))


def make_firmware(
    size: int = 600_000, *, seed: int = 1, literals: tuple[int, ...] = (0x100000,), banner: str = "v1.25.0",
) -> bytes:
    """An image of `size` bytes in all, like MicroPython's: random content, literals, a banner."""
    rng = random.Random(seed)
    irom = bytearray(rng.randbytes(size - 0x9000 - 16))
    for index, literal in enumerate(literals):
        struct.pack_into("<I", irom, 64 + 4 * index, literal)
    text = f"{banner} on 2025-04-15".encode() if banner else b""
    irom[256:320] = text.ljust(64, b"\0")
    irom[320:340] = b"slotbench firmware \0"  # so that nobody takes it for one that starts
    segments = [(0x40100000, rng.randbytes(0x7000)), (0x3FFE8000, rng.randbytes(1001))]
    return build_e9(segments, 0x40100420, bytes(irom))


def write_ring(paths: dict[str, Path], document: Path, product: str = PRODUCT, epoch: int = 1) -> KeyRing:
    """The keys document of these keys, written."""
    offline, online = (_loaded(paths[name].read_bytes()) for name in ("offline", "online"))
    keys = Keys(
        product=product, epoch=epoch, issued=NOW, offline=(offline.modulus,), online=online.modulus)
    document.write_bytes(offline.sign(keys.to_payload()).pack())
    return KeyRing(**paths, document=document, keys=keys)


@cache
def _loaded(pem: bytes) -> SigningKey:
    private = serialization.load_pem_private_key(pem, None, unsafe_skip_rsa_key_validation=True)
    assert isinstance(private, rsa.RSAPrivateKey)
    return SigningKey(private, "")


def files_below(folder: Path) -> set[str]:
    """Names of all files below a folder."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
