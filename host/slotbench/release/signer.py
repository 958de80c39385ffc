"""Who signs heads: the online key in a file, or a command that asks a key kept elsewhere."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from typing import Final, Protocol

from slotbench.errors import USAGE, BenchError
from slotbench.formats import document
from slotbench.formats.document import MODULUS_BYTES, Document
from slotbench.formats.keys import Keys

__all__ = ["ExternalSigner", "HeadSigner"]

_LIMIT_S: Final = 60


class HeadSigner(Protocol):
    """A key that signs heads, as `SigningKey` does it."""

    @property
    def where(self) -> str:
        """Where it is, for people."""

    @property
    def modulus(self) -> bytes:
        """The modulus: 384 bytes, big-endian."""

    @property
    def key_id(self) -> str:
        """The id of the key in documents."""

    def sign(self, payload: bytes) -> Document:
        """Sign a payload; return the document. Raises BenchError."""


class ExternalSigner:
    """The online key of `keys`, used by a `command`: the payload on stdin, 384 raw bytes on stdout.

    For example `openssl dgst -sha256 -sign online.pem`. What comes back is verified before it is used.
    """

    def __init__(self, command: Sequence[str], keys: Keys) -> None:
        self.where = command[0]
        self.modulus = keys.online
        self._command = list(command)

    @property
    def key_id(self) -> str:
        """The id of the key in documents."""
        return document.key_id(self.modulus)

    def sign(self, payload: bytes) -> Document:
        """Have the command sign a payload; return the document.

        Raises BenchError if it cannot be run, fails, takes longer than a minute, or signs with another key.
        """
        cure = "run it by hand; it gets the payload on stdin, and prints 384 bytes, RSA with SHA-256 (PKCS#1)"
        try:
            ran = subprocess.run(
                self._command, input=payload, capture_output=True, timeout=_LIMIT_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            reason = error.strerror if isinstance(error, OSError) else f"no answer within {_LIMIT_S} s"
            raise BenchError(
                f"the signer cannot be run ({reason})", where=self.where, cure=cure, exit_code=USAGE,
            ) from None
        if ran.returncode or len(ran.stdout) != MODULUS_BYTES:
            what = f"exit code {ran.returncode}, {len(ran.stdout)} bytes"
            raise BenchError(f"the signer did not sign ({what})", where=self.where, cure=cure)
        signed = Document(payload, self.key_id, ran.stdout)
        if not document.verify_signature(signed, self.modulus):
            raise BenchError(
                "the signer signed with another key than the online key", where=self.where,
                cure="have it use the online key of the newest keys file")
        return signed
