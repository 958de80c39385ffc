"""Board identity (FORMATS): the `Authorization` header that a board sends, and the MAC that proves it."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Final

SECRET_BYTES: Final = 32
SCHEME: Final = "Twoslot"

DEVICE_ID: Final = re.compile(r"[ !#-~]{1,64}")
"""A device id: 1-64 printable ASCII characters without a double quote."""

_AUTHORIZATION = re.compile(
    r'Twoslot id="([ !#-~]{1,64})"'
    r'(?:, nonce="([0-9a-f]{1,64})", nc=([0-9]{1,9}), report="([0-9]{1,3})/([0-9]{1,10})",'
    r' running="([0-9]{1,10})"(?:, app="([0-9]{1,10})/([0-9]{1,3})/([0-9]{1,10})")?, mac="([0-9a-f]{64})")?')


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityProof:
    """A board's statement about itself, with its MAC (64 hex digits).

    `nonce` is the server's challenge and `nc` counts its uses. `report` is the code in the boot journal and
    `about` the counter it belongs to. `running` is the counter of the running release. `app` is what a board
    with applications says of them: the counter that runs (0: none), the report of their record, its counter.
    """

    nonce: str
    nc: int
    report: int
    about: int
    running: int
    mac: str
    app: tuple[int, int, int] | None = None

    def message(self, method: str, host: str, path: str, body: bytes = b"") -> bytes:
        """The bytes that the MAC covers. `host` is the request's Host header, `body` that of a POST."""
        report = f"{self.report}/{self.about}"
        lines = [method, host, path, self.nonce, str(self.nc), report, str(self.running)]
        if self.app is not None:
            lines.append("/".join(map(str, self.app)))
        if method == "POST":
            lines.append(hashlib.sha256(body).hexdigest())
        return "\n".join(lines).encode()

    def matches(self, secret: bytes, method: str, host: str, path: str, body: bytes = b"") -> bool:
        """Whether a board with this `secret` made the proof for this request."""
        return hmac.compare_digest(compute_mac(secret, self.message(method, host, path, body)), self.mac)


def compute_mac(secret: bytes, message: bytes) -> str:
    """HMAC-SHA-256 (RFC 2104) in hex."""
    return hmac.digest(secret, message, "sha256").hex()


def parse_authorization(header: str) -> tuple[str, IdentityProof | None] | None:
    """The device id and the proof in an `Authorization` header; None for another header.

    The proof is None when the board has no challenge yet.
    """
    match = _AUTHORIZATION.fullmatch(header)
    if not match:
        return None
    device_id, nonce, nc, report, about, running, *app, code = match.groups()
    if nonce is None:
        return device_id, None
    return device_id, IdentityProof(
        nonce=nonce, nc=int(nc), report=int(report), about=int(about), running=int(running), mac=code,
        app=(int(app[0]), int(app[1]), int(app[2])) if app[0] is not None else None)
