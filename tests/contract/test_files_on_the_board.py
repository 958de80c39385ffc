"""What FORMATS lists as files on the board is what `deploy --undo` takes away."""

from __future__ import annotations

import re
from pathlib import Path

from slotbench.repl.board_content import OWN

FORMATS = Path(__file__).parents[2] / "device" / "FORMATS.md"
OF_THE_USER = {"twoslot.mqtt"}
"""Nobody but the user writes it."""


def test_each_file_of_twoslot_is_taken_away() -> None:
    table = FORMATS.read_text(encoding="utf-8").split("\n## Files on the board\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `") and "in such a folder" not in line]
    listed = {name for row in rows for name in re.findall(r"`(twoslot[\w.]*)`", row)}
    assert len(listed) > 15
    assert listed - OF_THE_USER - {name.lstrip("/") for name in OWN} == set()
