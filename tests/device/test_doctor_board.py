"""`slotbench doctor --ask-board`: a board's settings, keys and network against the project's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from slotbench.doctor import Diagnosis, State
from slotbench.doctor.board import check_board
from slotbench.formats.keys import pack_pinned
from slotbench.project import Project, load_project, project_text
from slotbench.vboard.network.base import AccessPoint
from slotbench.vboard.network.wsgi import WsgiNetwork
from support.device.board import PRODUCT, SERVER, DeviceBoard, keys_document
from support.device.transport import OnBoard


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / f"{PRODUCT}.keys").write_bytes(keys_document())
    path = tmp_path / "slotbench.toml"
    path.write_text(project_text({"product": PRODUCT, "board": "generic_4m", "server": SERVER}))
    return load_project(path)


@pytest.fixture
def board(make_board: Callable[..., DeviceBoard]) -> DeviceBoard:
    """One that is set up, in a network that leads to the server."""
    board = make_board(WsgiNetwork(lambda environ, start: []))
    board.files["/twoslot.keys"] = board.files["/twoslot.keys2"] = pack_pinned(keys_document())
    return board


def diagnosed(board: DeviceBoard, project: Project) -> dict[str, Diagnosis]:
    vm = board.start()
    board.soc.clock.advance_ms(5_000)
    return {each.check: each for each in check_board(OnBoard(vm), "port", project)}


def test_a_board_as_the_project_says(board: DeviceBoard, project: Project) -> None:
    found = diagnosed(board, project)
    assert {each.state for each in found.values()} == {State.OK}, found
    assert f"reaches {SERVER}" in found["board's network"].what


def test_a_board_of_another_project(board: DeviceBoard, project: Project) -> None:
    board.save_settings(channel="beta", server="http://elsewhere.test")
    for name in ("/twoslot.keys", "/twoslot.keys2"):
        board.files[name] += b" "
    found = diagnosed(board, project)
    assert "channel is 'beta', the project's 'stable'" in found["settings"].what
    assert found["settings"].cure == "slotbench deploy" and found["board's keys"].state is State.WARNING


@pytest.mark.parametrize(("points", "words", "cure"), [
    ([], "is in no Wi-Fi network", "slotbench deploy --wifi SSID"),
    ([AccessPoint(b"home", b"password", reaches_server=False)], "gets no connection to", "firewall")])
def test_a_board_that_does_not_reach_its_server(
    board: DeviceBoard, project: Project, points: list[AccessPoint], words: str, cure: str,
) -> None:
    network = board.network
    network.access_points = points
    if points:
        board.start().import_("network").WLAN(0).connect("home", "password")
    found = diagnosed(board, project)["board's network"]
    assert found.state is State.WRONG and words in found.what and cure in found.cure


def test_a_board_without_twoslot(make_board: Callable[..., DeviceBoard], project: Project) -> None:
    board = make_board()
    board.files.clear()
    (found,) = check_board(OnBoard(board.start()), "port", project)
    assert found.state is State.WARNING and found.cure == "slotbench deploy"
