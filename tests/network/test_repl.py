"""Commands at the REPL against a hostile server: one line with the error, then the prompt."""

from __future__ import annotations

import pytest

from slotbench.cli.board_prompt import explain_code
from slotbench.vboard.network.http_faults import PORTAL

from support.faulty_server.cases import Resource
from support.faulty_server.scene import Scene
from support.testbed import MINUTES_MS


def typed(scene: Scene, line: str) -> tuple[list[str], int]:
    """What is printed, and how long it takes in ms."""
    begin_ms = scene.board.clock.ms
    printed = scene.board.run_line(line).splitlines()
    return printed, scene.board.clock.ms - begin_ms


@pytest.fixture
def up(scene: Scene) -> Scene:
    """The board is on the network, and its application was stopped before it checked by itself."""
    scene.board.power_on()
    scene.board.run(8000)
    assert scene.server.requests == []
    return scene


@pytest.mark.parametrize("document", [Resource.HEAD, Resource.RELEASE], ids=["head", "release"])
@pytest.mark.parametrize("verb", ["check()", "update()"])
def test_a_portal(up: Scene, verb: str, document: Resource) -> None:
    up.server.inject(on=document.value, status=200, instead=PORTAL)
    printed, ms = typed(up, f"twoslot.{verb}")
    assert len(PORTAL) < 531, "a second line would fit"
    offered = verb == "check()" and document is Resource.RELEASE
    assert printed == [
        *(["twoslot: counter 2 is offered"] if offered else []), "twoslot: refused: 20 document-unreadable; slotbench explain 20", "False"]
    assert ms <= 5000


@pytest.mark.parametrize("verb", ["check()", "update()"])
def test_silence(up: Scene, verb: str) -> None:
    up.server.inject(stall_at=0)
    printed, ms = typed(up, f"twoslot.{verb}")
    received = up.server.requests[0].received
    assert printed == [f"twoslot: refused: 11 too-slow ({received}); slotbench explain 11", "False"] and 10_000 <= ms <= 30_000


def test_an_update_goes_on_after_lost_connections(up: Scene) -> None:
    up.server.inject(on=Resource.IMAGE.value, times=3, reset_after=6000)
    printed, _ = typed(up, "twoslot.update()")
    assert sum(line.startswith("twoslot: refused: 3 ") for line in printed) == 3
    assert printed[-1] == "twoslot: 2.0.0 verified, restarting into its trial"


def test_an_update_without_hope_ends(up: Scene) -> None:
    """Nine losses without a block gained: about half an hour of patience at the most, and no exception."""
    up.server.inject(on=Resource.IMAGE.value, reset_after=100)
    printed, ms = typed(up, "twoslot.update()")
    assert printed == ["twoslot: refused: 3 connection-failed (104); slotbench explain 3"] * 9 + ["False"]
    assert ms <= 30 * MINUTES_MS
    up.server.clear_faults()
    assert typed(up, "twoslot.update()")[0][-1].endswith("restarting into its trial")
    up.board.run(5 * MINUTES_MS)
    assert up.runs(2)


@pytest.mark.parametrize("status", [401, 403])
def test_a_server_that_wants_a_login_is_told_from_an_empty_one(up: Scene, status: int) -> None:
    """The advice is followed: the server lets the boards read."""
    wall = up.server.inject(status=status)
    assert typed(up, "twoslot.check()")[0] == [
        f"twoslot: refused: 7 http-status ({status}); slotbench explain 7", "False"]
    advice = explain_code(7, str(status))
    assert f"unexpected status, status {status}" in advice
    assert "401, 403: the server wants a login" in advice and "boards have none, so allow them there" in advice
    assert wall.used
    up.server.clear_faults()
    assert typed(up, "twoslot.check()")[0][-1] == "True"
