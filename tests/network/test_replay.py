"""Signed documents that are replayed: old heads, frozen heads, stale ETags."""

from __future__ import annotations

from pathlib import Path

import pytest

from slotbench.release import store
from slotbench.release.publish import Rollout, refresh_heads
from support.faulty_server.cases import Resource
from support.faulty_server.scene import Scene
from support.testbed import HOURS_MS, MINUTES_MS, NOW, PRODUCT, TestBed, make_testbed

HEAD = Resource.HEAD.value
HEAD_NAME = store.head_name(PRODUCT, "stable")
DAY_S = 86400


@pytest.fixture
def scene(scene_of_hours: Scene) -> Scene:
    """Hours pass here."""
    return scene_of_hours


@pytest.fixture
def testbed(tmp_path: Path) -> TestBed:
    """A test bed in which a test publishes."""
    made = make_testbed(tmp_path)
    made.publish(2)
    return made


def head_now(testbed: TestBed) -> bytes:
    head = testbed.publisher.site.read(HEAD_NAME)
    assert head is not None
    return head


def set_clock(scene: Scene, unix_s: int) -> None:
    """As ntptime does."""
    scene.board.run_line(f"import machine, time; machine.RTC().datetime((*time.gmtime({unix_s} - 946684800)[:3], 0, 0, 0, 0, 0))")


def test_an_old_head_is_refused_once_a_newer_one_was_seen(scene: Scene, testbed: TestBed) -> None:
    old = head_now(testbed)
    testbed.publish(3)
    scene.board.power_on()
    scene.board.run(30 * MINUTES_MS)
    assert scene.runs(3)
    replayed = scene.server.inject(on=HEAD, instead=old)
    asked = len(scene.server.requests)
    scene.board.run(6 * HOURS_MS)
    assert replayed.used >= 4 and scene.runs(3)
    assert {refusal.code for refusal in scene.refusals} == {35}
    assert {request.file for request in scene.server.requests[asked:]} == {HEAD_NAME}
    scene.server.clear_faults()
    testbed.publish(4)
    scene.board.run(2 * HOURS_MS)
    assert scene.runs(4)


def test_an_old_head_confirms_a_trial_and_installs_nothing(scene: Scene, testbed: TestBed) -> None:
    """A cache that lags behind must not cost a good release its trials."""
    old = head_now(testbed)
    testbed.publish(3)
    scene.board.power_on()
    scene.board.run(HOURS_MS, until=lambda: len(scene.board.boots) == 2)
    scene.server.inject(on=HEAD, instead=old)
    scene.board.run(40 * MINUTES_MS)
    assert scene.runs(3) and len(scene.board.boots) == 2
    assert scene.codes == {35}, "the confirmed board does not accept it"
    scene.server.clear_faults()
    testbed.publish(4)
    scene.board.run(2 * HOURS_MS)
    assert scene.runs(4)


def test_an_old_head_is_refused_without_a_clock_and_after_a_cut(scene: Scene, testbed: TestBed) -> None:
    """The seq of the newest head is on flash."""
    old = head_now(testbed)
    testbed.publish(3, rollout=Rollout(percent=0))
    scene.board.power_on()
    scene.board.run(30 * MINUTES_MS)
    assert scene.codes == {39}
    scene.board.power_off()
    scene.server.inject(on=HEAD, instead=old)
    scene.board.power_on()
    scene.board.run(HOURS_MS)
    assert scene.codes == {35} and scene.runs(1)


def test_a_head_that_is_never_renewed_expires_where_the_clock_is_set(scene: Scene, testbed: TestBed) -> None:
    scene.board.power_on()
    set_clock(scene, NOW + 40 * DAY_S)
    scene.board.run(HOURS_MS)
    assert scene.codes == {34} and scene.runs(1)
    assert not scene.server.requests_for(Resource.RELEASE.value)
    keys = testbed.publisher.keys_path
    refresh_heads(testbed.publisher.site, keys, testbed.publisher.online, NOW + 40 * DAY_S)
    scene.board.run(2 * HOURS_MS)
    assert scene.runs(2)


def test_a_server_that_answers_304_without_a_prior_response(scene: Scene, testbed: TestBed) -> None:
    """A broken cache: refused until a head arrives; the board does not report that it is up to date."""
    scene.server.inject(on=HEAD, status=304)
    scene.board.power_on()
    scene.board.run(HOURS_MS)
    assert scene.codes == {8} and {request.etag for request in scene.server.requests} == {None}


def test_a_release_is_never_unchanged(scene: Scene) -> None:
    """A 304 in place of a release that was never sent: refused, and not the silent end of a check."""
    scene.server.inject(on=Resource.RELEASE.value, status=304)
    scene.board.power_on()
    scene.board.run(HOURS_MS)
    assert scene.codes == {8} and scene.runs(1)
    asked = scene.server.requests_for(Resource.RELEASE.value)
    assert asked and {request.etag for request in asked} == {None}


def test_a_head_that_expired_is_not_hidden_behind_a_304(scene: Scene, testbed: TestBed) -> None:
    """Nobody renewed it. Before its end a check costs a 304; after it the board wants to see the head, and refuses it."""
    scene.board.power_on()
    scene.board.run(2 * HOURS_MS)
    assert scene.runs(2) and scene.codes <= {28} and scene.server.requests[-1].status == 304
    set_clock(scene, NOW + 40 * DAY_S)
    since = len(scene.server.requests)
    scene.board.run(2 * HOURS_MS)
    later = scene.server.requests[since:]
    assert scene.codes - {28} == {34}
    assert {request.status for request in later} == {200} and {request.etag for request in later} == {None}
    refresh_heads(testbed.publisher.site, testbed.publisher.keys_path, testbed.publisher.online, NOW + 40 * DAY_S)
    scene.board.run(2 * HOURS_MS)
    assert scene.refusals[-1].code == 28 and scene.server.requests[-1].status == 304


def test_who_answers_304_after_the_end_of_the_head_is_no_server(scene: Scene) -> None:
    """A freeze by 304 answers. The board did not ask for one, and says so (8 at 304)."""
    scene.board.power_on()
    scene.board.run(30 * MINUTES_MS)
    scene.server.inject(on=HEAD, status=304)
    set_clock(scene, NOW + 40 * DAY_S)
    scene.board.run(2 * HOURS_MS)
    assert (scene.refusals[-1].code, scene.refusals[-1].where) == (8, 304) and scene.runs(2)


def test_304_for_ever_costs_one_check_an_interval_and_ends_with_the_fault(scene: Scene, testbed: TestBed) -> None:
    """Before the head expires no board can notice a cache that keeps it; the new head is accepted when it arrives."""
    scene.board.power_on()
    scene.board.run(30 * MINUTES_MS)
    assert scene.runs(2)
    scene.server.inject(on=HEAD, status=304)
    testbed.publish(3)
    asked = len(scene.server.requests)
    scene.board.run(6 * HOURS_MS)
    assert scene.runs(2) and len(scene.server.requests) - asked <= 6 * 7
    scene.server.clear_faults()
    scene.board.run(HOURS_MS)
    assert scene.runs(3)


@pytest.mark.parametrize("etag", ['"nonsense"', 'W/"weak"', '""', "no-quotes", '"%s"' % ("x" * 300)])
def test_whatever_the_etag_is_a_new_head_is_seen(scene: Scene, testbed: TestBed, etag: str) -> None:
    """A right server answers 200 to an If-None-Match it does not know."""
    scene.server.inject(on=HEAD, etag=etag)
    scene.board.power_on()
    scene.board.run(HOURS_MS)
    assert scene.runs(2)
    testbed.publish(3)
    scene.board.run(HOURS_MS)
    assert scene.runs(3)
