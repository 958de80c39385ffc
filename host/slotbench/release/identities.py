"""The secrets of boards by their device ids: one JSON file of mode 0600, shared by deploy and the server."""

from __future__ import annotations

import json
import logging
import re
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from slotbench.errors import USAGE, BenchError
from slotbench.formats.identity import SECRET_BYTES
from slotbench.release.files import read_bytes, write_atomic

_MODE: Final = 0o600
_BYTES_MAX: Final = 64 * 1024 * 1024
_ID = re.compile(r"[ !#-~]{1,64}")
_SECRET = re.compile(rf"[0-9a-f]{{{2 * SECRET_BYTES}}}")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Identities:
    """Device id -> secret (32 bytes), as a file has them."""

    secrets: Mapping[str, bytes]

    @classmethod
    def load(cls, path: Path) -> Identities:
        """Those in a file. Raises BenchError: unreadable, or not such a file."""
        try:
            found = json.loads(read_bytes(path, _BYTES_MAX))
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise _wrong(path, "not a JSON object")
        for device_id, secret in found.items():
            if not _ID.fullmatch(device_id):
                raise _wrong(path, f"{device_id!r} is not a device id")
            if not isinstance(secret, str) or not _SECRET.fullmatch(secret):
                raise _wrong(path, f"the secret of {device_id} is not {2 * SECRET_BYTES} hex digits")
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            _log.warning("%s can be read by others: chmod 600", path)
        return cls({device_id: bytes.fromhex(secret) for device_id, secret in found.items()})

    @classmethod
    def load_or_none(cls, path: Path) -> Identities:
        """As `load`; none are known when there is no file yet."""
        return cls.load(path) if path.exists() else cls({})

    def save(self, path: Path) -> None:
        """Write them, whole or not at all. Raises BenchError."""
        text = json.dumps({device_id: secret.hex() for device_id, secret in self.secrets.items()}, indent=2)
        write_atomic(path, text.encode() + b"\n", mode=_MODE)

    def with_board(self, device_id: str, on_board: bytes | None, *, renew: bool = False) -> Identities:
        """These, and that of one board more: the one known here, else the one it has, else a new one; with
        `renew` a new one anyway. Raises BenchError for an id that cannot be one.
        """
        if not _ID.fullmatch(device_id):
            raise BenchError(
                f"{device_id!r} cannot be proven", where="device_id in twoslot.json",
                do="use 1-64 printable ASCII characters without quotes")
        known = None if renew else self.secrets.get(device_id) or on_board
        return Identities({**self.secrets, device_id: known or secrets.token_bytes(SECRET_BYTES)})

    def file_for(self, device_id: str) -> bytes:
        """What `twoslot.secret` holds on that board."""
        return json.dumps({"secret": self.secrets[device_id].hex()}).encode()


def secret_in(file: bytes | None) -> bytes | None:
    """The secret in a board's `twoslot.secret`; None when that is not one."""
    try:
        text = json.loads(file or b"")["secret"]
        return bytes.fromhex(text) if _SECRET.fullmatch(text) else None
    except (ValueError, KeyError, TypeError):
        return None


def _wrong(path: Path, what: str) -> BenchError:
    return BenchError(
        what, where=str(path), do="give the file that `slotbench deploy --identities` wrote", exit_code=USAGE)
