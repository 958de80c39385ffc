"""The tokens of devices that speak DDI: one for each device, or one for a gateway. Only hashes are kept.

A token has 128 random bits, so one SHA-256 keeps it as well as a slow hash would, and a poll costs nothing.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, delete, insert, select

from slotbench.errors import USAGE, BenchError
from slotbench.fleet.audit_log import Actor, record_action
from slotbench.fleet.schema import ddi_tokens

__all__ = [
    "DEVICE_ID", "DeviceToken", "TokenKind", "check_device_token", "list_device_tokens", "make_device_token",
    "remove_device_token",
]

DEVICE_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")
"""What a device id may be here: it is a part of a path."""
_SECRET_BYTES: Final = 16


class TokenKind(StrEnum):
    """Whom a token admits: one device, or all devices behind a gateway."""

    TARGET = "target"
    GATEWAY = "gateway"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceToken:
    """A token that was made. `label` is the device id, or the name of the gateway; `created` Unix seconds."""

    kind: TokenKind
    label: str
    product: str
    channel: str
    created: int


def make_device_token(
    connection: Connection, actor: Actor, now: int, kind: TokenKind, label: str, product: str, channel: str,
) -> str:
    """Make a token for devices of this channel, and return it: 32 hex digits, which are not kept.

    Raises BenchError (usage) for a label that is there already, or that cannot be in a path.
    """
    if not DEVICE_ID.fullmatch(label):
        raise BenchError(
            f"{label!r} is no device id for hawkBit's API", cure="give 1 to 64 letters, digits and . _ : -",
            exit_code=USAGE)
    if connection.execute(select(ddi_tokens.c.id).where(
            ddi_tokens.c.kind == kind, ddi_tokens.c.label == label)).first() is not None:
        raise BenchError(
            "it has a token", where=label, exit_code=USAGE,
            cure=f"take that away first: slotbench fleet hawkbit remove {label}")
    token = secrets.token_hex(_SECRET_BYTES)
    connection.execute(insert(ddi_tokens).values(
        kind=kind.value, label=label, product=product, channel=channel, hashed=_hash(token), created=now))
    record_action(connection, actor, now, f"hawkbit {kind}", label, f"{product}/{channel}")
    return token


def remove_device_token(connection: Connection, actor: Actor, now: int, label: str) -> None:
    """Take the token of a device or a gateway away. Raises BenchError (usage)."""
    if not connection.execute(delete(ddi_tokens).where(ddi_tokens.c.label == label)).rowcount:
        raise BenchError(
            "it has no token", where=label, cure="see `slotbench fleet hawkbit list`", exit_code=USAGE)
    record_action(connection, actor, now, "hawkbit remove", label)


def list_device_tokens(connection: Connection) -> list[DeviceToken]:
    """All of them, gateways first."""
    rows = connection.execute(select(ddi_tokens).order_by(ddi_tokens.c.kind, ddi_tokens.c.label)).mappings()
    return [_token(row) for row in rows]


def check_device_token(connection: Connection, header: str, device_id: str) -> DeviceToken | None:
    """The token in a header `Authorization` if it admits this device; else None."""
    scheme, _, token = header.partition(" ")
    kinds = {"targettoken": TokenKind.TARGET, "gatewaytoken": TokenKind.GATEWAY}
    kind = kinds.get(scheme.casefold())
    if kind is None:
        return None
    row = connection.execute(select(ddi_tokens).where(
        ddi_tokens.c.hashed == _hash(token.strip()), ddi_tokens.c.kind == kind)).mappings().first()
    if row is None or (kind is TokenKind.TARGET and row["label"] != device_id):
        return None
    return _token(row)


def _token(row: Mapping[Any, Any]) -> DeviceToken:
    return DeviceToken(
        kind=TokenKind(row["kind"]), label=row["label"], product=row["product"], channel=row["channel"],
        created=row["created"])


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
