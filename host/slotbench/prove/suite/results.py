"""Runs MicroPython's tests, and tells what came of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from slotbench.prove.programs.program import Program
from slotbench.prove.suite.cases import SuiteCase, reason_for

__all__ = ["SuiteResult", "run_suite", "suite_table"]

_LIMIT_S = 20.0
_SKIPS = "SKIP"


@dataclass(slots=True)
class SuiteResult:
    """What came of the tests at one place: how many passed, which skip themselves, which failed and why.

    `unexplained` are those that failed without a reason, with the end of what they printed.
    """

    where: str
    passed: int = 0
    skipped: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    unexplained: dict[str, str] = field(default_factory=dict)


def run_suite(where: str, tests: Iterable[SuiteCase], run: Callable[[Program], str]) -> SuiteResult:
    """Run the tests at one place; `run` gives what a program prints."""
    result = SuiteResult(where)
    for case in tests:
        source = case.path.read_text("utf-8")
        printed = run(Program(case.name, "", "", source, "", limit_s=_LIMIT_S)).strip()
        if printed.startswith(_SKIPS):
            result.skipped.append(case.name)
        elif printed == case.expected().strip():
            result.passed += 1
        elif reason := reason_for(where, case.name):
            result.failed[case.name] = reason
        else:
            result.failed[case.name] = "unexplained"
            result.unexplained[case.name] = printed[-200:]
    return result


def suite_table(results: Iterable[SuiteResult]) -> list[str]:
    """The results as tables of Markdown: the numbers, and how many failed for which reason."""
    results = list(results)
    lines = ["| where | passed | failed | skip themselves |", "|---|---|---|---|"]
    for result in results:
        lines.append(
            f"| `--vm {result.where}` | {result.passed} | {len(result.failed)} | {len(result.skipped)} |")
    lines += ["", "| where | failed | why |", "|---|---|---|"]
    for result in results:
        for reason, count in Counter(result.failed.values()).most_common():
            lines.append(f"| `{result.where}` | {count} | {reason} |")
    return lines
