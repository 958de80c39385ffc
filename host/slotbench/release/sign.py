"""Signing a built release: line 2 is added, line 1 stays as it is."""

from __future__ import annotations

from pathlib import Path

from slotbench.errors import BenchError
from slotbench.formats.document import Document
from slotbench.formats.keys import Keys, Role
from slotbench.formats.release import Release
from slotbench.release.documents import check_product, read_release_payload
from slotbench.release.files import write_atomic
from slotbench.release.keys import SigningKey


def sign_file(path: Path, key: SigningKey, keys: Keys | None = None) -> Document:
    """Sign the release in `path` in place. An existing signature is replaced.

    With `keys`, a key that is not an offline key of the product is refused. Without, the role of the key is
    not checked. Raises BenchError, FormatError; then the file is unchanged.
    """
    payload = read_release_payload(path)
    if keys:
        check_role(key, keys, Role.OFFLINE)
        check_product(Release.from_payload(payload), keys, str(path))
    signed = key.sign(payload)
    write_atomic(path, signed.pack())
    return signed


def check_role(key: SigningKey, keys: Keys, role: Role) -> None:
    """Raise BenchError unless the key has this role in `keys`."""
    found = keys.role(key.modulus)
    if found is role:
        return
    what = f"is an {found} key" if found else f"is not a key of {keys.product}"
    raise BenchError(f"key {key.key_id} {what}", where=key.where, do=f"use an {role} key")
