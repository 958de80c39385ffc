# HMAC-SHA-256 (RFC 2104).
from hashlib import sha256


def digest(key, message):
    """Return the 32 bytes for a message; the key is at most 64 bytes long."""
    key = key + bytes(64 - len(key))
    inner = sha256(bytes([b ^ 0x36 for b in key]) + message).digest()
    return sha256(bytes([b ^ 0x5C for b in key]) + inner).digest()
