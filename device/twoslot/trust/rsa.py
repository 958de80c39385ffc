# RSA-3072 signatures, PKCS#1 v1.5 with SHA-256 (RFC 8017, 8.2). Loaded to verify one, then dropped.
import gc

from hashlib import sha256
from micropython import const

from twoslot.constants import KEY_BYTES

_BITS = const(3072)
_PART = const(256)
# DER of DigestInfo for SHA-256 up to the digest itself (RFC 8017, 9.2, note 1).
_INFO = b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"


def key_id(modulus):
    """Return the first 16 hex digits of SHA-256 over the modulus."""
    return sha256(modulus).digest()[:8].hex()


def verify(n, s, digest):
    """True when s is the signature over this SHA-256 digest by the key (n, 65537)."""
    if s >= n:
        return False
    # s**65537 % n; pow() takes no third argument here.
    x = s
    for _ in range(16):
        x = _multiply(x, x, n)
    x = _multiply(x, s, n).to_bytes(KEY_BYTES, "big")
    # The whole padded block is built and compared: nothing in it is skipped or searched for.
    block = b"\x00\x01" + b"\xff" * (KEY_BYTES - 3 - len(_INFO) - 32) + b"\x00" + _INFO + digest
    gc.collect()
    return x == block


def _multiply(a, b, n):
    # Return a * b % n, by 32 bytes of b from the top: no number is much longer than n. The whole
    # product is twice as long, in one piece, and the heap beside an application seldom has that.
    gc.collect()
    mask = (1 << _PART) - 1
    x = 0
    for at in range(_BITS - _PART, -1, -_PART):
        part = b >> at & mask
        x <<= _PART
        x += a * part
        x %= n
    return x
