"""What tests cost is told (`support.cpu`), with their fixtures and the processes that they waited for."""

from __future__ import annotations

import pytest

SPENDING = """\
import os
import time

import pytest


def spend():
    end = time.process_time() + 0.05
    while time.process_time() < end:
        pass


@pytest.fixture
def dear():
    spend()


def test_idle():
    pass


def test_fixture(dear):
    pass


def test_child():
    child = os.fork()
    if not child:
        spend()
        os._exit(0)
    os.waitpid(child, 0)
"""


def test_the_dearest_tests_are_listed_first(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytester.makepyfile(test_spending=SPENDING)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # loading all that are installed takes most of the time
    run = pytester.runpytest_inprocess("-p", "support.cpu", "-p", "no:cacheprovider", "--cpu=2")
    seconds = {line.split()[-1]: float(line.split()[0]) for line in run.outlines if "test_spending.py::" in line}
    assert seconds.keys() == {"test_spending.py::test_child", "test_spending.py::test_fixture"}
    assert all(each >= 0.05 for each in seconds.values())
    run.stdout.fnmatch_lines(["*CPU seconds of 3 tests*", "*  in all"])
