"""What the command line of one call asks for, beside its verb."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Invocation"]


@dataclass(slots=True)
class Invocation:
    """How much is said, whether as JSON, and the result of the verb until it is printed.

    `verb` are the words behind `slotbench`, such as "release list". With `json_log` each line of the log is
    an object.
    """

    verbosity: int = 0
    as_json: bool = False
    verb: str = ""
    result: Any = None
    json_log: bool = False
