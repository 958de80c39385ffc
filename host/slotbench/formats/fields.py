"""Reading the JSON object of a document: every field is required, typed and checked; no other is allowed."""

from __future__ import annotations

import base64
import binascii
import difflib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from slotbench.formats import FormatError

_T = TypeVar("_T")

INT_MAX = 2**31 - 1
TIME_MAX = 2**32 - 1
NAME_CHARS_MAX = 32

_START_OF_2020 = 1_577_836_800
_NAME = re.compile(r"[a-z0-9_][a-z0-9_-]{0,31}")
_HEX64 = re.compile(r"[0-9a-f]{64}")
_NAME_RULE = f"1-{NAME_CHARS_MAX} characters of a-z 0-9 _ -, the first of them no -"


def dump_json(fields: Mapping[str, object]) -> bytes:
    """One line of ASCII JSON without spaces, in the order of `fields`."""
    return json.dumps(fields, ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def seconds_since_2020(unix_s: int) -> int:
    """A number that rises without anyone choosing it. `unix_s` is Unix seconds."""
    return unix_s - _START_OF_2020


def date_words(unix_s: int) -> str:
    """A time for people. `unix_s` is Unix seconds."""
    return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%d %H:%M:%S} UTC"


def check_name(value: object, field: str) -> str:
    """Return `value` if it is a name (of a product, board, channel or cohort). Raises FormatError."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise FormatError(f"{value!r} is not a name", field=field, cure=f"use {_NAME_RULE}")
    return value


def check_int(value: object, field: str, low: int = 0, high: int = INT_MAX) -> int:
    """Return `value` if it is an integer from `low` to `high`. Raises FormatError."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise FormatError(f"{value!r} is not an integer", field=field)
    if not low <= value <= high:
        raise FormatError(f"{value} is not from {low} to {high}", field=field)
    return value


class Fields:
    """The JSON object of a document that is being read.

    Each reading method removes its field from the object, or raises FormatError with its name.
    """

    def __init__(self, fields: Mapping[str, Any], path: str = "") -> None:
        self._fields = dict(fields)
        self._path = path
        self._taken: list[str] = []

    @classmethod
    def parse(cls, payload: bytes, kind: str, version: int = 1) -> Fields:
        """The fields of a payload. Its `kind` and `format` are checked and removed. Raises FormatError."""
        fields = cls(load_object(payload))
        found = fields.text("kind", 1, 16)
        if found != kind:
            raise FormatError(f"document kind is {found}, not {kind}", field="kind")
        found_version = fields.integer("format")
        if found_version != version:
            raise FormatError(f"format {found_version} is not known, only {version}", field="format")
        return fields

    def path(self, key: str) -> str:
        """The full name of a field for messages, such as `images.any.url`."""
        return self._path + key

    def has(self, key: str) -> bool:
        """Whether an optional field is there."""
        return key in self._fields

    def pop_field(self, key: str) -> Any:
        """The unchecked value of a required field."""
        self._taken.append(key)
        try:
            return self._fields.pop(key)
        except KeyError:
            close = difflib.get_close_matches(key, self._fields, 1)
            cure = f"rename {close[0]} to {key}" if close else ""
            raise FormatError("field is missing", field=self.path(key), cure=cure) from None

    def name(self, key: str) -> str:
        """A name of a product, board, channel or cohort."""
        return check_name(self.pop_field(key), self.path(key))

    def names(self, key: str, at_least: int = 1) -> tuple[str, ...]:
        """A list of at least `at_least` different names."""
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
        """One of `options`. All options have one type."""
        value = self.pop_field(key)
        for option in options:
            if value == option and not isinstance(value, bool):
                return option
        allowed = ", ".join(str(option) for option in options)
        raise FormatError(f"{value!r} is not one of {allowed}", field=self.path(key))

    def hex_digest(self, key: str) -> str:
        """A SHA-256 as 64 lower case hex digits."""
        value = self.pop_field(key)
        if not isinstance(value, str) or not _HEX64.fullmatch(value):
            raise FormatError(f"{value!r} is not 64 lower case hex digits", field=self.path(key))
        return value

    def base64_bytes(self, value: object, key: str, size: int) -> bytes:
        """`value`, the value of field `key`, decoded from base64 to exactly `size` bytes."""
        try:
            data = base64.b64decode(value, validate=True) if isinstance(value, str) else b""
        except (binascii.Error, ValueError):
            data = b""
        if len(data) != size:
            raise FormatError(f"value is not base64 of {size} bytes", field=self.path(key))
        return data

    def sequence(self, key: str) -> list[Any]:
        """A list with unchecked items."""
        value = self.pop_field(key)
        if not isinstance(value, list):
            raise FormatError(f"{value!r} is not a list", field=self.path(key))
        return value

    def object(self, key: str) -> Fields:
        """A nested object. Messages name its fields with its own name in front."""
        value = self.pop_field(key)
        if not isinstance(value, dict):
            raise FormatError(f"{value!r} is not an object", field=self.path(key))
        return Fields(value, f"{self._path}{key}.")

    def keys(self) -> frozenset[str]:
        """The names of the fields that were not read yet."""
        return frozenset(self._fields)

    def require_empty(self) -> None:
        """Raise FormatError if a field was not read: this format does not know it."""
        for key in self._fields:
            close = difflib.get_close_matches(key, self._taken, 1)
            cure = f"rename it to {close[0]}" if close else "remove it"
            raise FormatError("field is not known", field=self.path(key), cure=cure)


def kind_of(payload: bytes) -> str:
    """The `kind` of a payload. Its other fields are not checked. Raises FormatError."""
    return Fields(load_object(payload)).text("kind", 1, 16)


def load_object(payload: bytes) -> dict[str, Any]:
    """The JSON object in a payload of ASCII, without a fraction, and no field twice. Raises FormatError."""
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
        raise FormatError("payload is nested too deeply, or a number is too long") from None
    if not isinstance(value, dict):
        raise FormatError("payload is not a JSON object", 0)
    return value


def _require_unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise FormatError("field is given twice", field=key)
        found[key] = value
    return found


def _refuse_number(text: str) -> Any:
    raise FormatError(f"{text} is not an integer")
