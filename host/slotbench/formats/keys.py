"""Keys document (FORMATS): the pinned offline keys, and the online key that they delegate to."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from enum import StrEnum

from slotbench.formats import FormatError
from slotbench.formats.document import (
    MODULUS_BYTES,
    Document,
    key_id,
    payload_digest,
    split_document,
    verify_signature,
)
from slotbench.formats.fields import TIME_MAX, Fields, dump_json

KIND = "keys"
FORMAT = 1
OFFLINE_MAX = 2


class Role(StrEnum):
    """What a key may sign: offline keys sign releases and keys documents, the online key signs heads."""

    OFFLINE = "offline"
    ONLINE = "online"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """A keys document.

    `offline` and `online` are moduli of 384 bytes, big-endian; `issued` is Unix seconds.
    """

    product: str
    epoch: int
    issued: int
    offline: tuple[bytes, ...]
    online: bytes

    def to_payload(self) -> bytes:
        """Line 1 of the document.

        Raises FormatError with the name of a field that the format does not allow.
        """
        payload = dump_json({
            "kind": KIND, "format": FORMAT,
            "product": self.product, "epoch": self.epoch, "issued": self.issued,
            "offline": [_encode_modulus(modulus) for modulus in self.offline],
            "online": _encode_modulus(self.online),
        })
        self.from_payload(payload)
        return payload

    @classmethod
    def from_payload(cls, payload: bytes) -> Keys:
        """The keys in line 1. Raises FormatError for a missing, wrong or unknown field."""
        fields = Fields.parse(payload, KIND, FORMAT)
        keys = cls(
            product=fields.name("product"),
            epoch=fields.integer("epoch", low=1),
            issued=fields.integer("issued", high=TIME_MAX),
            offline=tuple(_read_modulus(fields, "offline", n) for n in fields.sequence("offline")),
            online=_read_modulus(fields, "online", fields.pop_field("online")),
        )
        fields.require_empty()
        if not 1 <= len(keys.offline) <= OFFLINE_MAX:
            raise FormatError(f"{len(keys.offline)} keys, not 1-{OFFLINE_MAX}", field="offline")
        if len({*keys.offline, keys.online}) != len(keys.offline) + 1:
            raise FormatError("a key is given twice; each key has one role", field="offline")
        return keys

    def role(self, modulus: bytes) -> Role | None:
        """The role of the key with this modulus; None if it is not one of these keys."""
        if modulus == self.online:
            return Role.ONLINE
        return Role.OFFLINE if modulus in self.offline else None

    def offline_except(self, id: str) -> tuple[bytes, ...]:
        """The moduli of all offline keys except the one with this id."""
        return tuple(modulus for modulus in self.offline if key_id(modulus) != id)

    def verifies(self, document: Document, role: Role) -> bool:
        """Whether a key of this role signed the document."""
        moduli = (self.online,) if role is Role.ONLINE else self.offline
        return any(verify_signature(document, modulus) for modulus in moduli)

    def role_of_signer(self, document: Document) -> Role | None:
        """The role of the key that the document names; None if it is not one of these keys."""
        moduli = (*self.offline, self.online)
        return next((self.role(n) for n in moduli if key_id(n) == document.key_id), None)


def pack_pinned(signed: bytes) -> bytes:
    """A board's copy of a signed keys document. Its third line is a digest, which reveals a damaged copy."""
    return signed + payload_digest(signed.partition(b"\n")[0]).encode() + b"\n"


def unpack_pinned(copy: bytes) -> Keys:
    """The keys in a board's copy, with or without the third line.

    Raises FormatError if the copy is damaged or not signed by one of its own offline keys.
    """
    line, _, rest = copy.partition(b"\n")
    second, _, third = rest.partition(b"\n")
    if third and third != payload_digest(line).encode() + b"\n":
        raise FormatError("line 3 is not the digest of line 1", len(line) + len(second) + 2)
    signed = split_document(line + b"\n" + second + b"\n")
    keys = Keys.from_payload(signed.payload)
    if not keys.verifies(signed, Role.OFFLINE):
        raise FormatError("the document is not signed by one of its own offline keys", len(line) + 1)
    return keys


def _encode_modulus(modulus: bytes) -> str:
    return base64.b64encode(modulus).decode()


def _read_modulus(fields: Fields, key: str, value: object) -> bytes:
    modulus = fields.base64_bytes(value, key, MODULUS_BYTES)
    if not modulus[0] & 0x80 or not modulus[-1] & 1:
        raise FormatError("modulus is not that of an RSA-3072 key", field=fields.path(key))
    return modulus
