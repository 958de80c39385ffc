"""Rollouts among thirty virtual boards: a good release reaches all, a bad one pauses by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from slotbench.fleet.audit_log import Actor
from slotbench.fleet.board_list import LATE_S
from slotbench.fleet.database import FleetDatabase
from slotbench.fleet.recorder import BoardRecorder
from slotbench.fleet.rollout_decision import RolloutState
from slotbench.fleet.rollout_plan import RolloutPlan
from slotbench.fleet.rollout_runner import RolloutRunner, read_channel_head
from slotbench.fleet.rollout_store import RolloutView, begin_rollout, find_rollout
from slotbench.formats.head import Head, rollout_place
from slotbench.release.identities import Identities
from slotbench.release.publish import Rollout
from slotbench.server import BoardAuthenticator, create_app
from slotbench.vboard.board import VirtualBoard
from slotbench.vboard.firmware import Behaviour
from slotbench.vboard.network.wsgi import WsgiNetwork
from support.testbed import BUSY_MAIN, MINUTES_MS, NOW, PRODUCT, make_testbed, runs_confirmed

BOARDS = 30
POLL_MINUTES = 10
ROUNDS = 24
PLAN = RolloutPlan(steps=(20, 100), soak_s=3600)


class ThirtyBoards:
    """Thirty boards with identities, their server, its database and the process that signs; one clock for all."""

    def __init__(self, folder: Path) -> None:
        # Their programs have other work for twenty seconds at a time: hours take fewer ticks.
        self.testbed = make_testbed(folder, main=BUSY_MAIN.replace("5000", "20000"))
        self.now = float(NOW)
        self.site = self.testbed.publisher.site
        self.database = FleetDatabase.open(f"sqlite:///{folder / 'fleet.sqlite'}")
        self.recorder = BoardRecorder(self.database, late_s=LATE_S, clock=lambda: self.now)
        names = [f"lamp-{number:02}" for number in range(BOARDS)]
        secrets = {name: bytes([number]) * 32 for number, name in enumerate(names)}
        Identities(secrets).save(folder / "boards.json")
        authenticator = BoardAuthenticator(
            folder / "boards.json", require=True, clock=lambda: self.now, observer=self.recorder.observe)
        self._app = create_app(self.site.root, authenticator)
        self.boards = {name: self._board(name, secrets[name], seed) for seed, name in enumerate(names)}
        self.runner = RolloutRunner(
            self.database, self.site.root, self.testbed.publisher.keys_path, self.testbed.publisher.online,
            lambda: self.now)

    def _board(self, name: str, secret: bytes, seed: int) -> VirtualBoard:
        def edit(files: dict[str, bytes]) -> None:
            files["/twoslot.json"] = files["/twoslot.json"].replace(b"{", b'{"device_id": "%s", ' % name.encode(), 1)
            files["/twoslot.secret"] = Identities({name: secret}).secret_file(name)

        return self.testbed.board(WsgiNetwork(self._app), seed=seed, edit=edit)

    def turn(self) -> None:
        """Each board runs for one poll interval, then the server does what is due."""
        for board in self.boards.values():
            if not board.boots:
                board.power_on()
            board.run(POLL_MINUTES * MINUTES_MS)
        self.now += 60 * POLL_MINUTES
        self.recorder.flush()
        self.runner.step()

    def begin(self) -> int:
        """Begin to roll out what the channel offers; the number of the rollout."""
        with self.database.writing() as connection:
            return begin_rollout(connection, Actor("somebody"), int(self.now), self.head, PLAN, LATE_S)

    def view(self, number: int) -> RolloutView:
        with self.database.reading() as connection:
            found = find_rollout(connection, number)
        assert found is not None
        return found

    @property
    def head(self) -> Head:
        found = read_channel_head(self.site, PRODUCT, "stable")
        assert found is not None
        return found


@pytest.fixture
def house(tmp_path: Path) -> Iterator[ThirtyBoards]:
    made = ThirtyBoards(tmp_path)
    yield made
    for board in made.boards.values():
        board.power_off()
    made.database.close()


def test_a_good_release_reaches_each_board_by_steps(house: ThirtyBoards) -> None:
    house.testbed.publish(2, rollout=Rollout(percent=0))
    house.turn()
    number = house.begin()
    seen = set()
    for _ in range(ROUNDS):
        house.turn()
        seen.add((house.head.percent, sum(runs_confirmed(board, 2) for board in house.boards.values())))
        if house.view(number).state is RolloutState.DONE:
            break
    assert house.view(number).state is RolloutState.DONE
    included = sum(rollout_place(house.head.release, name) < 20 for name in house.boards)
    assert max(updated for percent, updated in seen if percent == 20) == included < BOARDS
    assert all(runs_confirmed(board, 2) for board in house.boards.values())


def test_a_bad_release_is_paused_before_most_boards_have_seen_it(house: ThirtyBoards) -> None:
    house.testbed.publish(2, Behaviour.CRASH, rollout=Rollout(percent=0))
    house.turn()
    number = house.begin()
    for _ in range(ROUNDS):
        house.turn()
        if house.view(number).state is RolloutState.PAUSED:
            break
    view = house.view(number)
    assert view.state is RolloutState.PAUSED and "failed, more than 5 %" in view.reason, view
    assert house.head.paused and house.head.percent == 20
    house.turn()
    tried = {name for name, board in house.boards.items() if len(board.boots) > 1}
    assert tried and tried <= {name for name in house.boards if house.head.includes(name)}
    assert len(tried) < BOARDS // 2
    assert all(runs_confirmed(board, 1) for board in house.boards.values()), "each board runs what it ran before"
    for name in tried:
        assert house.boards[name].evaluate("twoslot.status()['bad']") == 2
