"""What a program of 20 files costs a board of 1 MB over the air: the figures of the guide, on the real VM."""

from __future__ import annotations

import re
from pathlib import Path

from slotbench.prove.stock import StockBench, program_of_20_files

GUIDE = Path(__file__).parents[2] / "host" / "docs" / "applications.md"
ROWS = {"all 20 files": {}, "one line of one of them": None}
"""What the board runs before: nothing, or another program of 20 files."""
TIME_MS = 1500
DEFLATED_BYTES = 60
"""Another zlib than this one's may need more or fewer."""


def number(text: str) -> int:
    return int(re.sub(r"[^0-9]", "", text))


def test_the_figures_of_the_guide(tmp_path: Path) -> None:
    found: dict[str, list[int]] = {}
    for patches in (3, 0):
        bench = StockBench(tmp_path / str(patches), patches)
        bench.offer(1, program_of_20_files(1))
        bench.offer(2, program_of_20_files(2))
        for row, before in ROWS.items():
            cost = bench.update(2, program=before)
            assert cost is not None, f"{row}: it was not confirmed at the first attempt"
            found.setdefault(row, []).extend(cost)
    for row, (patched, patched_ms, whole, whole_ms) in found.items():
        line = next(line for line in GUIDE.read_text(encoding="utf-8").splitlines() if line.startswith(f"| {row} |"))
        fetched, took, without = (cell.strip() for cell in line.strip("|").split("|")[1:])
        bytes_without, seconds_without = without.split(" bytes, ")
        for said, sent in ((number(fetched), patched), (number(bytes_without), whole)):
            assert abs(said - sent) <= DEFLATED_BYTES, (row, said, sent)
        for said, ms in ((number(took), patched_ms), (number(seconds_without), whole_ms)):
            assert abs(said * 1000 - ms) < TIME_MS, (row, said, ms)
