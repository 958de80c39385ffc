"""Values in texts from outside: of boards, and of files that somebody else made."""

from __future__ import annotations

import json
from typing import Any

from slotbench.syntax import parse_literal

__all__ = ["load_json", "load_literal"]


def load_json(text: str | bytes) -> Any:
    """The JSON value in `text`. Raises ValueError for whatever is none, however deep it is nested."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def load_literal(text: str) -> Any:
    """The Python literal in `text`. Raises ValueError for whatever is none, however deep it is nested."""
    try:
        return parse_literal(text)
    except (SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError(f"not a literal: {type(error).__name__}") from None
