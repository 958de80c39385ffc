"""What a hostile server can make a board take in, and what stays on its heap. Figures are in bytes."""

from __future__ import annotations

import pytest

from slotbench.vboard.network.http_faults import BEFORE_ALL

from support.faulty_server.cases import Resource
from support.faulty_server.scene import IDLE_MODULES, Scene
from support.testbed import HOURS_MS, MINUTES_MS

HEADERS = 8192
RECEIVE_BUFFER = 128
BUFFER = 4096
HEAD_BUFFER = 1536
OK = b"HTTP/1.1 200 OK\r\n"

small = pytest.mark.parametrize(
    "document", [Resource.HEAD, Resource.RELEASE, Resource.TABLE], ids=lambda document: document.name.lower())

document_only = pytest.mark.parametrize("document", [Resource.HEAD, Resource.RELEASE], ids=["head", "release"])


def most_taken(scene: Scene, document: Resource) -> int:
    return max(request.received for request in scene.server.requests_for(document.value))


@pytest.fixture
def scene(scene_of_hours: Scene) -> Scene:
    """Hours pass here."""
    return scene_of_hours


@small
def test_headers_without_end(scene: Scene, document: Resource) -> None:
    scene.server.inject(on=document.value, raw=OK, endless=b"X-Filler: more and more\r\n")
    scene.board.power_on()
    scene.board.run(10 * MINUTES_MS)
    assert HEADERS <= most_taken(scene, document) <= HEADERS + RECEIVE_BUFFER


@document_only
def test_a_body_without_end(scene: Scene, document: Resource) -> None:
    """One byte more than the buffer holds tells that it is too long."""
    scene.server.inject(on=document.value, raw=OK + b"\r\n", endless=b"x" * 97)
    scene.board.power_on()
    scene.board.run(10 * MINUTES_MS)
    buffer = HEAD_BUFFER if document is Resource.HEAD else BUFFER
    assert most_taken(scene, document) == len(OK) + 2 + buffer + 1


def test_a_table_is_read_no_further_than_its_length(scene: Scene) -> None:
    """Whatever length the server states or sends."""
    scene.server.inject(on=Resource.TABLE.value, raw=OK + b"\r\n", endless=b"x" * 97)
    scene.board.power_on()
    scene.board.run(10 * MINUTES_MS)
    table = 16 * -(-len(scene.testbed.images[2]) // 4096)
    assert len(OK) + 2 + table <= most_taken(scene, Resource.TABLE) <= len(OK) + 2 + table + RECEIVE_BUFFER
    assert scene.codes == {13}


@document_only
def test_a_body_that_is_too_long_by_its_length_is_not_read(scene: Scene, document: Resource) -> None:
    scene.server.inject(on=document.value, status=200, instead=b"x" * (BUFFER + 1))
    scene.board.power_on()
    scene.board.run(10 * MINUTES_MS)
    head = scene.server.requests_for(document.value)[0].head_bytes
    assert most_taken(scene, document) <= -(-head // RECEIVE_BUFFER) * RECEIVE_BUFFER


@small
def test_chunks_of_one_byte_with_long_extensions(scene: Scene, document: Resource) -> None:
    """Time bounds what the coding may cost: 28 seconds of it at the link's rate."""
    size_line = b"1;" + b"x" * 4000 + b"\r\n"
    chunked = OK + b"Transfer-Encoding: chunked\r\n\r\n"
    scene.server.inject(on=document.value, raw=chunked, endless=size_line + b"x\r\n")
    scene.board.power_on()
    scene.board.run(10 * MINUTES_MS)
    assert most_taken(scene, document) <= 29 * scene.server.link.bytes_per_s
    assert scene.codes == {11}


def test_an_endless_image_ends_the_connection(scene: Scene) -> None:
    scene.server.inject(on=Resource.IMAGE.value, unsized=True, endless=b"x" * 97)
    scene.board.power_on()
    scene.board.run(10 * MINUTES_MS)
    assert scene.runs(2)
    taken = scene.server.requests_for(Resource.IMAGE.value)[0].body_bytes
    assert taken <= len(scene.testbed.images[2]) + RECEIVE_BUFFER


@pytest.mark.parametrize("document", Resource, ids=lambda document: document.name.lower())
def test_only_the_schedule_stays_after_a_failure(scene: Scene, document: Resource) -> None:
    """Policy and download are unloaded; the agent stays once the spare slot holds blocks."""
    scene.server.inject(on=document.value, truncate_at=100)
    scene.board.power_on()
    scene.board.run(20 * MINUTES_MS)
    assert scene.codes == {5}
    loaded = scene.loaded
    if document in (Resource.HEAD, Resource.RELEASE):
        assert loaded <= IDLE_MODULES
        assert scene.board.evaluate("twoslot._agent") is None
    else:
        judging = {"twoslot.http.documents", "twoslot.trust.policy", "twoslot.trust.document", "twoslot.trust.rsa", "twoslot.settings"}
        assert not loaded & (judging | {"twoslot.boot.control", "twoslot.boot.journal", "twoslot.boot.slots", "twoslot.boot.actions"})


def test_the_log_does_not_grow(scene: Scene) -> None:
    scene.settle(interval_s=10)
    scene.server.inject(reset_after=BEFORE_ALL)
    scene.board.power_on()
    scene.board.run(HOURS_MS)
    assert len(scene.server.requests) > 100 and len(scene.refusals) == 8
