"""Rollouts that go on by themselves, on a real site with real signatures (`fleet.rollout_runner`)."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from slotbench.application.bundle import Bundle
from slotbench.boards import load
from slotbench.errors import BenchError
from slotbench.fleet.audit_log import Actor, list_audit
from slotbench.fleet.board_list import LATE_S
from slotbench.fleet.database import FleetDatabase
from slotbench.fleet.recorder import BoardRecorder
from slotbench.fleet.rollout_plan import RolloutPlan
from slotbench.fleet.leases import LEASE_S
from slotbench.fleet.rollout_runner import RENEWED_S, RolloutRunner, read_channel_head
from slotbench.fleet.rollout_store import RolloutView, ask_rollout, begin_rollout, find_rollout
from slotbench.fleet.schema import boards
from slotbench.formats.head import Head, rollout_place
from slotbench.release.high_water import HighWater
from slotbench.release.applications import build_application
from slotbench.release.publish import Rollout, publish_offer, publish_release
from slotbench.release.rollout import Channel
from slotbench.release.signer import ExternalSigner, HeadSigner
from slotbench.release.store import Store
from support.commands import MakeRelease
from support.fleet import fill, proven
from support.samples import NOW, PRODUCT, KeyRing

HOUR_S = 3600
PERSON = Actor("somebody")
FLEET = 40


class RolloutCourse:
    """A rollout of counter 7 among boards that run 5."""

    def __init__(self, database: FleetDatabase, site: Store, ring: KeyRing, clock: list[float]) -> None:
        self.database, self.site, self.ring, self.clock = database, site, ring, clock
        self.runner = self.new_runner()
        self.number = 0

    def new_runner(self, signer: HeadSigner | None = None) -> RolloutRunner:
        return RolloutRunner(
            self.database, self.site.root, self.ring.document, signer or self.ring.load("online"),
            lambda: self.clock[0])

    def begin(self, **plan: Any) -> None:
        with self.database.writing() as connection:
            self.number = begin_rollout(
                connection, PERSON, int(self.clock[0]), self.head, RolloutPlan(**{"steps": (10, 100)} | plan), LATE_S)

    def ask(self, what: str) -> None:
        with self.database.writing() as connection:
            ask_rollout(connection, PERSON, int(self.clock[0]), self.number, what)

    def turn(self, hours: float = 0) -> RolloutView:
        """Let time go by, during which every board is heard, and let the process that signs have its turn."""
        self.clock[0] += hours * HOUR_S
        if hours:
            with self.database.writing() as connection:
                connection.execute(update(boards).values(last_seen=int(self.clock[0])))
        self.runner.step()
        return self.view

    def confirm(self, percent: int, **values: Any) -> int:
        """The boards of this step run and confirm it, or do what `values` say; how many they are."""
        ids = [f"lamp-{n:06}" for n in range(FLEET) if rollout_place(self.head.release, f"lamp-{n:06}") < percent]
        with self.database.writing() as connection:
            connection.execute(update(boards).where(boards.c.device_id.in_(ids)).values(
                **{"running": 7, "target": 7, "report": 1, "report_counter": 7} | values))
        return len(ids)

    @property
    def view(self) -> RolloutView:
        with self.database.reading() as connection:
            found = find_rollout(connection, self.number)
        assert found is not None
        return found

    @property
    def head(self) -> Head:
        found = read_channel_head(self.site, PRODUCT, "stable")
        assert found is not None
        return found


@pytest.fixture
def publish(
    site: Store, ring: KeyRing, make_release: MakeRelease, firmware: bytes, clock: list[float],
) -> Callable[..., Head]:
    """Publish a release to a percentage of the boards."""

    def publish(counter: int, percent: int = 0) -> Head:
        return publish_release(
            site, make_release(counter), ring.document, [firmware], ring.load("online"), int(clock[0]),
            rollout=Rollout(percent=percent))

    return publish


@pytest.fixture
def course(
    database: FleetDatabase, site: Store, ring: KeyRing, clock: list[float], publish: Callable[..., Head],
) -> RolloutCourse:
    publish(7)
    fill(database, FLEET)
    return RolloutCourse(database, site, ring, clock)


def test_a_good_release_goes_to_all(course: RolloutCourse) -> None:
    course.begin()
    first = course.turn()
    assert (first.state, first.percent, course.head.percent) == ("running", 10, 10)
    assert course.turn(1).reason == "watching 10 %"
    number = course.confirm(10)
    assert 0 < number < FLEET
    assert course.turn(22).percent == 10
    assert course.turn(1).percent == course.head.percent == 100
    assert course.turn(24).reason == f"{number} of {FLEET} boards confirmed it, {FLEET * 80 // 100} have to"
    course.confirm(100)
    assert course.turn(1).state == "done"
    with course.database.reading() as connection:
        told = [(entry.who, entry.action) for entry in reversed(list_audit(connection))]
    assert told == [
        ("somebody", "rollout start"), ("the rollout itself", "rollout running"),
        ("the rollout itself", "rollout running"), ("the rollout itself", "rollout done")]


def test_each_step_is_above_the_last_and_is_written_down_beside_the_keys(course: RolloutCourse) -> None:
    before = course.head.seq
    course.begin()
    seq = course.turn().seq
    mark = HighWater.beside(course.ring.document, PRODUCT)
    assert before < seq == course.head.seq
    assert mark.head("stable") == course.head, "the file beside the keys knows it"


def test_a_bad_release_is_paused_in_the_turn_after_the_report(course: RolloutCourse, recorder: BoardRecorder) -> None:
    course.begin()
    course.turn()
    course.confirm(10)
    recorder.observe(proven("lamp-000000", at=int(course.clock[0]), report=2, report_counter=7))
    recorder.flush()
    view = course.turn()
    assert (view.state, course.head.paused) == ("paused", True)
    assert "failed, more than 5 %" in view.reason
    assert course.turn(48).percent == 10 and course.head.paused, "it stays so until a person looks"
    course.ask("resume")
    assert course.turn().state == "running" and not course.head.paused
    assert course.turn(1).state == "running", "the failure was accepted"


def test_silence_after_a_download_pauses(course: RolloutCourse) -> None:
    course.begin()
    course.turn()
    course.confirm(10, running=5, report_counter=5, last_seen=NOW)
    course.clock[0] += HOUR_S
    assert course.turn().state == "running"
    course.clock[0] += 1
    view = course.turn()
    assert view.state == "paused" and "fell silent" in view.reason and course.head.paused


def test_boards_that_confirmed_are_silent_later(course: RolloutCourse) -> None:
    course.begin(soak_s=90 * 86400)
    course.turn()
    course.confirm(10, last_seen=NOW)
    course.clock[0] += LATE_S
    assert course.turn().state == "running"
    course.clock[0] += 1
    assert course.turn().state == "paused"


def test_a_fleet_that_is_not_heard_goes_no_further(course: RolloutCourse) -> None:
    course.clock[0] += 20 * 86400
    course.begin()
    course.turn()
    course.clock[0] += 2 * 86400
    assert course.turn().reason == "no board of the channel was heard of lately" and course.head.percent == 10


def test_a_person_pauses_resumes_and_aborts(course: RolloutCourse) -> None:
    course.begin()
    course.turn()
    course.ask("pause")
    assert course.turn().state == "paused" and course.head.paused
    course.ask("resume")
    assert course.turn().state == "running" and not course.head.paused
    course.ask("abort")
    assert course.turn().state == "aborted" and course.head.paused
    for what in ("pause", "resume", "abort"):
        with pytest.raises(BenchError, match=f"it cannot be asked to {what}"):
            course.ask(what)


def test_heads_that_others_sign_are_followed(course: RolloutCourse, publish: Callable[..., Head]) -> None:
    course.begin(steps=(10, 50, 100))
    course.turn()
    channel = Channel(course.site, course.ring.document, course.ring.load("online"))
    channel.promote(NOW + 5, percent=50)
    view = course.turn()
    assert (view.percent, view.step_at, view.state) == (50, NOW, "running")
    channel.pause(NOW + 6)
    assert course.turn().state == "paused"
    channel.resume(NOW + 7)
    assert course.turn().state == "running"
    course.clock[0] += 60
    publish(8)
    view = course.turn()
    assert (view.state, view.reason) == ("aborted", "the channel offers another release now")
    assert course.head.counter == 8 and not course.head.paused, "the new release is left alone"


def test_a_process_that_dies_after_signing_signs_nothing_twice(
    course: RolloutCourse, monkeypatch: pytest.MonkeyPatch,
) -> None:
    course.begin()
    with monkeypatch.context() as dying:
        dying.setattr(RolloutRunner, "_note", lambda *a, **b: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            course.turn()
    seq = course.head.seq
    assert course.head.percent == 10 and course.view.percent == 0, "signed, and not written down"
    course.clock[0] += LEASE_S + 1
    course.runner = course.new_runner()
    view = course.turn()
    assert (view.percent, view.step_at, course.head.seq) == (10, NOW + LEASE_S + 1, seq)


def test_one_process_at_a_time(course: RolloutCourse) -> None:
    course.begin()
    other = course.new_runner()
    course.turn()
    seq = course.head.seq
    course.ask("pause")
    other.step()
    assert course.head.seq == seq, "the other one has no lease"
    course.runner.leave()
    other.step()
    assert course.view.state == "paused"


def test_heads_are_renewed_before_they_expire(course: RolloutCourse) -> None:
    seq, expires = course.head.seq, course.head.expires
    course.clock[0] = expires - RENEWED_S
    course.runner.step()
    assert course.head.seq == seq
    course.clock[0] += 1
    course.runner.step()
    assert course.head.seq > seq and course.head.expires == course.clock[0] + 30 * 86400
    assert course.head.percent == 0


def test_what_cannot_be_signed_is_said_and_tried_again(course: RolloutCourse) -> None:
    course.begin()
    course.runner = course.new_runner(ExternalSigner(["false"], course.ring.keys))
    with pytest.raises(BenchError, match="the signer did not sign"):
        course.turn()
    assert course.view.reason.startswith("not signed: the signer did not sign") and course.head.percent == 0
    course.clock[0] += LEASE_S + 1
    course.runner = course.new_runner()
    assert course.turn().percent == 10


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_a_command_signs(course: RolloutCourse) -> None:
    def openssl(key: str) -> ExternalSigner:
        return ExternalSigner(
            ["openssl", "dgst", "-sha256", "-sign", str(getattr(course.ring, key))], course.ring.keys)

    course.begin()
    course.runner = course.new_runner(openssl("online"))
    assert course.turn().percent == course.head.percent == 10
    with pytest.raises(BenchError, match="another key than the online key"):
        openssl("stranger").sign(b"{}")


@pytest.mark.parametrize(("command", "said"), [
    (["/no/such/program"], "the signer cannot be run (No such file or directory)"),
    ([sys.executable, "-c", "print('x' * 383)"], "with another key than the online key"),
    ([sys.executable, "-c", "print('x')"], "the signer did not sign (exit code 0, 2 bytes)"),
])
def test_what_a_command_does_wrong_is_said(ring: KeyRing, command: list[str], said: str) -> None:
    with pytest.raises(BenchError) as refused:
        ExternalSigner(command, ring.keys).sign(b"{}")
    assert said in str(refused.value) and refused.value.cure


@pytest.mark.parametrize(("prepare", "said"), [
    ("nobody", "no board of this channel has proved who it is"),
    ("paused", "the channel is paused"),
    ("all", "counter 7 is offered to 100 % of the boards already"),
    ("twice", "another rollout is under way here"),
])
def test_a_rollout_that_makes_no_sense_does_not_begin(course: RolloutCourse, prepare: str, said: str) -> None:
    channel = Channel(course.site, course.ring.document, course.ring.load("online"))
    if prepare == "nobody":
        with course.database.writing() as connection:
            connection.execute(update(boards).values(channel="beta"))
    elif prepare == "paused":
        channel.pause(NOW)
    elif prepare == "all":
        channel.promote(NOW, percent=100)
    else:
        course.begin()
    with pytest.raises(BenchError) as refused:
        course.begin()
    assert said in str(refused.value) and refused.value.exit_code == 2


@pytest.fixture
def publish_program(
    site: Store, ring: KeyRing, tmp_path: Path, clock: list[float],
) -> Callable[[int], Head]:
    """Offer an application to nobody, beside what the channel offers."""

    def publish_program(counter: int) -> Head:
        bundle = Bundle({"main.py": b"print(%d)\n" % counter}, 0)
        made = build_application(
            bundle, product=PRODUCT, boards=[load("generic_4m")], version=f"{counter}.0", counter=counter,
            created=NOW, channels=("stable",))
        path = tmp_path / f"{counter}.application"
        path.write_bytes(ring.load("offline").sign(made.to_payload()).pack())
        return publish_offer(
            site, ring.document, ring.load("online"), int(clock[0]), application=(path, bundle),
            rollout=Rollout(percent=0))

    return publish_program


@pytest.mark.parametrize(("firmware_counter", "confirmed"), [(0, 5), (5, 4)])
def test_a_program_is_rolled_out_by_what_boards_prove_of_it(
    database: FleetDatabase, site: Store, ring: KeyRing, clock: list[float], publish: Callable[..., Head],
    publish_program: Callable[[int], Head], firmware_counter: int, confirmed: int,
) -> None:
    """Boards that run the firmware have it, though most are yet to say that they confirmed it."""
    if firmware_counter:
        publish(firmware_counter, 100)
    head = publish_program(3)
    assert (head.counter, head.app_counter) == (firmware_counter, 3)
    fill(database, FLEET, app_running=2, app_report=1, app_report_counter=2, report_counter=confirmed)
    course = RolloutCourse(database, site, ring, clock)
    course.begin(steps=(50, 100))
    assert course.turn().content == "application 3" and course.head.percent == 50
    taking = [
        f"lamp-{n:06}" for n in range(FLEET)
        if rollout_place(head.release, f"lamp-{n:06}", head.app) < 50]
    with database.writing() as connection:
        connection.execute(update(boards).where(boards.c.device_id.in_(taking)).values(
            app_running=3, app_report_counter=3))
    assert course.turn(25).percent == course.head.percent == 100
    with database.writing() as connection:  # the others gave it up
        connection.execute(update(boards).where(boards.c.device_id.not_in(taking)).values(
            app_report=2, app_report_counter=3))
    paused = course.turn(1)
    assert (paused.state, course.head.paused) == ("paused", True)
    assert paused.reason == f"{FLEET - len(taking)} of {FLEET} boards failed, more than 5 %"
    assert course.turn(1).reason == paused.reason, "for a person who looks later"


def test_a_program_beside_a_new_firmware_goes_with_it(
    database: FleetDatabase, site: Store, ring: KeyRing, clock: list[float], publish: Callable[..., Head],
    publish_program: Callable[[int], Head],
) -> None:
    publish(7)
    publish_program(3)
    fill(database, FLEET)
    course = RolloutCourse(database, site, ring, clock)
    course.begin()
    assert course.turn().content == "counter 7" and course.head.percent == 10
