"""What the tests cost: `tools/test --cpu=60` lists the folders, and the 60 dearest tests, in CPU seconds.

A test's figure has its fixtures in it, and the processes that it waited for. What several tests share counts for
the first of them.
"""

from __future__ import annotations

import resource
from collections import defaultdict
from collections.abc import Generator

import pytest

_PROPERTY = "cpu_s"
_BEGUN = pytest.StashKey[float]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The flag of `tools/test`."""
    parser.addoption("--cpu", type=int, default=0, metavar="N", help="List folders and the N dearest tests, by CPU seconds.")


def used_s() -> float:
    """User and system seconds of this process, and of those that it waited for."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, kinds))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Take the time before the first fixture."""
    item.stash[_BEGUN] = used_s()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note the time after the last fixture."""
    report = yield
    if call.when == "teardown":
        report.user_properties = [*report.user_properties, (_PROPERTY, used_s() - item.stash[_BEGUN])]
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """List what was asked for."""
    count = config.getoption("--cpu")
    if not count:
        return
    tests: dict[str, float] = {}
    folders: dict[str, float] = defaultdict(float)
    for report in (report for kind in terminalreporter.stats.values() for report in kind):
        for name, seconds in getattr(report, "user_properties", ()):
            if name == _PROPERTY:
                tests[report.nodeid] = seconds
                folders["/".join(report.nodeid.partition("::")[0].split("/")[:-1][:2]) or "."] += seconds
    terminalreporter.section(f"CPU seconds of {len(tests):,} tests")
    for table in (folders, dict(sorted(tests.items(), key=lambda test: -test[1])[:count])):
        for name, seconds in sorted(table.items(), key=lambda row: -row[1]):
            terminalreporter.line(f"{seconds:8.2f}  {name}")
    terminalreporter.line(f"{sum(folders.values()):8.2f}  in all")
