"""What the fuzz tests share: one board without a network whose modules are called, and how to repeat a failure.

The profile is derandomized (tests/conftest.py): the same examples in every run, and the falsifying one is printed.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest

from slotbench.vboard.vm import CPythonVM
from support.device.board import DeviceBoard
from support.repeating import add_to


@pytest.fixture(scope="module")
def device() -> Iterator[DeviceBoard]:
    """A board whose flash, RTC memory and files the examples set anew."""
    board = DeviceBoard()
    yield board
    board.close()


@pytest.fixture(scope="module")
def vm(device: DeviceBoard) -> CPythonVM:
    return device.start()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Function) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    add_to(report, {})
    return report
