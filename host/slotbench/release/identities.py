"""The secrets of boards by their device ids: a JSON file of mode 0600 that deploy and the server share.

A secret belongs to the chip that it was made for. A device id is a text in a board's own settings, so a
board that calls itself by the name of another gets nothing of it.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from slotbench.errors import USAGE, BenchError
from slotbench.formats.identity import DEVICE_ID, SECRET_BYTES
from slotbench.locks import lock_folders
from slotbench.private import PRIVATE, is_open_to_others
from slotbench.release.files import read_bytes, require_output, write_atomic
from slotbench.untrusted import load_json

_BYTES_MAX: Final = 64 * 1024 * 1024
_CHIP = re.compile(r"[0-9a-f]{1,16}")
_SECRET = re.compile(rf"[0-9a-f]{{{2 * SECRET_BYTES}}}")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Identities:
    """The `secrets` (32 bytes each) and the `chips` (ids in hex) that they were made for, by device id.

    In the file a secret is 64 hex digits, or {"secret": 64 hex digits, "chip": id}.
    """

    secrets: Mapping[str, bytes]
    chips: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> Identities:
        """Read an identities file. Raises BenchError if it cannot be read or is not one."""
        try:
            found = load_json(read_bytes(path, _BYTES_MAX))
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise _wrong_file(path, "not a JSON object")
        chips = {}
        for device_id, entry in found.items():
            if not DEVICE_ID.fullmatch(device_id):
                raise _wrong_file(path, f"{device_id!r} is not a device id")
            secret = entry
            if isinstance(entry, dict) and entry.keys() == {"secret", "chip"}:
                secret, chips[device_id] = entry["secret"], entry["chip"]
            if not isinstance(secret, str) or not _SECRET.fullmatch(secret):
                raise _wrong_file(path, f"the secret of {device_id} is not {2 * SECRET_BYTES} hex digits")
            if not _CHIP.fullmatch(str(chips.get(device_id, "0"))):
                raise _wrong_file(path, f"the chip of {device_id} is not an id in hex")
            found[device_id] = secret
        if is_open_to_others(path):
            _log.warning("%s can be read by others; run chmod 600 on it", path)
        return cls({device_id: bytes.fromhex(secret) for device_id, secret in found.items()}, chips)

    @classmethod
    def load_or_none(cls, path: Path) -> Identities:
        """Read an identities file. If it does not exist, there are no identities. Raises BenchError."""
        return cls.load(path) if path.exists() else cls({})

    @classmethod
    def add_board(
        cls, path: Path, device_id: str, chip: str, on_board: bytes | None, *, renew: bool = False,
    ) -> Identities:
        """Add a board to the file, as `with_board` does; return what the file says now. Raises BenchError.

        Two commands that do this at once both have their board in it.
        """
        require_output(path)
        with lock_folders(path.parent):
            known = cls.load_or_none(path).with_board(device_id, chip, on_board, renew=renew)
            known.save(path)
        return known

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all. Raises BenchError."""
        entries: dict[str, object] = {}
        for device_id, secret in self.secrets.items():
            chip = self.chips.get(device_id)
            entries[device_id] = secret.hex() if chip is None else {"secret": secret.hex(), "chip": chip}
        text = json.dumps(entries, indent=2)
        write_atomic(path, text.encode() + b"\n", mode=PRIVATE)

    def with_board(
        self, device_id: str, chip: str, on_board: bytes | None, *, renew: bool = False,
    ) -> Identities:
        """The identities with one more board, whose chip has this id (hex).

        Its secret is the known one, else the one `on_board`, else a new one; with `renew` always a new one.
        Raises BenchError for a device id that a header cannot carry, or that belongs to another chip.
        """
        if not DEVICE_ID.fullmatch(device_id):
            raise BenchError(
                f"{device_id!r} cannot be used as a device id", where="device_id in twoslot.json",
                cure="use 1-64 printable ASCII characters without quotes")
        owner = self.chips.get(device_id, chip)
        if owner != chip and not renew:
            raise BenchError(
                f"the secret of {device_id} belongs to the chip {owner}, and this is the chip {chip}",
                where="device_id in twoslot.json",
                cure="give this board a device_id of its own; --new-identity if it replaces the other one")
        known = None if renew else self.secrets.get(device_id) or on_board
        return Identities(
            {**self.secrets, device_id: known or secrets.token_bytes(SECRET_BYTES)},
            {**self.chips, device_id: chip})

    def secret_file(self, device_id: str) -> bytes:
        """What `twoslot.secret` holds on that board."""
        return json.dumps({"secret": self.secrets[device_id].hex()}).encode()


def parse_secret(file: bytes | None) -> bytes | None:
    """The secret in a board's `twoslot.secret`; None when that is not one."""
    try:
        text = load_json(file or b"")["secret"]
        return bytes.fromhex(text) if _SECRET.fullmatch(text) else None
    except (ValueError, KeyError, TypeError):
        return None


def _wrong_file(path: Path, what: str) -> BenchError:
    return BenchError(
        what, where=str(path),
        cure="give the file that `slotbench deploy --identities` wrote", exit_code=USAGE)
