"""The same on the article's map: both slots run in place, table and descriptor share a sector."""

from __future__ import annotations

import pytest

from support.powercut import Scenario, scenario_of
from support.world import World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("native"), board="native_512k", size=64 * 1024)


@pytest.fixture(scope="module", params=["first", "third"])
def scenario(world: World, request: pytest.FixtureRequest) -> Scenario:
    """The first update of a new board; and one whose spare slot, its meta sector and journal have a past."""
    return scenario_of(world, request.param)


def test_every_operation_in_every_mode(scenario: Scenario, pytestconfig: pytest.Config) -> None:
    scenario.cut_everywhere(pytestconfig)


def test_a_cut_costs_at_most_one_block(scenario: Scenario) -> None:
    """What a board fetches again after a cut inside the download."""
    scenario.cut_the_transfer()
