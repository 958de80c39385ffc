"""Power is cut at every flash operation of one whole update, three ways each; the board gets there."""

from __future__ import annotations

import pytest

from support.powercut import Scenario, scenario_of
from support.world import World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"), size=96 * 1024)


@pytest.fixture(scope="module", params=["first", "third"])
def scenario(world: World, request: pytest.FixtureRequest) -> Scenario:
    """The first update of a new board; and one whose spare slot, window log and journal have a past."""
    return scenario_of(world, request.param)


def test_every_operation_in_every_mode(scenario: Scenario, pytestconfig: pytest.Config) -> None:
    scenario.cut_everywhere(pytestconfig)


def test_a_cut_costs_at_most_one_block(scenario: Scenario) -> None:
    """What a board fetches again after a cut inside the download."""
    scenario.cut_the_transfer()
