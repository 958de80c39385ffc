"""The table of device/docs/boot-table.md as data: deciders are held against what people read."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from slotbench.formats.release import DEVELOPMENT
from support.guides.page import section

BOOT_TABLE = Path(__file__).parents[3] / "device" / "docs" / "boot-table.md"
STATES = {"empty": 0, "ready": 1, "confirmed": 2, "bad": 3}
WHY = {
    "ordinary": 1, "trial": 2, "fallback": 3, "no journal, confirmed": 4, "no journal, unconfirmed": 5,
    "last resort": 6, "no descriptor": 7,
}


@dataclass(frozen=True)
class Slot:
    """One slot of a row: what the cell says, and which flaws it has."""

    state: int
    counter: int
    flaws: frozenset[str]

    @property
    def has_descriptor(self) -> bool:
        return not self.flaws & {"lost", "stock"}

    @property
    def descriptor_counter(self) -> int:
        return self.counter + ("other" in self.flaws)


@dataclass(frozen=True)
class Row:
    """One row: inputs, and the (slot, why) expected; (None, None) when nothing boots."""

    text: str
    active: int | None
    slots: tuple[Slot, Slot]
    words: dict[str, int] = field(hash=False)
    boots: int | None
    why: int | None


def rows(*, stock: bool = False) -> list[Row]:
    """The rows of the table; fails when the page has none.

    Those that start what has no descriptor only when `stock` is given: the device decides by descriptors.
    """
    text = section(BOOT_TABLE, "Decisions")
    found = [_row(line) for line in text.splitlines() if re.match(r"\| [AB-] \|", line)]
    assert len(found) > 40, "the table of boot-table.md cannot be read"
    return [row for row in found if stock or row.why != WHY["no descriptor"]]


def _row(line: str) -> Row:
    active, a, b, words, boots, why = (cell.strip() for cell in line.strip("|").split("|"))
    return Row(
        text=" / ".join((active, a, b, words)),
        active=None if active == "-" else "AB".index(active),
        slots=(_slot(a), _slot(b)),
        words=_words(words),
        boots=None if boots == "none" else "AB".index(boots),
        why=None if boots == "none" else WHY[why],
    )


def _slot(text: str) -> Slot:
    state, counter, *flaws = text.split()
    assert set(flaws) <= {"bad", "marked", "lost", "other", "rots", "stock"}, text
    number = int(counter.lstrip("d")) | (DEVELOPMENT if counter.startswith("d") else 0)
    return Slot(STATES[state], number, frozenset(flaws))


def _words(text: str) -> dict[str, int]:
    words = {"attempts": 3, "copies": 8, "floor": 1, "spent": 0, "copied": 0, "confirmed": 0, "reached": 0}
    for part in filter(None, text.split(", ")):
        name, _, number = part.partition(" ")
        assert name in words, text
        words[name] = int(number or 1)
    return words
