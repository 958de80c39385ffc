"""A small program of the kind that people write for this chip, and what it must print."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from slotbench.parts import Part
from slotbench.parts.base import Wires

__all__ = ["Bench", "Program", "program"]


@dataclass(frozen=True, slots=True)
class Bench:
    """What lies around a board while a program runs: its pins, its `parts`, its second serial port's text.

    `server` is the port on this machine where the programs' server listens, 0 without a network.
    """

    pins: Wires
    parts: dict[str, Part]
    uart1: bytearray
    server: int = 0


@dataclass(frozen=True, slots=True)
class Program:
    """A program of the `kind`: what it `does`, its `source`, and what must come of it.

    `parts` makes the parts that it needs, `prepare` does what a person does before it starts. `then` runs
    after the restart that the source ends in. `evidence` is what the bench saw, as text, and must be `seen`.
    In `source`, SERVER stands for the port of the programs' server. With `network` it needs one.
    """

    name: str
    kind: str
    does: str
    source: str
    prints: str
    parts: Callable[[], Sequence[Part]] | None = None
    prepare: Callable[[Bench], object] | None = None
    evidence: Callable[[Bench], str] | None = None
    seen: str = ""
    then: str = ""
    network: bool = False
    limit_s: float = 15.0


def program(kind: str) -> Callable[..., Program]:
    """What makes the programs of one kind; sources are dedented, and what they print too."""

    def make(name: str, does: str, source: str, prints: str, **more: object) -> Program:
        if isinstance(then := more.get("then"), str):
            more["then"] = _clean(then)
        return Program(name, kind, does, _clean(source), _clean(prints), **more)  # type: ignore[arg-type]

    return make


def _clean(text: str) -> str:
    return textwrap.dedent(text).strip("\n") + "\n" if text.strip() else ""
