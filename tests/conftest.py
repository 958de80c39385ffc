"""Rules for every test: hardware only on request, nothing left to chance or to the wall clock."""

from __future__ import annotations

import pytest
from hypothesis import settings

# Derandomized: the same examples in every run, so that a red test is red again.
settings.register_profile("twoslot", derandomize=True, deadline=None, database=None, print_blob=True)
settings.load_profile("twoslot")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--port", help="serial port of a board for the tests marked hardware; it is overwritten")
    parser.addoption("--cut", metavar="ID", help="only this power cut, as a failure prints it: 17:torn:3")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--port"):
        return
    for item in items:
        if item.get_closest_marker("hardware"):
            item.add_marker(pytest.mark.skip(reason="needs a board: --port"))
