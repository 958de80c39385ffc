"""Well made documents in the wrong place: refused for what they are, and forgotten when the right ones are back."""

from __future__ import annotations

import pytest

from support.faulty_server.cases import Resource
from support.faulty_server.forgeries import NAMES, Forger
from support.faulty_server.scene import Scene
from support.testbed import HOURS_MS, MINUTES_MS, TestBed

every_forgery = pytest.mark.parametrize(
    ("document", "name"), [(document, name) for document, names in NAMES.items() for name in names],
    ids=lambda value: value.name.lower() if isinstance(value, Resource) else value.replace(" ", "-"))


@pytest.fixture
def scene(scene_of_hours: Scene) -> Scene:
    """Hours pass here."""
    return scene_of_hours


@pytest.fixture(scope="module")
def forger(testbed: TestBed) -> Forger:
    return Forger(testbed)


@every_forgery
def test_once(scene: Scene, forger: Forger, document: Resource, name: str) -> None:
    forgery = forger.make(document, name)
    fault = scene.server.inject(on=document.value, times=1, instead=forgery.content)
    scene.board.power_on()
    scene.board.run(20 * MINUTES_MS)
    assert fault.used == 1
    assert scene.runs(2), f"not confirmed; the board's log: {scene.refusals}"


@every_forgery
def test_for_ever(scene: Scene, forger: Forger, document: Resource, name: str) -> None:
    forgery = forger.make(document, name)
    scene.server.inject(on=document.value, instead=forgery.content)
    scene.board.power_on()
    before = scene.kept()
    scene.board.run(HOURS_MS)
    assert {refusal.code for refusal in scene.refusals} == {forgery.code}
    assert scene.runs(1) and scene.kept() == before
    for later in document.behind:
        assert not scene.server.requests_for(later.value)
    scene.require_calm()
    scene.server.clear_faults()
    scene.board.run(HOURS_MS, until=lambda: scene.runs(2))
    assert scene.runs(2), f"not confirmed; the board's log: {scene.refusals}"


def test_a_head_that_names_another_counter_than_its_release(scene: Scene, forger: Forger) -> None:
    """Both signed, but not together: a stolen online key must not get a release past `counter`."""
    scene.server.inject(on=Resource.HEAD.value, instead=forger.signed_head(counter=3))
    scene.board.power_on()
    scene.board.run(HOURS_MS)
    assert {refusal.code for refusal in scene.refusals} == {37} and scene.runs(1)
    assert not scene.server.requests_for(Resource.TABLE.value)


def test_a_head_that_names_a_release_that_is_not_there_yet(scene: Scene, forger: Forger) -> None:
    """Published in the wrong order, or a mirror that lags: asked for again, with patience."""
    missing = scene.server.inject(on=Resource.RELEASE.value, times=4, status=404)
    scene.board.power_on()
    scene.board.run(HOURS_MS)
    assert missing.used == 4 and scene.runs(2)
    asked = [request.at_ms for request in scene.server.requests_for(Resource.RELEASE.value)]
    gaps = [later - earlier for earlier, later in zip(asked, asked[1:])]
    # Drawn around 2 s and 16 s, and then the next call of tick().
    assert len(gaps) == 4 and 2 * gaps[-1] > 3 * gaps[0] >= 3000, f"it asked again after {gaps} ms"
