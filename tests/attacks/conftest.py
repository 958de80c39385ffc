"""Boards that run release 1, what is between them and release 2, and worlds that a test may publish to."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.faulty_server.fixtures import make_scene, pytest_runtest_makereport, scene, world
from support.faulty_server.scene import Scene
from support.testbed import TestBed

__all__ = ["make_scene", "own", "pytest_runtest_makereport", "scene", "world"]


@pytest.fixture
def own(tmp_path: Path) -> Scene:
    """A board and its server in a world of this test's own, where nothing is published yet."""
    return Scene(TestBed(tmp_path))
