"""Gate `memory`: figures above the budget are found, and so is an allocation for each block."""

from __future__ import annotations

from checks import memory
from checks.report import GateReport

BUDGET = {
    "boot_bytes": 2000, "idle_bytes": 5000, "update_peak_bytes": 20000, "push_peak_bytes": 24000,
    "rsa_peak_bytes": 5000, "per_block_bytes": 600, "stock_idle_bytes": 9000, "stock_peak_bytes": 29000,
}


def findings(**found: int) -> list[str]:
    report = GateReport()
    memory.compare({**BUDGET, **found}, BUDGET, report)
    return [finding.what for finding in report.findings]


def test_figures_within_the_budget() -> None:
    assert findings(update_peak_bytes=20_100, idle_bytes=4000) == []


def test_a_leak_and_an_allocation_for_each_block() -> None:
    assert findings(idle_bytes=5200, per_block_bytes=616) == [
        "idle_bytes is 5200, the budget is 5000", "per_block_bytes is 616, the budget is 600",
    ]


def test_a_figure_without_a_budget() -> None:
    report = GateReport()
    memory.compare(BUDGET, {}, report)
    assert len(report.findings) == len(BUDGET)


def test_what_is_above_its_budget_is_told_from_luck() -> None:
    assert memory._above({**BUDGET, "update_peak_bytes": 21_024}, BUDGET) == []
    assert memory._above({**BUDGET, "update_peak_bytes": 21_025}, BUDGET) == ["update_peak_bytes"]
