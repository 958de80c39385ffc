"""The proofs' test bed with keys that are the same in every run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from slotbench.formats.keys import Keys
from slotbench.prove.testbed import (
    HOURS_MS,
    MAIN,
    MINUTES_MS,
    NOW,
    PRODUCT,
    TestBed,
    runs_confirmed,
    update_to,
)
from slotbench.release.keys import SigningKey

__all__ = [
    "APPLICATION", "BUSY_MAIN", "HOURS_MS", "MAIN", "MINUTES_MS", "NOW", "PRODUCT", "TestBed", "make_testbed", "put_keys",
    "runs_confirmed", "update_to",
]

APPLICATION = """\
try:
    own  # Ctrl-C, and main.py again in the same heap
except NameError:
    own = bytearray(10240)
"""
"""What an application has for itself on a board, at the start of its main.py."""

BUSY_MAIN = MAIN.replace("1000", "5000")
"""An application that has other work for five seconds at a time: hours of it take a fifth of the ticks."""

_TEST_KEYS = Path(__file__).parents[1] / "vectors" / "keys"


def make_testbed(folder: Path, **options: Any) -> TestBed:
    """A test bed in `folder` with the committed test keys; `options` as TestBed has them."""
    put_keys(folder / "keys")
    return TestBed(folder, **options)


def put_keys(folder: Path) -> Path:
    """Make `folder` with the test keys in it."""
    folder.mkdir()
    for role in ("offline", "online"):
        shutil.copy(_TEST_KEYS / f"test-only-{role}.pem", folder / f"{role}.pem")
        (folder / f"{role}.pem").chmod(0o600)
    offline, online = (SigningKey.load(folder / f"{role}.pem") for role in ("offline", "online"))
    pinned = Keys(product=PRODUCT, epoch=1, issued=NOW, offline=(offline.modulus,), online=online.modulus)
    (folder / f"{PRODUCT}.keys").write_bytes(offline.sign(pinned.to_payload()).pack())
    return folder
