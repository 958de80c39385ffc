"""What a request asks for, in values that every database takes: no control characters, no endless numbers."""

from __future__ import annotations

from typing import Final

from flask import request

__all__ = ["asked_number", "asked_text"]

_DIGITS_MAX: Final = 15


def asked_text(name: str, most: int) -> str:
    """A text of the query, without what cannot be printed, cut at `most` characters; empty if missing."""
    return "".join(filter(str.isprintable, request.args.get(name, "")))[:most]


def asked_number(name: str) -> int | None:
    """A number of the query from 0 on; None if it is missing, or no such number."""
    text = request.args.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _DIGITS_MAX else None
