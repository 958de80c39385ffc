# The fields of a signed document, checked as they are read. Loaded with a policy.
from binascii import unhexlify

from twoslot import codes
from twoslot.errors import ReleaseError


def read_numbers(payload, keys, bits=31):
    """Return these fields as a dict; ValueError when one is no number from 0 to below 2**bits."""
    # Also a signed number must be one that the journal and the descriptor can hold (FORMATS).
    numbers = {}
    for key in keys:
        n = numbers[key] = read_typed(payload, key, int)
        if n < 0 or n >> bits:
            raise ValueError
    return numbers


def read_typed(payload, key, kind):
    """Return a field that must be of this type."""
    if not isinstance(payload[key], kind):
        raise ValueError
    return payload[key]


def read_digest(payload, key):
    """Return the 32 bytes of a field in hex."""
    digest = unhexlify(read_typed(payload, key, str))
    if len(digest) != 32:
        raise ValueError
    return digest


def require_product(payload, settings):
    """Raise unless a document is of this board's product."""
    if payload.get("product") != settings["product"]:
        raise ReleaseError(codes.WRONG_PRODUCT, 0)
