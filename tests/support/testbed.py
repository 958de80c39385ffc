"""The proofs' world with keys that are the same in every run."""

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
    runs_confirmed,
    update_to,
)
from slotbench.prove.testbed import (
    TestBed as _World,
)
from slotbench.release.keys import SigningKey

__all__ = [
    "APPLICATION", "HOURS_MS", "MAIN", "MINUTES_MS", "NOW", "PRODUCT", "TestBed", "runs_confirmed", "put_keys", "update_to",
]

APPLICATION = """\
try:
    own  # Ctrl-C, and main.py again in the same heap
except NameError:
    own = bytearray(10240)
"""
"""What an application has for itself on a board, at the start of its main.py."""

_TEST_KEYS = Path(__file__).parents[1] / "vectors" / "keys"


class TestBed(_World):
    """Keys, releases and boards in `folder`; everything else is as the proofs have it."""

    def __init__(self, folder: Path, **options: Any) -> None:
        put_keys(folder / "keys")
        super().__init__(folder, **options)


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
