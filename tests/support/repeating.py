"""How a failed test is repeated: added to its report."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

import pytest


def add_to(report: pytest.TestReport, extra: Mapping[str, str]) -> None:
    """Add the command, and what else is known, to the report of a failure."""
    if report.when == "call" and report.failed:
        report.sections.append(("repeat it with", f"tools/test {shlex.quote(report.nodeid)}"))
        report.sections.extend(extra.items())
