"""`slotbench prove network`, small: every update gets there, and beside it a client that starts over."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from slotbench.prove.network.proof import prove
from slotbench.vboard.network.faults import Failing, FaultProxy
from support.testbed import HOURS_MS, TestBed, put_keys, runs_confirmed


def test_every_update_gets_there(tmp_path: Path) -> None:
    put_keys(tmp_path / "keys")
    none, tenth, third = prove(tmp_path, (0.0, 0.1, 0.3), 16, size=64 * 1024)
    for rate in (none, tenth, third):
        print(f"\n{rate.failing:.0%}: {rate.succeeded} of {rate.updates}; starting over {rate.restart_client_succeeded}")
        assert rate.succeeded == rate.updates == 16, rate.failures
        assert not rate.failures and rate.refetched_blocks_per_interruption <= 1
        assert rate.most_refetched_blocks <= 1, "not in the mean: of each"
    assert none.restart_client_succeeded == 16 and none.interruptions == 0 and none.fetched_over_needed == 1
    assert third.restart_client_succeeded < tenth.restart_client_succeeded < 16
    assert third.restart_fetched_over_needed > third.fetched_over_needed
    assert third.most_refetched_blocks > 0, "a block that was cut is fetched again, and counted"
    assert third.interruptions > tenth.interruptions > 0 and third.seconds > none.seconds


def test_what_one_answer_made_a_board_fetch_again() -> None:
    """Each answer is held against all later ones, whose bytes count once."""
    proxy = FaultProxy(lambda environ, start_response: [], 0, random.Random(0))
    assert proxy.most_again == 0
    proxy.spans = [[0, 9000], [8192, 20000], [8192, 12288], [19000, 30000]]
    assert proxy.most_again == 4096 + 1000
    proxy.spans = [[0, 4096], [4096, 9000], [8192, 12288], [8192, 12288]]
    assert proxy.most_again == 4096, "the third is fetched whole by the fourth"


class Chosen(random.Random):
    """The first connection fails in one way, half way through its answer; no other one does."""

    def __init__(self, how: Failing) -> None:
        super().__init__(0)
        self.how = how
        self.values = [0.0, 0.5, 0.5]

    def random(self) -> float:
        return self.values.pop(0) if self.values else 0.95

    def choice(self, _: object) -> Failing:
        return self.how


@pytest.mark.parametrize("how", Failing, ids=lambda how: how.name.lower())
def test_each_way_is_a_failure(world: TestBed, how: Failing) -> None:
    """One connection fails that way: the board notices, and updates all the same."""
    proxy = FaultProxy(world.app, 0.9, Chosen(how))
    board = world.board(proxy)
    proxy.clock = board.clock
    board.power_on()
    board.run(HOURS_MS, until=lambda: runs_confirmed(board, 2))
    assert runs_confirmed(board, 2)
    assert proxy.failed[how] == 1 and proxy.interruptions == 1
