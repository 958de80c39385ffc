"""What was signed once and is shown again: old heads, frozen heads, ETags that outlive what they name."""

from __future__ import annotations

from pathlib import Path

import pytest

from slotbench.formats.rtc import Why
from slotbench.release import store
from slotbench.release.publish import Rollout, refresh
from support.faulty_server.cases import Document
from support.faulty_server.scene import Scene
from support.testbed import HOURS_MS, MINUTES_MS, NOW, PRODUCT, TestBed

HEAD = Document.HEAD.value
HEAD_NAME = store.head_name(PRODUCT, "stable")
DAY_S = 86400


@pytest.fixture
def world(tmp_path: Path) -> TestBed:
    """One that is published to while a test runs."""
    made = TestBed(tmp_path)
    made.publish(2)
    return made


def head_now(world: TestBed) -> bytes:
    head = world.workshop.site.read(HEAD_NAME)
    assert head is not None
    return head


def set_clock(scene: Scene, unix_s: int) -> None:
    """As ntptime does."""
    scene.board.repl(f"import machine, time; machine.RTC().datetime((*time.gmtime({unix_s} - 946684800)[:3], 0, 0, 0, 0, 0))")


def test_an_old_head_is_refused_once_a_newer_one_was_seen(scene: Scene, world: TestBed) -> None:
    old = head_now(world)
    world.publish(3)
    scene.board.power_on()
    scene.board.run(30 * MINUTES_MS)
    assert scene.runs(3)
    replayed = scene.server.misbehave(on=HEAD, instead=old)
    asked = len(scene.server.served)
    scene.board.run(6 * HOURS_MS)
    assert replayed.used >= 4 and scene.runs(3)
    assert {refusal.code for refusal in scene.refusals} == {35}
    assert {served.path for served in scene.server.served[asked:]} == {HEAD_NAME}
    scene.server.behave()
    world.publish(4)
    scene.board.run(2 * HOURS_MS)
    assert scene.runs(4)


def test_an_old_head_confirms_no_trial(scene: Scene, world: TestBed) -> None:
    """It shows that somebody kept it, not that this board reaches its server."""
    old = head_now(world)
    world.publish(3)
    scene.board.power_on()
    scene.board.run(HOURS_MS, until=lambda: len(scene.board.boots) == 2)
    scene.server.misbehave(on=HEAD, instead=old)
    scene.board.run(40 * MINUTES_MS)
    assert scene.board.boots[-1].why is Why.FALLBACK and scene.runs(1)
    scene.server.behave()
    scene.board.run(2 * HOURS_MS)
    assert scene.runs(3)


def test_an_old_head_is_refused_without_a_clock_and_after_a_cut(scene: Scene, world: TestBed) -> None:
    """What was seen is on flash."""
    old = head_now(world)
    world.publish(3, rollout=Rollout(percent=0))
    scene.board.power_on()
    scene.board.run(30 * MINUTES_MS)
    assert scene.codes == {39}
    scene.board.power_off()
    scene.server.misbehave(on=HEAD, instead=old)
    scene.board.power_on()
    scene.board.run(HOURS_MS)
    assert scene.codes == {35} and scene.runs(1)


def test_a_head_that_is_never_renewed_expires_where_the_clock_is_set(scene: Scene, world: TestBed) -> None:
    scene.board.power_on()
    set_clock(scene, NOW + 40 * DAY_S)
    scene.board.run(HOURS_MS)
    assert scene.codes == {34} and scene.runs(1)
    assert not scene.server.asked_for(Document.RELEASE.value)
    keys = world.workshop.keys_path
    refresh(world.workshop.site, keys, world.workshop.online, NOW + 40 * DAY_S)
    scene.board.run(2 * HOURS_MS)
    assert scene.runs(2)


def test_a_server_that_says_304_to_boards_it_never_answered(scene: Scene, world: TestBed) -> None:
    """A broken cache: refused until there is an answer, and no board calls itself up to date by it."""
    scene.server.misbehave(on=HEAD, status=304)
    scene.board.power_on()
    scene.board.run(HOURS_MS)
    assert scene.codes == {8} and {served.etag for served in scene.server.served} == {None}


def test_304_for_ever_costs_one_look_an_interval_and_ends_with_the_fault(scene: Scene, world: TestBed) -> None:
    """A cache that sticks to the old head: the board cannot know; it takes what comes when it comes."""
    scene.board.power_on()
    scene.board.run(30 * MINUTES_MS)
    assert scene.runs(2)
    scene.server.misbehave(on=HEAD, status=304)
    world.publish(3)
    asked = len(scene.server.served)
    scene.board.run(6 * HOURS_MS)
    assert scene.runs(2) and len(scene.server.served) - asked <= 6 * 7
    scene.server.behave()
    scene.board.run(HOURS_MS)
    assert scene.runs(3)


@pytest.mark.parametrize("etag", ['"nonsense"', 'W/"weak"', '""', "no-quotes", '"%s"' % ("x" * 300)])
def test_whatever_the_etag_is_a_new_head_is_seen(scene: Scene, world: TestBed, etag: str) -> None:
    """A right server answers 200 to an If-None-Match it does not know."""
    scene.server.misbehave(on=HEAD, etag=etag)
    scene.board.power_on()
    scene.board.run(HOURS_MS)
    assert scene.runs(2)
    world.publish(3)
    scene.board.run(HOURS_MS)
    assert scene.runs(3)
