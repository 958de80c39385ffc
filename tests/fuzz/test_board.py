"""A whole board against servers, heads and settings that hypothesis makes up: it works on, and it gets there."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from slotbench.release import store
from support.device.release import signed
from support.faulty_server.cases import CASES, Resource
from support.faulty_server.scene import Scene
from support.fuzz.strategies import bent, edited
from support.sampling import examples
from support.testbed import HOURS_MS, MINUTES_MS, NOW, PRODUCT, TestBed, make_testbed

IMAGE = Resource.IMAGE.value

whole_boards = settings(phases=[Phase.explicit, Phase.generate])
"""An example is hours of a board: what fails is shown as it was found, for shrinking it would take minutes."""


@pytest.fixture(scope="module")
def testbed(tmp_path_factory: pytest.TempPathFactory) -> TestBed:
    made = make_testbed(tmp_path_factory.mktemp("fuzz"))
    made.publish(2)
    return made


# Servers.

positions = st.integers(-300, 60_000)
faults = st.one_of(
    st.sampled_from(CASES).map(lambda case: case.fault),
    positions.map(lambda at: {"truncate_at": at}), positions.map(lambda at: {"reset_after": at}),
    positions.map(lambda at: {"stall_at": at}), st.integers(0, 60_000).map(lambda at: {"corrupt_byte": at}),
    st.binary(max_size=300).map(lambda raw: {"raw": raw, "hang_up": True}),
    st.binary(max_size=300).map(lambda body: {"instead": body}))
bad_days = st.lists(
    st.tuples(faults, st.sampled_from(["*", *(document.value for document in Resource)]), st.integers(1, 5)),
    min_size=1, max_size=6)


@examples(40, whole_boards)
@given(faults=bad_days)
def test_any_sequence_of_faults(testbed: TestBed, faults: list[tuple[dict[str, Any], str, int]]) -> None:
    """The update ends confirmed, and each fault of the image costs one block at the most."""
    scene = Scene(testbed, sleep_ms=5000)
    for fault, pattern, times in faults:
        scene.server.inject(on=pattern, times=times, **fault)
    scene.board.power_on()
    scene.board.run(8 * HOURS_MS)
    assert scene.runs(2), scene.story()
    scene.require_calm()
    right = sum(request.body_bytes for request in scene.server.requests_for(IMAGE) if request.fault is None)
    assert right <= len(testbed.images[2])


@examples(16, whole_boards)
@given(faults=bad_days)
def test_any_sequence_of_faults_in_a_trial(testbed: TestBed, faults: list[tuple[dict[str, Any], str, int]]) -> None:
    """Whatever it is, no attempt is lost without the deadline, and no release is banned for it."""
    scene = Scene(testbed, sleep_ms=5000)
    scene.board.power_on()
    scene.board.run(HOURS_MS, until=lambda: len(scene.board.boots) == 2)
    for fault, _, times in faults:
        scene.server.inject(times=times, **fault)
    scene.board.run(8 * HOURS_MS)
    cell = scene.board.cell
    assert scene.runs(2) and cell is not None and cell.bad_counter == 0, scene.story()
    scene.require_calm()


# Heads by a stolen online key.

numbers = st.integers(-1, 5) | st.sampled_from([NOW, 2**31 - 1, 2**31, 2**32, 2**40, -(2**31)]) | st.booleans()
values: st.SearchStrategy[Any] = st.one_of(
    numbers, st.none(), st.text(max_size=5), st.just(1.5), st.lists(st.text(max_size=3) | numbers, max_size=2),
    st.dictionaries(st.text(max_size=3), numbers, max_size=1), st.sampled_from(["0" * 64, "stable", PRODUCT]))


@pytest.fixture(scope="module")
def head(testbed: TestBed) -> dict[str, Any]:
    """The payload of the right head."""
    text = testbed.publisher.site.read(store.head_name(PRODUCT, "stable"))
    assert text is not None
    fields: dict[str, Any] = json.loads(text.partition(b"\n")[0])
    return fields


@examples(60, whole_boards)
@given(data=st.data())
def test_any_head_by_the_online_key(testbed: TestBed, head: dict[str, Any], data: st.DataObject) -> None:
    """It may hold the product back or confirm a trial: never stop the application, never change a slot."""
    changes = data.draw(st.dictionaries(st.sampled_from(sorted(head)), values, min_size=1, max_size=3), "changes")
    scene = Scene(testbed)
    scene.board.power_on()
    before = scene.kept()
    scene.server.inject(on=Resource.HEAD.value, instead=signed({**head, **changes}, "online"))
    scene.server.inject(on="[rbi]*", status=404)
    scene.board.run(5 * MINUTES_MS)
    assert scene.runs(1) and scene.kept() == before
    scene.require_calm()
    assert scene.refusals, "it was refused, or its release was not there"


# What a person puts on the board.


@examples(60, whole_boards)
@given(data=st.data())
def test_any_settings(testbed: TestBed, data: st.DataObject) -> None:
    """A file that is wrong stops the updater, not the application; log() says so."""
    right = {**testbed.settings(), "attempts": 3, "confirm": "auto", "cohort": "a"}
    text = json.dumps(right).encode()
    changes = st.dictionaries(st.sampled_from([*right, "device_id", "mpy_abi"]), values, min_size=1, max_size=2)
    content = data.draw(
        st.one_of(edited(text), bent(text), changes.map(lambda made: json.dumps({**right, **made}).encode())),
        "twoslot.json")
    scene = Scene(testbed)
    scene.put_file("/twoslot.json", content)
    scene.server.inject(status=503)
    scene.board.power_on()
    before = scene.kept()
    scene.board.run(2 * MINUTES_MS)
    scene.require_calm()
    assert scene.runs(1) and scene.kept() == before
    if not scene.server.requests:
        assert {refusal.code for refusal in scene.refusals} & {2, *range(60, 73)}
