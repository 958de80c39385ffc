"""One world for all tests against a hostile network: release 2 is offered to boards that run release 1."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest

from support.release_sim_scene import Scene
from support.repeating import add_to
from support.world import World


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Nobody publishes here but this fixture."""
    made = World(tmp_path_factory.mktemp("network"))
    made.publish(2)
    return made


@pytest.fixture
def scene(world: World) -> Scene:
    """A new board and its server."""
    return Scene(world)


@pytest.fixture
def make_scene(world: World) -> Callable[..., Scene]:
    """Boards with another application loop or other luck."""

    def make(**options: Any) -> Scene:
        return Scene(world, **options)

    return make


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Function) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    scene = item.funcargs.get("scene")
    add_to(report, {"what happened": scene.story()} if isinstance(scene, Scene) else {})
    return report
