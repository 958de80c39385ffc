# Signatures: RSA-3072, PKCS#1 v1.5, SHA-256 (RFC 8017, 8.2), and who signed. Loaded to judge, then dropped.
import gc

from hashlib import sha256
from micropython import const

_BYTES = const(384)
_BITS = const(3072)
_PART = const(256)
# DER of DigestInfo for SHA-256 up to the digest itself (RFC 8017, 9.2, note 1).
_INFO = b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"


def key_id(modulus):
    """First 16 hex digits of SHA-256 over the modulus."""
    return sha256(modulus).digest()[:8].hex()


def verify(n, s, digest):
    """True when the signature s is that of the key with modulus n over this SHA-256 digest. e = 65537."""
    if s >= n:
        return False
    # s**65537 % n; three-argument pow does not exist here.
    x = s
    for _ in range(16):
        x = _times(x, x, n)
    x = _times(x, s, n).to_bytes(_BYTES, "big")
    # The whole padded block is built and compared: nothing in it is skipped or searched for.
    block = b"\x00\x01" + b"\xff" * (_BYTES - 3 - len(_INFO) - 32) + b"\x00" + _INFO + digest
    gc.collect()
    return x == block


def _times(a, b, n):
    # a * b % n, by 32 bytes of b from the top: no number is much longer than n. The whole product is twice as
    # long, in one piece, and a heap with an application in it seldom has that.
    gc.collect()
    mask = (1 << _PART) - 1
    x = 0
    for at in range(_BITS - _PART, -1, -_PART):
        part = b >> at & mask
        x <<= _PART
        x += a * part
        x %= n
    return x
