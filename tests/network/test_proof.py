"""`slotbench prove network`, small: every update succeeds; a client that starts over is measured beside it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from slotbench.prove.network.proof import prove_updates
from slotbench.prove.network.downloads import Downloads
from slotbench.vboard.network.faults import FaultyNetwork
from slotbench.vboard.network.seeded_faults import FaultKind, SeededFaults
from slotbench.vboard.network.wsgi import WsgiNetwork
from support.testbed import HOURS_MS, TestBed, put_keys, runs_confirmed


UPDATES = 12
"""At each rate; `slotbench prove network` runs 50 of larger images."""


def test_every_update_succeeds(tmp_path: Path) -> None:
    put_keys(tmp_path / "keys")
    none, tenth, third = prove_updates(tmp_path, (0.0, 0.1, 0.3), UPDATES, size=64 * 1024)
    for rate in (none, tenth, third):
        print(f"\n{rate.failing:.0%}: {rate.succeeded} of {rate.updates}; starting over {rate.restart_client_succeeded}")
        assert rate.succeeded == rate.updates == UPDATES, rate.failures
        assert not rate.failures and rate.refetched_blocks_per_interruption <= 1
        assert rate.most_refetched_blocks <= 1, "not in the mean: of each"
    assert none.restart_client_succeeded == UPDATES and none.interruptions == 0 and none.fetched_over_needed == 1
    assert third.restart_client_succeeded < tenth.restart_client_succeeded < UPDATES
    assert third.restart_fetched_over_needed > third.fetched_over_needed
    assert third.most_refetched_blocks > 0, "a block that was cut is fetched again, and counted"
    assert third.interruptions > tenth.interruptions > 0 and third.seconds > none.seconds


def test_half_of_the_connections_fail(tmp_path: Path) -> None:
    """No board waits for its next scheduled check, six hours later."""
    put_keys(tmp_path / "keys")
    half, = prove_updates(tmp_path, (0.5,), 6, size=48 * 1024, processes=1)
    print(f"\n{half.succeeded} of {half.updates}, the slowest after {half.slowest_seconds / 60:.0f} min")
    assert half.succeeded == 6 and not half.failures
    assert half.slowest_seconds < 2 * 3600


def test_every_update_by_a_patch_succeeds(tmp_path: Path) -> None:
    """A lost connection costs the patch once more; what it did not make is fetched as blocks."""
    put_keys(tmp_path / "keys")
    none, third = prove_updates(tmp_path, (0.0, 0.3), 4, size=48 * 1024, patches=True)
    for rate in (none, third):
        assert rate.succeeded == rate.updates == 4, rate.failures
        assert not rate.failures
    assert none.fetched_over_needed == 0, "no block is fetched"
    assert third.interruptions > 0


def test_blocks_that_one_response_made_a_board_fetch_again() -> None:
    """Each answer is held against all later ones, whose bytes count once."""
    assert Downloads(()).most_again == 0
    assert Downloads(((0, 9000), (8192, 20000), (8192, 12288), (19000, 30000))).most_again == 4096 + 1000
    again = Downloads(((0, 4096), (4096, 9000), (8192, 12288), (8192, 12288)))
    assert again.most_again == 4096, "the third is fetched whole by the fourth"
    assert again.image_bytes == 4096 + 4904 + 4096 + 4096


class Chosen(random.Random):
    """The first connection fails in one way, half way through its answer; no other one does."""

    def __init__(self, how: FaultKind) -> None:
        super().__init__(0)
        self.how = how
        self.values = [0.0, 0.5, 0.5]

    def random(self) -> float:
        return self.values.pop(0) if self.values else 0.95

    def choice(self, _: object) -> FaultKind:
        return self.how


@pytest.mark.parametrize("how", FaultKind, ids=lambda how: how.name.lower())
def test_each_way_is_a_failure(testbed: TestBed, how: FaultKind) -> None:
    """One connection fails that way: the board notices it and still updates."""
    faults = SeededFaults(Chosen(how), 0.9)
    board = testbed.board(FaultyNetwork(WsgiNetwork(testbed.app), faults))
    board.power_on()
    board.run(HOURS_MS, until=lambda: runs_confirmed(board, 2))
    assert runs_confirmed(board, 2)
    assert faults.fault_counts == {**dict.fromkeys(FaultKind, 0), how: 1}
