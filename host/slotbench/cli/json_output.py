"""Frozen dataclasses of facts as JSON: what `--json` prints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum, StrEnum
from typing import Any


def to_json(facts: object) -> str:
    """One JSON object: bytes as hex, enumerations by name in lower case, keys as the fields are
    called.
    """
    return json.dumps(plain(facts), indent=2)


def plain(value: object) -> Any:
    """`value` in the types of JSON."""
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, Enum):
        return value.name.lower()
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return value.hex()
    return value
