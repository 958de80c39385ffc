"""Fixtures of a board and its hostile server, for the tests against networks and those against
attackers.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest

from support.faulty_server.scene import Scene
from support.repeating import add_to
from support.testbed import TestBed, make_testbed

__all__ = ["make_scene", "pytest_runtest_makereport", "scene", "scene_of_hours", "testbed"]


@pytest.fixture(scope="session")
def testbed(tmp_path_factory: pytest.TempPathFactory) -> TestBed:
    """One that offers release 2 to boards that run release 1; nobody publishes here but this
    fixture.
    """
    made = make_testbed(tmp_path_factory.mktemp("scenes"))
    made.publish(2)
    return made


@pytest.fixture
def scene(testbed: TestBed) -> Scene:
    """A new board and its server."""
    return Scene(testbed)


@pytest.fixture
def scene_of_hours(testbed: TestBed) -> Scene:
    """A new board whose application has other work for five seconds at a time: hours pass in fewer ticks."""
    return Scene(testbed, sleep_ms=5000)


@pytest.fixture
def make_scene(testbed: TestBed) -> Callable[..., Scene]:
    """Boards with another application loop or other luck."""

    def make(**options: Any) -> Scene:
        return Scene(testbed, **options)

    return make


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Function) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    scenes = [value for value in item.funcargs.values() if isinstance(value, Scene)]
    add_to(report, {"what happened": scenes[0].story()} if scenes else {})
    return report
