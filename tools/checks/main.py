"""The command `tools/check`: picks gates, runs them, prints a line each."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from checks import (
    codes,
    device_types,
    direction,
    docstrings,
    install_lists,
    linters,
    memory,
    naming,
    places,
    sizes,
    subset,
    vectors,
)
from checks.report import GateReport

Gate = Callable[[Path, GateReport], None]

GATES: dict[str, tuple[Gate, str]] = {
    "lint": (subset.run, "device code uses what the ESP8266 port has"),
    "sizes": (sizes.run, "lines, and bytes of .mpy against the budget"),
    "types": (device_types.run, "device code against the stubs of the ESP8266 port"),
    "memory": (memory.run, "heap that twoslot takes on the real VM, against the budget"),
    "imports": (direction.run, "import direction on the host"),
    "names": (naming.run, "each class name once, no module named by a verb, a short README"),
    "codes": (codes.run, "error codes: device, FORMATS.md and host agree"),
    "lists": (install_lists.run, "package.json and versions match the tree"),
    "docstrings": (docstrings.run, "public host code is documented"),
    "places": (places.run, "no path of one machine, no registry's host"),
    "vectors": (vectors.run, "golden files are up to date"),
    "flake8": (linters.flake8, "flake8"),
    "mypy": (linters.mypy, "mypy --strict on host and tools"),
}

SAMPLED: dict[str, tuple[Gate, str]] = {
    "flake8": (linters.drawn_flake8, "ruff, and flake8 on a part of the files"),
}
"""What `tools/test` runs in their place, without --whole."""


def main(args: Sequence[str], root: Path = Path(__file__).resolve().parents[2]) -> int:
    """Run the gates named in args, or all. Returns 0 when nothing was found, else 1; 2 on wrong usage."""
    parser = argparse.ArgumentParser(prog="tools/check", description="Run the gates: all, or those named.")
    parser.add_argument("gates", nargs="*", metavar="GATE", help=f"one of: {', '.join(GATES)}")
    parser.add_argument("--list", action="store_true", help="say what each gate checks, and stop")
    parser.add_argument("--sampled", action="store_true", help="ruff on all files, flake8 on a part of them")
    parser.add_argument("--update-budget", action="store_true",
                        help="make today's .mpy sizes and heap figures the budgets, and stop")
    options = parser.parse_args(args)
    if unknown := [gate for gate in options.gates if gate not in GATES]:
        parser.error(f"no gate is called {', '.join(unknown)}; there are {', '.join(GATES)}")
    if options.list:
        for gate, (_, what) in GATES.items():
            print(f"{gate:<12}{what}")
        return 0
    if options.update_budget:
        return max(_show(sizes.update(root)), _show(memory.update(root)))
    gates = GATES | SAMPLED if options.sampled else GATES
    failed = [gate for gate in options.gates or GATES if _run(gate, *gates[gate], root)]
    if failed:
        print(f"\nfailed: {', '.join(failed)}")
    return 1 if failed else 0


def _run(gate: str, check: Gate, what: str, root: Path) -> bool:
    report = GateReport()
    begun = time.monotonic()
    check(root, report)
    verdict = f"{len(report.findings)} found" if report.findings else "ok"
    print(f"{gate:<12}{verdict:<12}{time.monotonic() - begun:5.1f} s  {what}", flush=True)
    _show(report)
    return bool(report.findings)


def _show(report: GateReport) -> int:
    for text in (*report.lines, *report.findings):
        print(f"  {text}", flush=True)
    return 1 if report.findings else 0
