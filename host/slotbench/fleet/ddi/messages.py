"""What devices send by DDI: feedback about an action, and data about themselves. Pure; nothing is trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from slotbench.untrusted import load_json

__all__ = [
    "ATTRIBUTES_MAX", "Execution", "Feedback", "KEY_MAX", "MessageError", "TEXT_MAX", "VALUE_MAX",
    "merge_attributes", "parse_feedback", "plain_text",
]

ATTRIBUTES_MAX: Final = 100
"""How many attributes a device may have."""
KEY_MAX, VALUE_MAX = 128, 256
TEXT_MAX: Final = 200
"""The longest text of a device that is kept, in characters."""
_DETAILS_MAX: Final = 20
_MODES: Final = ("merge", "replace", "remove")
_RESULTS: Final = ("success", "failure", "none")


class MessageError(ValueError):
    """A message that the API does not allow. Its text says why, and repeats nothing of the message."""


class Execution(StrEnum):
    """`status.execution` of a feedback."""

    CLOSED = "closed"
    PROCEEDING = "proceeding"
    CANCELED = "canceled"
    SCHEDULED = "scheduled"
    REJECTED = "rejected"
    RESUMED = "resumed"
    DOWNLOADED = "downloaded"
    DOWNLOAD = "download"


@dataclass(frozen=True, slots=True)
class Feedback:
    """A feedback. `finished` is success, failure or none; `words` is what the device says, made printable."""

    execution: Execution
    finished: str
    words: str


def parse_feedback(body: bytes) -> Feedback:
    """The feedback in a body. Raises MessageError. Fields that are not needed are not looked at."""
    status = _object(_object(_load(body), "the body").get("status"), "status")
    result = _object(status.get("result"), "status.result")
    try:
        execution = Execution(str(status.get("execution")))
    except ValueError:
        raise MessageError("status.execution is no word of the API") from None
    finished = result.get("finished")
    if finished not in _RESULTS:
        raise MessageError("status.result.finished is not success, failure or none")
    details = status.get("details") or []
    if not isinstance(details, list) or not all(isinstance(each, str) for each in details):
        raise MessageError("status.details is no list of texts")
    return Feedback(execution, finished, plain_text(" / ".join(details[:_DETAILS_MAX])))


def merge_attributes(body: bytes, before: Mapping[str, str]) -> dict[str, str]:
    """The attributes of a device after the configData in a body. Raises MessageError."""
    message = _object(_load(body), "the body")
    mode = message.get("mode") or "merge"
    data = _object(message.get("data"), "data")
    if mode not in _MODES:
        raise MessageError("mode is not merge, replace or remove")
    for key, value in data.items():
        if not 0 < len(key) <= KEY_MAX or not key.isprintable():
            raise MessageError(f"data has a key that is not 1 to {KEY_MAX} printable characters")
        if not isinstance(value, str) or len(value) > VALUE_MAX or not value.isprintable():
            raise MessageError(
                f"data has a value that is no text of at most {VALUE_MAX} printable characters")
    if mode == "remove":
        return {key: value for key, value in before.items() if key not in data}
    after = {**(before if mode == "merge" else {}), **data}
    if len(after) > ATTRIBUTES_MAX:
        raise MessageError(f"a device has at most {ATTRIBUTES_MAX} attributes")
    return after


def plain_text(text: str) -> str:
    """A device's text as it is kept: characters that cannot be printed become `?`, and it is cut."""
    return "".join(each if each.isprintable() else "?" for each in text[:TEXT_MAX])


def _load(body: bytes) -> Any:
    try:
        return load_json(body)
    except ValueError:  # also bytes that are no UTF-8
        raise MessageError("the body is no JSON") from None


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MessageError(f"{name} is no object")
    return value
