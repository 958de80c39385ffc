"""Development keys: the public part for a board, and releases that are built and signed for one push."""

from __future__ import annotations

import base64
import binascii
import json
from pathlib import Path
from typing import Final

from slotbench.application.bundle import Bundle
from slotbench.boards import BoardProfile
from slotbench.errors import USAGE, BenchError
from slotbench.formats.document import MODULUS_BYTES, Document
from slotbench.private import PRIVATE, PUBLIC
from slotbench.release.applications import build_application
from slotbench.release.build import build_release
from slotbench.release.files import read_bytes, write_new_files
from slotbench.release.keys import SigningKey
from slotbench.untrusted import load_json

__all__ = [
    "ON_BOARD", "create_development_key", "read_public_part", "require_marked",
    "sign_development_release",
]

ON_BOARD: Final = "twoslot.devkey"
"""The board's file with the public part of the key."""

_PUBLIC_BYTES_MAX: Final = 4096


def create_development_key(folder: Path, *, passphrase: bytes | None = None) -> tuple[Path, Path]:
    """Make development.pem and its public part development.pub in `folder`; return both paths.

    Overwrites nothing. Raises BenchError.
    """
    key = SigningKey.generate()
    private, public = folder / "development.pem", folder / "development.pub"
    write_new_files({
        private: (key.to_pem(passphrase), PRIVATE), public: (_pack_public_part(key.modulus), PUBLIC)})
    return private, public


def read_public_part(path: Path) -> bytes:
    """The content of the board's file ON_BOARD, from a .pub file. Raises BenchError."""
    data = read_bytes(path, _PUBLIC_BYTES_MAX)
    try:
        modulus = base64.b64decode(load_json(data)["modulus"], validate=True)
    except (ValueError, KeyError, TypeError, binascii.Error):
        modulus = b""
    if len(modulus) != MODULUS_BYTES:
        raise BenchError(
            "not the public part of a development key", where=str(path),
            cure="make one with `slotbench keys development DIR`", exit_code=USAGE)
    return _pack_public_part(modulus)


def require_marked(board: BoardProfile) -> None:
    """Raise BenchError unless the board file allows development keys."""
    if not board.development:
        raise BenchError(
            "the board file does not have `development = true`", where=board.name,
            cure="use d1_mini_dev, or a board file of your own that has it", exit_code=USAGE)


def sign_development_release(
    image: bytes, key: SigningKey, *, product: str, board: BoardProfile, channel: str, counter: int,
    created: int, version: str | None = None,
) -> Document:
    """Build, check and sign a release of `image` for this board only. Raises FormatError, BenchError."""
    release = build_release(
        image, product=product, boards=[board], channels=[channel], version=version, counter=counter,
        created=created)
    return key.sign(release.to_payload())


def sign_development_application(
    bundle: Bundle, key: SigningKey, *, product: str, board: BoardProfile, channel: str, counter: int,
    created: int, version: str,
) -> Document:
    """Build, check and sign an application for this board only. Raises FormatError, BenchError."""
    made = build_application(
        bundle, product=product, boards=[board], channels=[channel], version=version, counter=counter,
        created=created)
    return key.sign(made.to_payload())


def _pack_public_part(modulus: bytes) -> bytes:
    return json.dumps({"modulus": base64.b64encode(modulus).decode()}).encode() + b"\n"
