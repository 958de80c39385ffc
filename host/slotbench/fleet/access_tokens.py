"""The logins of the cockpit: tokens that are shown once, and kept as scrypt hashes. Two roles."""

from __future__ import annotations

import hashlib
import secrets
import threading
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, delete, func, insert, select

from slotbench.errors import USAGE, BenchError
from slotbench.fleet.audit_log import Actor, record_action
from slotbench.fleet.recorder import upsert
from slotbench.fleet.schema import secrets_kept, tokens

__all__ = [
    "AccessRole", "AccessToken", "check_token", "count_tokens", "find_token", "list_tokens", "make_token",
    "remove_token", "session_key",
]

_LOG2_N: Final = 14
_R, _P = 8, 1
_MEMORY_BYTES: Final = 64 * 1024 * 1024
_SALT_BYTES, _SECRET_BYTES = 16, 24
_LABEL_MAX: Final = 40
_WAIT_S: Final = 10
_SESSION_KEY: Final = "session_key"
_one_hash = threading.Semaphore(2)
"""Each hash takes 16 MB and some 50 ms: never many at once, whoever asks."""


class AccessRole(StrEnum):
    """What a login may do: viewers look, operators change."""

    VIEWER = "viewer"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """A login; its token is not known any more. `created` is Unix seconds."""

    id: int
    label: str
    role: AccessRole
    created: int


def make_token(connection: Connection, actor: Actor, now: int, label: str, role: AccessRole) -> str:
    """Make a login, and return its token. Nobody can find it out later.

    Raises BenchError (usage) for a label that is there already, or that cannot be shown.
    """
    if not 0 < len(label) <= _LABEL_MAX or not label.isprintable() or label != label.strip():
        raise BenchError(
            f"{label!r} is no name of a login", cure=f"give 1 to {_LABEL_MAX} characters that can be printed",
            exit_code=USAGE)
    if connection.execute(select(tokens.c.id).where(tokens.c.label == label)).first() is not None:
        raise BenchError(
            "a login of that name is there", where=label, exit_code=USAGE,
            cure="choose another name, or take it away first: slotbench fleet token remove")
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    number = connection.execute(insert(tokens).values(
        label=label, role=role.value, hashed=_hash(secret), created=now)).inserted_primary_key
    assert number is not None
    record_action(connection, actor, now, "token new", label, role.value)
    return f"{number[0]}.{secret}"


def remove_token(connection: Connection, actor: Actor, now: int, label: str) -> None:
    """Take a login away; its sessions end with their next request. Raises BenchError (usage)."""
    if not connection.execute(delete(tokens).where(tokens.c.label == label)).rowcount:
        raise BenchError(
            "there is no login of that name", where=label, cure="see `slotbench fleet token list`",
            exit_code=USAGE)
    record_action(connection, actor, now, "token remove", label)


def list_tokens(connection: Connection) -> list[AccessToken]:
    """All logins, by name."""
    return [
        AccessToken(id=row.id, label=row.label, role=AccessRole(row.role), created=row.created)
        for row in connection.execute(select(tokens).order_by(tokens.c.label))]


def count_tokens(connection: Connection) -> int:
    """How many logins there are."""
    return int(connection.execute(select(func.count()).select_from(tokens)).scalar_one())


def find_token(connection: Connection, number: int) -> AccessToken | None:
    """The login of that number; None if it was taken away."""
    row = connection.execute(select(tokens).where(tokens.c.id == number)).first()
    if row is None:
        return None
    return AccessToken(id=row.id, label=row.label, role=AccessRole(row.role), created=row.created)


def check_token(connection: Connection, token: str) -> AccessToken | None:
    """The login with this token; None for a wrong one. A wrong name takes as long as a wrong secret."""
    number, _, secret = token.strip().partition(".")
    known = number.isascii() and number.isdecimal() and len(number) < 10
    row = connection.execute(select(tokens).where(tokens.c.id == int(number))).first() if known else None
    right = _matches(secret[:200], row.hashed if row is not None else _hash("", bytes(_SALT_BYTES)))
    if row is None or not right:
        return None
    return AccessToken(id=row.id, label=row.label, role=AccessRole(row.role), created=row.created)


def session_key(connection: Connection) -> bytes:
    """The key that signs the sessions of all processes of this fleet; made with the first use."""
    connection.execute(
        upsert(connection, secrets_kept).values(name=_SESSION_KEY, value=secrets.token_hex(32))
        .on_conflict_do_nothing())
    found = connection.execute(
        select(secrets_kept.c.value).where(secrets_kept.c.name == _SESSION_KEY)).scalar_one()
    return bytes.fromhex(found)


def _hash(secret: str, salt: bytes | None = None) -> str:
    salt = secrets.token_bytes(_SALT_BYTES) if salt is None else salt
    return f"scrypt${_LOG2_N}${_R}${_P}${salt.hex()}${_scrypt(secret, salt, _LOG2_N, _R, _P).hex()}"


def _matches(secret: str, hashed: str) -> bool:
    _, log2_n, r, p, salt, wanted = hashed.split("$")
    found = _scrypt(secret, bytes.fromhex(salt), int(log2_n), int(r), int(p))
    return secrets.compare_digest(found, bytes.fromhex(wanted))


def _scrypt(secret: str, salt: bytes, log2_n: int, r: int, p: int) -> bytes:
    if not _one_hash.acquire(timeout=_WAIT_S):
        raise BenchError("too many logins at once", cure="try again in a minute", exit_code=USAGE)
    try:
        return hashlib.scrypt(secret.encode(), salt=salt, n=1 << log2_n, r=r, p=p, maxmem=_MEMORY_BYTES)
    finally:
        _one_hash.release()
