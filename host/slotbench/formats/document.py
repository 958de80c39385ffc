"""Signed documents (FORMATS): line 1 is the payload, line 2 its signature. RSA-3072 verification."""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
from dataclasses import dataclass

from slotbench.formats import FormatError

DOCUMENT_BYTES_MAX = 4096
MODULUS_BYTES = 384
EXPONENT = 65537
KEY_ID_CHARS = 16
SIGNATURE_CHARS = 512
SIGNED_LINES_BYTES = KEY_ID_CHARS + 1 + SIGNATURE_CHARS + 2
"""What a signed document has besides its payload: line 2, and the two line breaks."""
PAYLOAD_BYTES_MAX = DOCUMENT_BYTES_MAX - SIGNED_LINES_BYTES

_PRINTABLE = bytes(range(0x20, 0x7F))
# RFC 8017, 9.2 note 1: the DER encoding of DigestInfo for SHA-256, without the hash.
_DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")


@dataclass(frozen=True, slots=True)
class Document:
    """The parts of a document: the signed bytes, the id of the key, the signature (384 bytes)."""

    payload: bytes
    key_id: str
    signature: bytes

    @property
    def digest(self) -> str:
        """SHA-256 of the payload in hex. It names the document."""
        return payload_digest(self.payload)

    def pack(self) -> bytes:
        """The two lines of the document."""
        return join_document(self.payload, self.key_id, self.signature)


def payload_digest(payload: bytes) -> str:
    """SHA-256 of line 1 without its newline, in hex."""
    return hashlib.sha256(payload).hexdigest()


def join_document(payload: bytes, key_id: str, signature: bytes) -> bytes:
    """The two lines of a document. Raises FormatError when `split_document` would refuse them."""
    line = f"{key_id} {base64.b64encode(signature).decode()}\n"
    text = payload + b"\n" + line.encode()
    split_document(text)
    return text


def split_document(text: bytes) -> Document:
    """The parts of a signed document. Raises FormatError with the offset of the first mistake."""
    payload, line, start = _split_lines(text)
    if not line:
        raise FormatError("document is not signed: line 2 is missing", start, cure="sign it first")
    key_id, space, encoded = line.partition(b" ")
    if len(key_id) != KEY_ID_CHARS or key_id.strip(b"0123456789abcdef") or not space:
        raise FormatError(f"line 2 has no key id of {KEY_ID_CHARS} lower case hex digits", start)
    start += KEY_ID_CHARS + 1
    if len(encoded) != SIGNATURE_CHARS:
        raise FormatError(f"signature has {len(encoded)} characters, not {SIGNATURE_CHARS}", start)
    try:
        signature = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise FormatError("signature is not standard base64", start) from None
    if len(signature) != MODULUS_BYTES:
        raise FormatError(f"signature has {len(signature)} bytes, not {MODULUS_BYTES}", start)
    return Document(payload, key_id.decode(), signature)


def read_payload(text: bytes) -> bytes:
    """The payload of a document, signed or not. Raises FormatError."""
    return split_document(text).payload if is_signed(text) else _split_lines(text)[0]


def is_signed(text: bytes) -> bool:
    """Whether the document has a signature. Raises FormatError when it is not a document."""
    return bool(_split_lines(text)[1])


def key_id(modulus: bytes) -> str:
    """The id of the key with this modulus (384 bytes, big-endian)."""
    return hashlib.sha256(modulus).hexdigest()[:KEY_ID_CHARS]


def padded_block(payload: bytes) -> bytes:
    """The 384 bytes that a valid signature decrypts to (EMSA-PKCS1-v1_5, RFC 8017, 9.2)."""
    tail = _DIGEST_INFO + hashlib.sha256(payload).digest()
    return b"\x00\x01" + b"\xff" * (MODULUS_BYTES - len(tail) - 3) + b"\x00" + tail


def verify_signature(document: Document, modulus: bytes) -> bool:
    """Whether the key with this modulus signed the document (RSASSA-PKCS1-v1_5, RFC 8017, 8.2.2)."""
    if len(document.signature) != MODULUS_BYTES or document.key_id != key_id(modulus):
        return False
    return _decrypted(document.signature, modulus) == padded_block(document.payload)


@functools.lru_cache(maxsize=256)
def _decrypted(signature: bytes, modulus: bytes) -> bytes:
    """What a signature holds; empty if it is no number below the modulus. The same ones are read often."""
    n = int.from_bytes(modulus, "big")
    s = int.from_bytes(signature, "big")
    return pow(s, EXPONENT, n).to_bytes(MODULUS_BYTES, "big") if s < n else b""


def _split_lines(text: bytes) -> tuple[bytes, bytes, int]:
    """The payload, line 2 without its newline (empty when missing), and the offset of line 2."""
    if len(text) > DOCUMENT_BYTES_MAX:
        raise FormatError(f"document has {len(text)} bytes, at most {DOCUMENT_BYTES_MAX} are allowed")
    payload, newline, rest = text.partition(b"\n")
    if not newline:
        raise FormatError("line 1 does not end", len(payload))
    if not payload.startswith(b"{"):
        raise FormatError("line 1 is not a JSON object", 0)
    if others := payload.translate(None, _PRINTABLE):
        raise FormatError(f"byte 0x{others[0]:02x} is not printable ASCII", payload.index(others[0]))
    start = len(payload) + 1
    line, newline, rest = rest.partition(b"\n")
    if line and not newline:
        raise FormatError("line 2 does not end", len(text))
    if rest or (newline and not line):
        what = "there are bytes after the signature" if line else "line 2 is empty"
        raise FormatError(what, start + len(line))
    return payload, line, start
