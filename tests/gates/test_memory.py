"""Gate `memory`: figures above the budget are found, and so is an allocation for each block."""

from __future__ import annotations

from pathlib import Path

import pytest
from checks import memory
from checks.report import GateReport

from slotbench.prove import memory as memory_proof
from slotbench.prove import stock
from slotbench.vboard.flash.nor import NorFlash
from slotbench.vboard.micropython.installation import VARIABLE
from slotbench.vboard.micropython.vm import MicroPythonVM
from slotbench.vboard.network.loopback import LoopbackNetwork
from slotbench.vboard.signals import BenchViolation
from slotbench.vboard.soc import Soc

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


@pytest.mark.parametrize("guess", [0, 128, 20_096, 40_064, 40_192, 90_112, memory_proof.LARGE - 128])
def test_a_guess_changes_how_long_the_search_takes_and_not_what_it_finds(
        monkeypatch: pytest.MonkeyPatch, guess: int) -> None:
    monkeypatch.setattr(memory_proof, "_heap_of", lambda peak: peak)
    tried: list[int] = []

    def enough(heap: int) -> bool:
        tried.append(heap)
        return heap >= 40_064

    assert memory_proof.smallest_heap(enough, guess) == 40_064
    assert len(tried) == len(set(tried))
    if abs(guess - 40_064) <= 128:
        assert len(tried) <= 4


def test_a_heap_that_is_never_enough_is_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_proof, "_heap_of", lambda peak: peak)
    for guess in (0, 20_096):
        with pytest.raises(BenchViolation, match="is not enough"):
            memory_proof.smallest_heap(lambda heap: False, guess)


@pytest.mark.parametrize("required", [False, True])
def test_without_the_vm_nothing_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, required: bool) -> None:
    """Where it must be there, that is a finding."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nowhere"))
    monkeypatch.setenv("TWOSLOT_REQUIRE_TOOLS", "1" if required else "")
    soc = Soc(NorFlash(1024 * 1024))
    monkeypatch.setattr(stock, "measure_stock", lambda folder: MicroPythonVM(soc, {}, LoopbackNetwork()))
    report = GateReport()
    memory.run(tmp_path, report)
    assert [finding.path for finding in report.findings] == ["tools/get-micropython"] * required
    assert [line.partition(":")[0] for line in report.lines] == ["not measured"] * (not required)
