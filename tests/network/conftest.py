"""Boards that run release 1, and a hostile network that release 2 comes through."""

from __future__ import annotations

from support.faulty_server.fixtures import make_scene, pytest_runtest_makereport, scene, scene_of_hours, testbed

__all__ = ["make_scene", "pytest_runtest_makereport", "scene", "scene_of_hours", "testbed"]
