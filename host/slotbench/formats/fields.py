"""Reading the JSON object of a document: each field there, of its type and range, none besides."""

from __future__ import annotations

import base64
import binascii
import difflib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from slotbench.formats import FormatError

_T = TypeVar("_T")

INT_MAX = 2**31 - 1
NAME_CHARS_MAX = 32

_NAME = re.compile(r"[a-z0-9_-]{1,32}")
_HEX64 = re.compile(r"[0-9a-f]{64}")
_NAME_RULE = f"1-{NAME_CHARS_MAX} characters of a-z 0-9 _ -"


def dump_json(fields: Mapping[str, object]) -> bytes:
    """One line of ASCII JSON without spaces, in the order of `fields`."""
    return json.dumps(fields, ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def check_name(value: object, field: str) -> str:
    """`value` when it is a name (product, board, channel, cohort)."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise FormatError(f"{value!r} is not a name", field=field, do=f"use {_NAME_RULE}")
    return value


def check_int(value: object, field: str, low: int = 0, high: int = INT_MAX) -> int:
    """`value` when it is an integer from `low` to `high`."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise FormatError(f"{value!r} is not an integer", field=field)
    if not low <= value <= high:
        raise FormatError(f"{value} is not from {low} to {high}", field=field)
    return value


class Fields:
    """The object of one document being read.

    Each method takes one field out or raises FormatError naming it.
    """

    def __init__(self, fields: Mapping[str, Any], path: str = "") -> None:
        self._fields = dict(fields)
        self._path = path
        self._taken: list[str] = []

    @classmethod
    def parse(cls, payload: bytes, kind: str, version: int = 1) -> Fields:
        """The fields of a payload of this `kind` and `format`, both checked and taken out."""
        fields = cls(_load_object(payload))
        found = fields.text("kind", 1, 16)
        if found != kind:
            raise FormatError(f"document is a {found}, not a {kind}", field="kind")
        found_version = fields.integer("format")
        if found_version != version:
            raise FormatError(f"format {found_version} is not known, only {version}", field="format")
        return fields

    def path(self, key: str) -> str:
        """The name of a field as messages give it: `images.any.url`."""
        return self._path + key

    def has(self, key: str) -> bool:
        """Whether there is a field that may be left out."""
        return key in self._fields

    def pop_field(self, key: str) -> Any:
        """The raw value of a field that must be there."""
        self._taken.append(key)
        try:
            return self._fields.pop(key)
        except KeyError:
            close = difflib.get_close_matches(key, self._fields, 1)
            do = f"rename {close[0]}?" if close else ""
            raise FormatError("field is missing", field=self.path(key), do=do) from None

    def name(self, key: str) -> str:
        """A name (product, board, channel, cohort)."""
        return check_name(self.pop_field(key), self.path(key))

    def names(self, key: str, at_least: int = 1) -> tuple[str, ...]:
        """A list of `at_least` so many names, none twice."""
        values = self.sequence(key)
        names = tuple(check_name(value, self.path(key)) for value in values)
        if len(names) < at_least:
            raise FormatError("list is empty", field=self.path(key))
        if len(set(names)) != len(names):
            raise FormatError("a name is listed twice", field=self.path(key))
        return names

    def integer(self, key: str, low: int = 0, high: int = INT_MAX) -> int:
        """An integer from `low` to `high`."""
        return check_int(self.pop_field(key), self.path(key), low, high)

    def boolean(self, key: str) -> bool:
        """True or false."""
        value = self.pop_field(key)
        if not isinstance(value, bool):
            raise FormatError(f"{value!r} is not true or false", field=self.path(key))
        return value

    def text(self, key: str, low: int, high: int, *, ascii_only: bool = True) -> str:
        """A string of `low` to `high` printable characters."""
        value = self.pop_field(key)
        if not isinstance(value, str):
            raise FormatError(f"{value!r} is not a string", field=self.path(key))
        if not low <= len(value) <= high:
            raise FormatError(f"{len(value)} characters, not {low}-{high}", field=self.path(key))
        if not value.isprintable() or (ascii_only and not value.isascii()):
            kind = "printable ASCII" if ascii_only else "printable"
            raise FormatError(f"{value!r} is not {kind}", field=self.path(key))
        return value

    def choice(self, key: str, options: Sequence[_T]) -> _T:
        """One of `options`, which are all of one type."""
        value = self.pop_field(key)
        for option in options:
            if value == option and not isinstance(value, bool):
                return option
        allowed = ", ".join(str(option) for option in options)
        raise FormatError(f"{value!r} is none of {allowed}", field=self.path(key))

    def hex_digest(self, key: str) -> str:
        """A SHA-256 as 64 lower case hex digits."""
        value = self.pop_field(key)
        if not isinstance(value, str) or not _HEX64.fullmatch(value):
            raise FormatError(f"{value!r} is not 64 lower case hex digits", field=self.path(key))
        return value

    def base64_bytes(self, value: object, key: str, size: int) -> bytes:
        """`value`, taken from field `key`, decoded from base64 to exactly `size` bytes."""
        try:
            data = base64.b64decode(value, validate=True) if isinstance(value, str) else b""
        except (binascii.Error, ValueError):
            data = b""
        if len(data) != size:
            raise FormatError(f"value is not base64 of {size} bytes", field=self.path(key))
        return data

    def sequence(self, key: str) -> list[Any]:
        """A list of anything."""
        value = self.pop_field(key)
        if not isinstance(value, list):
            raise FormatError(f"{value!r} is not a list", field=self.path(key))
        return value

    def object(self, key: str) -> Fields:
        """An object; its fields are named after it in messages."""
        value = self.pop_field(key)
        if not isinstance(value, dict):
            raise FormatError(f"{value!r} is not an object", field=self.path(key))
        return Fields(value, f"{self._path}{key}.")

    def keys(self) -> frozenset[str]:
        """The fields not taken yet."""
        return frozenset(self._fields)

    def require_empty(self) -> None:
        """Raise FormatError when a field is left: it is not known to this format."""
        for key in self._fields:
            close = difflib.get_close_matches(key, self._taken, 1)
            do = f"did you mean {close[0]}?" if close else ""
            raise FormatError("field is not known", field=self.path(key), do=do)


def kind_of(payload: bytes) -> str:
    """The `kind` of a payload, whatever else it holds. Raises FormatError."""
    return Fields(_load_object(payload)).text("kind", 1, 16)


def _load_object(payload: bytes) -> dict[str, Any]:
    try:
        value = json.loads(
            payload.decode("ascii"),
            object_pairs_hook=_require_unique, parse_float=_refuse_number, parse_constant=_refuse_number,
        )
    except UnicodeDecodeError as error:
        raise FormatError("payload is not ASCII", error.start) from None
    except json.JSONDecodeError as error:
        raise FormatError(f"payload is not JSON ({error.msg})", error.pos) from None
    except (RecursionError, ValueError):
        raise FormatError("payload is nested too deeply or has too long a number") from None
    if not isinstance(value, dict):
        raise FormatError("payload is not a JSON object", 0)
    return value


def _require_unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise FormatError("field is there twice", field=key)
        found[key] = value
    return found


def _refuse_number(text: str) -> Any:
    raise FormatError(f"{text} is not an integer")
