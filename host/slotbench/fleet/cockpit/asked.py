"""What a request asks for, in values that every database takes: no control characters, no endless numbers."""

from __future__ import annotations

from typing import Final

from flask import request
from sqlalchemy import Connection

from slotbench.errors import BenchError
from slotbench.fleet.offers import signing_process

__all__ = ["asked_number", "asked_text", "require_signer"]

_DIGITS_MAX: Final = 15


def asked_text(name: str, most: int) -> str:
    """A text of the query, without what cannot be printed, cut at `most` characters; empty if missing."""
    return "".join(filter(str.isprintable, request.args.get(name, "")))[:most]


def asked_number(name: str) -> int | None:
    """A number of the query from 0 on; None if it is missing, or no such number."""
    text = request.args.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _DIGITS_MAX else None


def require_signer(connection: Connection, now: int, command: str) -> None:
    """Raise BenchError while no process signs: what is asked in a page would wait, and nobody would know."""
    if not signing_process(connection, now):
        raise BenchError(
            "no process signs now, and these pages hold no key", where="online key",
            cure=f"start slotbench serve --sign or slotbench fleet run; or type where the key is: {command}")
