"""Each fault in each document: once, and permanent."""

from __future__ import annotations

import pytest

from support.faulty_server.cases import CASES, HARMLESS, Case, Resource
from support.faulty_server.scene import IDLE_MODULES, Scene
from support.testbed import HOURS_MS, MINUTES_MS, TestBed

WAIT_MS = 10_000
FLOOR_BYTES_PER_S = 512
BUFFER_BYTES = 4096

STEP_MS = WAIT_MS + (WAIT_MS + BUFFER_BYTES * 1000 // FLOOR_BYTES_PER_S) + WAIT_MS + 500
"""The longest a server can hold the application up: the head of an answer, a full buffer at the floor rate, the
one byte that would be too many; round trips, flash and signature. design.md, chosen numbers.
"""

HEAD_BYTES = 4096 + 256
"""Header lines together, and what was under way in the receive buffer."""

TAKEN_BYTES = HEAD_BYTES + BUFFER_BYTES + 1
"""The most a board takes of a document that is not wanted whole: one byte more than the buffer."""

FAILURES_AN_HOUR = 48 + 6
"""2, 4, ... 128 s until 48 in a row have failed, then 300 s, each at its shortest (one half)."""

PATIENCE = 9
"""Tries of an attempt that has begun to write (agent._TRIES, and the first)."""

KEPT_WHOLE = (Resource.HEAD, Resource.RELEASE)
"""Documents that a board judges as a whole, before anything is written; the others come in blocks."""

matrix = pytest.mark.parametrize(
    ("case", "document"), [(case, document) for case in CASES for document in Resource],
    ids=lambda value: value.name.replace(" ", "-").lower())


@pytest.fixture
def scene(testbed: TestBed, request: pytest.FixtureRequest) -> Scene:
    """An application with other work for five seconds: hours pass in fewer ticks. One second where a fault takes as long."""
    slow = request.node.callspec.params["case"].name.startswith("slower")
    return Scene(testbed, sleep_ms=1000 if slow else 5000)


@pytest.mark.sampled(len(CASES), kind=lambda case, document: case.name)
@matrix
def test_once(scene: Scene, case: Case, document: Resource) -> None:
    """The update ends confirmed, and at most one block is fetched again."""
    fault = scene.server.inject(on=document.value, times=1, **case.fault)
    scene.board.power_on()
    scene.board.run(20 * MINUTES_MS)
    assert fault.used == 1, "the fault was met"
    assert scene.runs(2), f"not confirmed; the board's log: {scene.refusals}"
    assert len(scene.board.boots) == 2, "one trial, and no attempt of it lost"
    scene.require_calm()
    if not case.amplifies:
        fetched = sum(request.body_bytes for request in scene.server.requests_for(Resource.IMAGE.value))
        coding = 1024 if case.fault.get("chunked") else 0
        again = fetched - len(scene.testbed.images[2])
        assert again <= 4096 + coding, f"{again} bytes of the image were fetched again"


@pytest.mark.sampled(len(CASES), kind=lambda case, document: case.name)
@matrix
def test_for_ever(scene: Scene, case: Case, document: Resource) -> None:
    """A defined refusal in bounded time and no damage; without the fault the board updates."""
    server, board = scene.server, scene.board
    server.inject(on=document.value, **case.fault)
    board.power_on()
    before = scene.kept()
    board.run(HOURS_MS)
    if case.codes[document] == HARMLESS:
        assert scene.runs(2), f"not confirmed; the board's log: {scene.refusals}"
        scene.require_calm()
        return
    assert scene.codes == {case.codes[document]}
    assert scene.runs(1) and len(board.boots) == 1
    scene.require_calm()
    require_unharmed(scene, before, document)
    require_bounded(scene, document)
    server.clear_faults()
    board.run(HOURS_MS, until=lambda: scene.runs(2))
    assert scene.runs(2), f"not confirmed an hour after the fault was gone; the board's log: {scene.refusals}"


def require_unharmed(scene: Scene, before: dict[str, bytes], document: Resource) -> None:
    after = scene.kept()
    assert [name for name in before if before[name] != after[name]] == []
    for later in document.behind:
        assert not scene.server.requests_for(later.value), f"{later.name} was fetched although {document.name} is wrong"
    if document in KEPT_WHOLE:
        journal = scene.board.profile.journal
        elsewhere = [op for op in scene.board.flash.log or () if op.actor == "python" and op.addr not in journal]
        assert elsewhere == [], "before the release was read only the journal is written"


def require_bounded(scene: Scene, document: Resource) -> None:
    assert scene.longest_tick_ms <= STEP_MS
    tries = {"": FAILURES_AN_HOUR}
    # One more request for each kept connection that was found closed.
    tries["faulty"] = 2 * FAILURES_AN_HOUR if document is Resource.IMAGE else FAILURES_AN_HOUR
    for each in Resource:
        asked = scene.server.requests_for(each.value)
        assert len(asked) <= tries["faulty" if each is document else ""], f"{len(asked)} x {each.name} in an hour"
        for request in asked:
            limit = TAKEN_BYTES if each is not Resource.IMAGE else HEAD_BYTES + len(scene.testbed.images[2])
            if request.fault is None or not request.fault.endless.startswith(b"1\r\n"):
                assert request.received <= limit, f"{request.received} bytes were read: {request}"
    if document in KEPT_WHOLE:
        # The hours may have ended inside an attempt.
        scene.board.run(MINUTES_MS, until=lambda: scene.loaded <= IDLE_MODULES)
        assert scene.loaded <= IDLE_MODULES, "nothing of a failed attempt stays on the heap"
