"""What a check found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from slotbench.errors import BenchError

__all__ = ["Diagnosis", "State", "all_well", "as_finding", "warning", "wrong"]


class State(StrEnum):
    """How it is. Only what is wrong makes `slotbench doctor` fail."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The result of one look: `check` says at what, `what` is in words, `cure` is empty where all is well."""

    check: str
    state: State
    what: str
    cure: str = ""


def all_well(check: str, what: str) -> Diagnosis:
    """A check that found nothing wrong."""
    return Diagnosis(check, State.OK, what)


def warning(check: str, what: str, cure: str) -> Diagnosis:
    """Something that works today, and will hurt one day."""
    return Diagnosis(check, State.WARNING, what, cure)


def wrong(check: str, what: str, cure: str) -> Diagnosis:
    """Something that does not work."""
    return Diagnosis(check, State.WRONG, what, cure)


@contextmanager
def as_finding(check: str, found: list[Diagnosis]) -> Iterator[None]:
    """Turn a BenchError of the block into a finding that is wrong."""
    try:
        yield
    except BenchError as error:
        what = f"{error.what}: {error.where}" if error.where else error.what
        found.append(wrong(check, what, error.cure))
