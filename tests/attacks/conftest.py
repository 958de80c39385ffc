"""Boards that run release 1, the network to the server of release 2, and test beds to publish in."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.faulty_server.fixtures import make_scene, pytest_runtest_makereport, scene_of_hours, testbed
from support.faulty_server.scene import Scene
from support.testbed import make_testbed

__all__ = ["make_scene", "own", "pytest_runtest_makereport", "scene", "scene_of_hours", "testbed"]


@pytest.fixture
def scene(scene_of_hours: Scene) -> Scene:
    """Hours pass here."""
    return scene_of_hours


@pytest.fixture
def own(tmp_path: Path) -> Scene:
    """A board and its server, for one test alone; nothing is published yet."""
    return Scene(make_testbed(tmp_path), sleep_ms=5000)
