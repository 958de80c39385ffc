"""What all golden files are made of: names to bytes, bytes that are the same everywhere, JSON."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

VECTORS = Path(__file__).resolve().parents[2] / "tests" / "vectors"
PRODUCT = "greenhouse"
CHANNEL = "stable"

Files = dict[str, bytes]
"""Path below tests/vectors -> content."""


def stream(seed: str, size: int) -> bytes:
    """`size` bytes that look random and are the same everywhere: SHA-256 in counter mode."""
    parts = (hashlib.sha256(f"{seed}:{i}".encode()).digest() for i in range(-(-size // 32)))
    return b"".join(parts)[:size]


def text_of(value: object) -> bytes:
    """JSON for people and for git: indented, sorted, bytes as hex."""
    plain = json.dumps(value, indent=1, sort_keys=True, default=lambda data: data.hex())
    return plain.encode() + b"\n"
