"""Who asks (FORMATS 6.4): what a board says of itself in `Authorization`, and the MAC that proves it."""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from typing import Final

SECRET_BYTES: Final = 32
SCHEME: Final = "Twoslot"

_SAYS = re.compile(
    r'Twoslot id="([ !#-~]{1,64})"'
    r'(?:, nonce="([0-9a-f]{1,64})", nc=([0-9]{1,9}), report="([0-9]{1,3})/([0-9]{1,10})",'
    r' running="([0-9]{1,10})", mac="([0-9a-f]{64})")?')


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityProof:
    """A claim: the challenge it answers for the `nc`-th time, the journal's report (its code, and the counter
    it speaks of), the counter of the release that runs; and the MAC over all that, 64 hex digits.
    """

    nonce: str
    nc: int
    report: int
    about: int
    running: int
    mac: str

    def message(self, method: str, path: str) -> bytes:
        """The bytes that the MAC is of."""
        lines = method, path, self.nonce, str(self.nc), f"{self.report}/{self.about}", str(self.running)
        return "\n".join(lines).encode()

    def is_of(self, secret: bytes, method: str, path: str) -> bool:
        """Whether who made it for this request has the secret."""
        return hmac.compare_digest(mac(secret, self.message(method, path)), self.mac)


def mac(secret: bytes, message: bytes) -> str:
    """HMAC-SHA-256 (RFC 2104) in hex."""
    return hmac.digest(secret, message, "sha256").hex()


def parse(header: str) -> tuple[str, IdentityProof | None] | None:
    """The device id and the proof, None while it has no challenge; None for anything else."""
    match = _SAYS.fullmatch(header)
    if not match:
        return None
    device_id, nonce, nc, report, about, running, code = match.groups()
    if nonce is None:
        return device_id, None
    return device_id, IdentityProof(
        nonce=nonce, nc=int(nc), report=int(report), about=int(about), running=int(running), mac=code)
