"""Signing a built release: line 2 is added, line 1 stays as it is."""

from __future__ import annotations

from pathlib import Path

from slotbench.errors import BenchError
from slotbench.formats.document import Document
from slotbench.formats.keys import Keys, Role
from slotbench.formats.release import Preflight, Release
from slotbench.release.documents import check_product, read_unsigned
from slotbench.release.files import write_atomic
from slotbench.release.keys import SigningKey
from slotbench.release.signer import HeadSigner


def sign_file(path: Path, key: SigningKey, keys: Keys | None = None) -> Document:
    """Sign the release or application in `path` in place; a signature that is there is replaced.

    The key's role is known only from `keys`: with it, a key that is not one of that product's
    offline keys is refused. One whose preflight failed is refused too. Raises BenchError, FormatError;
    the file is then as it was.
    """
    payload, built = read_unsigned(path)
    if built.preflight is Preflight.FAILED:
        what = "firmware, and build the release" if isinstance(built, Release) else "program, and build it"
        raise BenchError(
            "its preflight failed", where=str(path),
            cure=f"read the .preflight.json beside it, correct the {what} anew")
    if keys:
        check_role(key, keys, Role.OFFLINE)
        check_product(built, keys, str(path))
    signed = key.sign(payload)
    write_atomic(path, signed.pack())
    return signed


def check_role(key: HeadSigner, keys: Keys, role: Role) -> None:
    """Raise BenchError unless the key has this role in `keys`."""
    found = keys.role(key.modulus)
    if found is role:
        return
    what = f"is an {found} key" if found else f"is not a key of {keys.product}"
    raise BenchError(f"key {key.key_id} {what}", where=key.where, cure=f"use an {role} key")
