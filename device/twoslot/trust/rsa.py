# RSA-3072 signatures, PKCS#1 v1.5 with SHA-256 (RFC 8017, 8.2). Loaded to verify one, then dropped.
import gc
import time

from hashlib import sha256
from micropython import const

from twoslot.constants import KEY_BYTES

_BITS = const(3072)
_PART = const(256)
_TOP = const(2816)  # the place of the first part
_PRODUCTS = const(17)  # s**65537 is 16 squares and a product
# DER of DigestInfo for SHA-256 up to the digest itself (RFC 8017, 9.2, note 1).
_INFO = b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"


def key_id(modulus):
    """Return the first 16 hex digits of SHA-256 over the modulus."""
    return sha256(modulus).digest()[:8].hex()


def begin(n, s):
    """Return what step() works on: the signature s of a key (n, 65537), or None: s is none of it."""
    return [n, s, s, 0, 0, _TOP] if s < n else None


def step(sums, ms):
    """Go on with s**65537 % n for so many ms, by 32 bytes at least. True: it is there.

    pow() takes no third argument here, and would not come back for three seconds.
    """
    n, s, x, product, done, at = sums
    sums[2] = sums[3] = None  # the heap beside an application has no room for numbers twice
    mask = (1 << _PART) - 1
    start = time.ticks_ms()
    while done < _PRODUCTS:
        # x * b % n, by 32 bytes of b from the top: no number is much longer than n. The whole
        # product is twice as long, in one piece, and the heap beside an application seldom has that.
        if at == _TOP:
            gc.collect()
        part = (s if done == _PRODUCTS - 1 else x) >> at & mask
        product <<= _PART
        product += x * part
        product %= n
        at -= _PART
        if at < 0:
            x, product, at = product, 0, _TOP
            done += 1
        if time.ticks_diff(time.ticks_ms(), start) >= ms:
            break
    sums[2], sums[3], sums[4], sums[5] = x, product, done, at
    return done == _PRODUCTS


def is_signature(sums, digest):
    """True when what step() came to is the padded block of this SHA-256 digest."""
    # The whole block is built and compared: nothing in it is skipped or searched for.
    block = b"\x00\x01" + b"\xff" * (KEY_BYTES - 3 - len(_INFO) - 32) + b"\x00" + _INFO + digest
    gc.collect()
    return sums[2].to_bytes(KEY_BYTES, "big") == block
