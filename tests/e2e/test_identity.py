"""Boards authenticate at the server with the real device modules: right, replayed, and with a wrong secret."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slotbench.release.identities import Identities
from slotbench.server import BackgroundServer, BoardAuthenticator, create_app
from slotbench.vboard.board import VirtualBoard
from slotbench.vboard.network.loopback import LoopbackNetwork
from slotbench.vboard.network.wsgi import WsgiNetwork
from slotbench.vboard.vm import DeviceVM
from support.testbed import BUSY_MAIN, HOURS_MS, make_testbed, runs_confirmed, update_to

SECRETS = {"lamp-7": bytes(range(32)), "lamp-8": bytes(range(1, 33))}
Make = Callable[..., "House"]


class House:
    """A test bed whose server knows two boards and authenticates every request; `heard` has the requests."""

    def __init__(self, folder: Path, vm: Callable[..., DeviceVM], *, require: bool) -> None:
        self.testbed = make_testbed(folder, vm=vm, main=BUSY_MAIN)
        self.testbed.publish(2)
        Identities(SECRETS).save(folder / "identities.json")
        self.boards = BoardAuthenticator(folder / "identities.json", require=require)
        self.app = create_app(self.testbed.publisher.site.root, self.boards)
        self.heard: list[tuple[str, str]] = []
        self.host = ""

    def listen(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        """The application, behind one that records every request."""
        self.host = environ["HTTP_HOST"]
        self.heard.append((environ["PATH_INFO"], environ.get("HTTP_AUTHORIZATION", "")))
        return self.app(environ, start_response)

    def board(self, name: str, secret: bytes | None, network: Any = None, **options: Any) -> VirtualBoard:
        def edit(files: dict[str, bytes]) -> None:
            files["/twoslot.json"] = files["/twoslot.json"].replace(b"{", b'{"device_id": "%s", ' % name.encode(), 1)
            if secret is not None:
                files["/twoslot.secret"] = Identities({name: secret}).secret_file(name)

        self.testbed.edit = edit
        self.testbed._installed.clear()
        return self.testbed.board(network or WsgiNetwork(self.listen), **options)

    def replays(self, path: str, header: str) -> int:
        """The status of the response to a replayed request."""
        headers = {"Authorization": header, "Host": self.host}
        return int(self.app.test_client().get(path, headers=headers).status_code)


@pytest.fixture
def make(tmp_path: Path, vm: Callable[..., DeviceVM]) -> Make:
    return lambda require=True: House(tmp_path, vm, require=require)


def test_a_board_that_authenticates_updates(make: Make) -> None:
    house = make()
    with BackgroundServer(house.app) as server:
        board = house.board("lamp-7", SECRETS["lamp-7"], LoopbackNetwork(), server=server.url)
        update_to(board, 2)
        board.run_line("twoslot.check()")
    listed = house.boards.list_boards()
    assert list(listed) == ["lamp-7"]
    assert (listed["lamp-7"]["running"], listed["lamp-7"]["report"], listed["lamp-7"]["report_counter"]) == (
        2, "confirmed", 2)


def test_a_recorded_request_is_useless_to_an_eavesdropper(make: Make) -> None:
    house = make()
    board = house.board("lamp-7", SECRETS["lamp-7"])
    update_to(board, 2)
    board.power_off()
    proofs = [(path, header) for path, header in house.heard if "mac=" in header]
    assert len(proofs) > 4
    before = house.boards.list_boards()
    assert {house.replays(path, header) for path, header in proofs} == {401}
    assert house.boards.list_boards() == before
    assert SECRETS["lamp-7"].hex() not in repr(house.heard)


@pytest.mark.parametrize(("name", "secret"), [
    ("lamp-7", SECRETS["lamp-8"]), ("lamp-9", SECRETS["lamp-7"]), ("lamp-7", None)],
    ids=["another's secret", "another's name", "no secret"])
def test_a_board_without_the_secret_gets_nothing(make: Make, name: str, secret: bytes | None) -> None:
    house = make()
    board = house.board(name, secret)
    board.power_on()
    board.run(HOURS_MS // 4)
    assert {code for _, code, _ in board.evaluate("twoslot._log")} <= {1, 46}
    assert "46 identity-refused (40" in board.run_line("twoslot.update()")
    assert runs_confirmed(board, 1) and house.boards.list_boards() == {}


@pytest.mark.parametrize(("name", "secret"), [("lamp-7", SECRETS["lamp-8"]), ("lamp-7", None)])
def test_an_open_server_serves_it_and_trusts_nothing(make: Make, name: str, secret: bytes | None) -> None:
    house = make(require=False)
    board = house.board(name, secret)
    update_to(board, 2)
    assert house.boards.list_boards() == {}
