"""Gate `memory`: what twoslot takes from a board's heap, on the real MicroPython VM, against the budget."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path

from checks.report import GateReport
from slotbench.errors import BenchError

_BUDGET = "tools/memory_budget.json"
_REQUIRED = "TWOSLOT_REQUIRE_TOOLS"
_CHECKED = (
    "boot_bytes", "idle_bytes", "update_peak_bytes", "push_peak_bytes", "rsa_peak_bytes",
    "per_block_bytes", "stock_idle_bytes", "stock_peak_bytes")
_SLACK = {
    "update_peak_bytes": 1024, "push_peak_bytes": 1024, "rsa_peak_bytes": 1024,
    "boot_bytes": 128, "idle_bytes": 128, "stock_idle_bytes": 128, "stock_peak_bytes": 1024}
"""A peak is the smallest heap that does it, and its layout is a matter of luck. What is in use is exact but
for what the collector takes for a pointer."""
_AGAIN = 2
"""So what is above its budget is measured again: the least counts."""


def run(root: Path, report: GateReport) -> None:
    """Measure, and compare with the budget."""
    found = _measured(report)
    if found is None:
        return
    target = root / _BUDGET
    budget: dict[str, int] = json.loads(target.read_text(encoding="utf-8")) if target.is_file() else {}
    least = found
    for _ in range(_AGAIN):
        if not _above(least, budget):
            break
        if (found := _measured(report)) is not None:
            least = {name: min(least[name], value) for name, value in found.items()}
    compare(least, budget, report)


def _above(found: dict[str, int], budget: dict[str, int]) -> list[str]:
    """The figures that are above their budget."""
    return [
        name for name in _CHECKED
        if name in budget and found[name] > budget[name] + _SLACK.get(name, 0)]


def compare(found: dict[str, int], budget: dict[str, int], report: GateReport) -> None:
    """Report each figure that is above its budget or has none."""
    for name in _CHECKED:
        allowed = budget.get(name)
        report.lines.append(f"{name:<20}{found[name]:>8}")
        if allowed is None:
            report.add(_BUDGET, 0, f"has no {name}; it is {found[name]}", "tools/check --update-budget")
        elif name in _above(found, budget):
            report.add("device/twoslot", 0, f"{name} is {found[name]}, the budget is {allowed}",
                       "find what took it: slotbench prove memory; or raise the budget on purpose")


def update(root: Path) -> GateReport:
    """Make today's figures the budget."""
    report = GateReport()
    found = _measured(report)
    if found is not None:
        target = root / _BUDGET
        part = target.with_suffix(".part")
        text = json.dumps({name: found[name] for name in _CHECKED}, indent=2)
        part.write_text(text + "\n", encoding="utf-8")
        os.replace(part, target)
        report.lines.append(f"{_BUDGET}: {len(_CHECKED)} figures")
    return report


def _measured(report: GateReport) -> dict[str, int] | None:
    # All other gates start in half the time without these.
    from slotbench.prove.memory import measure_heap
    from slotbench.prove.stock import measure_stock

    try:
        with tempfile.TemporaryDirectory(prefix="slotbench-") as folder:
            stock = measure_stock(Path(folder, "stock"))
            return asdict(measure_heap(Path(folder))) | {
                "stock_idle_bytes": stock.idle_bytes, "stock_peak_bytes": stock.peak_bytes}
    except BenchError as error:
        if os.environ.get(_REQUIRED):
            report.add("tools/get-micropython", 0, str(error))
        else:
            report.lines.append(f"not measured: {error}")
        return None
