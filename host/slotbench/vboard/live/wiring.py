"""The parts on a board's pins, as `wiring.py` in its folder names them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from slotbench.errors import USAGE, BenchError
from slotbench.parts import Part
from slotbench.syntax import parse

__all__ = ["EXAMPLE", "FILE", "Wiring", "load_wiring"]

FILE: Final = "wiring.py"
EXAMPLE: Final = '''\
"""What is wired to this board's pins; read at each power on. A part of yours: a class like those of
slotbench.parts, in this file."""
from slotbench.parts import DHT22, DS18B20, SSD1306, Button, Relay

PARTS = [
    Relay("lamp", 5),
    Button("key", 0),
    DHT22("room", 4, temperature=21.5, humidity=40),
    DS18B20("tank", 12, temperature=55),
    SSD1306("screen", scl=14, sda=13),
]
JUMPERS = []  # pairs of pins
'''


@dataclass(frozen=True, slots=True)
class Wiring:
    """Parts, and jumpers between two pins."""

    parts: Sequence[Part] = ()
    jumpers: Sequence[tuple[int, int]] = ()


def load_wiring(folder: Path, *, is_own: bool) -> Wiring:
    """Run `wiring.py` of a board's folder; without one nothing is wired.

    It is a program of this computer, not of the board: one that was not made here is refused. Raises
    BenchError (exit code 2).
    """
    path = folder / FILE
    if not path.exists():
        return Wiring()
    if not is_own:
        raise BenchError(
            "the parts of a board from elsewhere are a program that could do all that you may do here",
            where=str(path), cure="read it, and remove it, or add --trust if you know it", exit_code=USAGE)
    names: dict[str, Any] = {"__name__": "wiring", "__file__": str(path)}
    try:
        exec(compile(parse(path.read_text(), str(path)), str(path), "exec"), names)
        parts, jumpers = list(names.get("PARTS", ())), [(int(a), int(b)) for a, b in names.get("JUMPERS", ())]
    except BenchError:
        raise
    except Exception as error:
        raise BenchError(
            f"{type(error).__name__}: {error}", where=str(path), cure="mend it, or remove it",
            exit_code=USAGE) from None
    for part in parts:
        if not isinstance(part, Part):
            raise BenchError(
                f"{part!r} in PARTS is no part", where=str(path), cure="make it of slotbench.parts.Part",
                exit_code=USAGE)
    return Wiring(parts, jumpers)
