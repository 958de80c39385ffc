"""A small tree to plant defects in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from checks.report import GateReport

Gate = Callable[[Path, GateReport], None]


class Tree:
    """An empty project under root; write() plants a file, run() hands the tree to a gate."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, path: str, text: str) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")

    def report(self, gate: Gate) -> GateReport:
        report = GateReport()
        gate(self.root, report)
        return report

    def run(self, gate: Gate) -> list[str]:
        """Return what the gate found, as it is printed."""
        return [str(finding) for finding in self.report(gate).findings]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)
