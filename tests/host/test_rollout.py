"""A release in portions: what each step changes in the directory, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from slotbench.errors import BenchError
from slotbench.formats import document
from slotbench.formats.head import Head
from slotbench.release import store
from slotbench.release.publish import Rollout, publish
from slotbench.release.rollout import Channel, withdrawn
from support.samples import NOW, PRODUCT, files_below, write_ring

DAY = 86400
LATER = NOW + 3600


def head_of(target, channel="stable"):
    return Head.from_payload(document.split(target.read(store.head_name(PRODUCT, channel))).payload)


@pytest.fixture
def put(target, make, ring, firmware):
    """Publish a release by its counter."""
    def put(counter, channel="stable", **options):
        return publish(
            target, make(counter), ring.document, [firmware], ring.load("online"), NOW + counter,
            channel=channel, rollout=Rollout(**options))
    return put


@pytest.fixture
def stable(target, ring, put):
    """The channel with counter 7 at 10 %, behind counter 6."""
    put(6)
    put(7, percent=10, cohorts=("lab",))
    return Channel(target, ring.document, ring.load("online"))


class TestPromote:
    def test_a_new_head_for_more_boards_and_nothing_else(self, target, ring, stable):
        before, files = head_of(target), files_below(target.root)

        head = stable.promote(LATER, percent=50, cohorts=("roof", "lab"), days=3)

        assert head == head_of(target) == replace(
            before, seq=before.seq + 1, percent=50, cohorts=("lab", "roof"), issued=LATER,
            expires=LATER + 3 * DAY)
        assert files_below(target.root) == files
        assert document.verify(document.split(target.read("heads/sensor/stable.head")), ring.keys.online)

    def test_a_cohort_alone(self, stable):
        head = stable.promote(LATER, cohorts=("roof",))

        assert (head.percent, head.cohorts) == (10, ("lab", "roof"))

    def test_the_percent_shrinks_only_when_that_is_meant(self, target, stable):
        before = target.read("heads/sensor/stable.head")

        with pytest.raises(BenchError, match="at 10 %, 9 % would take boards out; --shrink does it"):
            stable.promote(LATER, percent=9)
        assert target.read("heads/sensor/stable.head") == before

        assert stable.promote(LATER, percent=9, shrink=True).percent == 9

    def test_a_pause_stays(self, stable):
        stable.pause(LATER)

        head = stable.promote(LATER, percent=50)

        assert head.paused and head.percent == 50

    def test_not_a_release_that_boards_cannot_get(self, target, stable):
        path = target.path(store.release_name(head_of(target).release))
        path.write_bytes(path.read_bytes().replace(b"sensor", b"sensar"))

        with pytest.raises(BenchError, match="signature is wrong"):
            stable.promote(LATER, percent=100)
        path.unlink()
        with pytest.raises(BenchError, match="cannot read"):
            stable.promote(LATER, percent=100)
        assert stable.pause(LATER).paused, "which always works"


def test_pause_and_resume_change_nothing_but_that(target, stable):
    before = head_of(target)

    assert stable.pause(LATER) == replace(
        before, seq=before.seq + 1, paused=True, issued=LATER, expires=LATER + 30 * DAY)
    assert stable.resume(LATER) == replace(
        before, seq=before.seq + 2, issued=LATER, expires=LATER + 30 * DAY)


def test_the_interval_that_a_head_gives_stays(target, ring, stable):
    head = replace(head_of(target), interval_s=3600)
    target.write("heads/sensor/stable.head", ring.load("online").sign(head.to_payload()).pack())

    assert stable.promote(LATER, percent=20).interval_s == 3600
    assert stable.withdraw(LATER).interval_s == 3600


class TestWithdraw:
    def test_back_to_the_release_before_for_everybody(self, target, make, stable):
        before, files = head_of(target), files_below(target.root)

        head = stable.withdraw(LATER)

        digest = document.split(make(6).read_bytes()).digest
        assert head == head_of(target) == replace(
            before, seq=before.seq + 1, release=digest, counter=6, percent=100, cohorts=(), issued=LATER,
            expires=LATER + 30 * DAY)
        assert files_below(target.root) - files == {"heads/sensor/stable.withdrawn"}
        assert withdrawn(target, PRODUCT, "stable") == [before.release]

    def test_a_second_time_there_is_nothing_older(self, stable):
        stable.withdraw(LATER)

        with pytest.raises(BenchError, match="no older release"):
            stable.withdraw(LATER)

    def test_never_back_to_one_that_was_withdrawn_itself(self, target, ring, make, firmware, stable):
        stable.withdraw(LATER)
        publish(target, make(8), ring.document, [firmware], ring.load("online"), LATER)

        assert stable.withdraw(LATER).counter == 6
        publish(target, make(9), ring.document, [firmware], ring.load("online"), LATER)
        assert stable.withdraw(LATER, to=7).counter == 7, "a person may say so"

    def test_only_to_what_may_appear_in_the_channel(self, target, ring, make, firmware, put):
        put(5)
        publish(target, make(6, channels=("beta",)), ring.document, [firmware], ring.load("online"), NOW + 6,
                channel="beta")
        put(7)
        stable = Channel(target, ring.document, ring.load("online"))

        with pytest.raises(BenchError, match="no release with counter 6, below 7 and for the channel stable"):
            stable.withdraw(LATER, to=6)
        assert stable.withdraw(LATER).counter == 5

    def test_only_to_a_lower_counter(self, stable):
        with pytest.raises(BenchError, match="no release with counter 7, below 7"):
            stable.withdraw(LATER, to=7)

    def test_nothing_older(self, target, ring, put):
        put(7)
        before = files_below(target.root)

        with pytest.raises(BenchError, match="no older release .*`slotbench release pause` keeps boards from"):
            Channel(target, ring.document, ring.load("online")).withdraw(LATER)
        assert files_below(target.root) == before

    def test_not_to_one_that_nobody_can_download(self, target, stable):
        for image in (target.root / "images").iterdir():
            image.unlink()

        with pytest.raises(BenchError, match="counter 6 cannot be downloaded any more, images/.* is gone"):
            stable.withdraw(LATER)
        assert head_of(target).counter == 7 and withdrawn(target, PRODUCT, "stable") == []

    def test_not_to_one_that_no_pinned_key_signed(self, target, make, ring, firmware, put):
        put(5)
        stranger = make(6, key="stranger")
        signed = document.split(stranger.read_bytes())
        target.path(store.release_name(signed.digest)).write_bytes(stranger.read_bytes())
        put(7)

        assert Channel(target, ring.document, ring.load("online")).withdraw(LATER).counter == 5


class TestEveryStep:
    STEPS = {
        "promote": lambda channel, now: channel.promote(now, percent=50),
        "pause": lambda channel, now: channel.pause(now),
        "resume": lambda channel, now: channel.resume(now),
        "withdraw": lambda channel, now: channel.withdraw(now),
    }

    @pytest.fixture(params=STEPS.values(), ids=STEPS)
    def step(self, request):
        return request.param

    def test_needs_something_published(self, target, ring, step):
        with pytest.raises(BenchError, match="nothing is published for sensor in the channel stable: .*; publ"):
            step(Channel(target, ring.document, ring.load("online")), NOW)

    def test_needs_a_clock_that_does_not_go_back(self, target, stable, step):
        files = files_below(target.root)
        with pytest.raises(BenchError, match="later than now .*; set this computer's clock"):
            step(stable, NOW)
        assert files_below(target.root) == files and head_of(target).seq == 2

    def test_does_not_build_on_a_tampered_head(self, target, stable, step):
        path = target.path("heads/sensor/stable.head")
        path.write_bytes(path.read_bytes().replace(b'"percent":10', b'"percent":99'))
        with pytest.raises(BenchError, match="signature is wrong"):
            step(stable, LATER)

    def test_goes_on_under_new_keys_from_a_head_that_the_old_ones_signed(self, target, ring, stable, step):
        paths = {"offline": ring.offline, "online": ring.stranger, "stranger": ring.online}
        newer = write_ring(paths, ring.document.with_name("newer.keys"), epoch=2)
        head = step(Channel(target, newer.document, newer.load("online")), LATER)
        assert (head.epoch, head.seq) == (2, 1)

    def test_does_not_build_on_a_head_whose_keys_are_not_known(self, target, ring, stable, step):
        paths = {"offline": ring.offline, "online": ring.stranger, "stranger": ring.online}
        newer = write_ring(paths, ring.document.with_name("newer.keys"), epoch=2)
        target.path(store.keys_name(PRODUCT)).unlink()
        with pytest.raises(BenchError, match="key epoch 1, whose keys are not known; publish its release again"):
            step(Channel(target, newer.document, newer.load("online")), LATER)


@pytest.mark.parametrize("name", ["offline", "stranger"])
def test_heads_need_the_online_key(target, ring, name):
    with pytest.raises(BenchError, match="use an online key"):
        Channel(target, ring.document, ring.load(name))


class TestCommands:
    @pytest.fixture
    def run(self, slotbench, target, ring, stable, monkeypatch):
        monkeypatch.setattr("time.time", lambda: float(LATER))
        keys = "--keys", ring.document
        signing = "--key", ring.online, *keys

        def run(verb, *options):
            return slotbench(
                "release", verb, target.root, *options, *(keys if verb in ("list", "notify") else signing))
        return run

    def test_the_story_of_a_rollout(self, run, target):
        said = [
            run("promote", "--percent", "30", "--cohort", "roof"), run("pause"), run("resume"),
            run("withdraw"),
        ]
        assert [ran.code for ran in said] == [0, 0, 0, 0]
        channel = f"{target.root}: sensor/stable is counter"
        share = "30 % of the boards and cohorts lab, roof"
        assert [ran.out.strip() for ran in said] == [
            f"{channel} 7 for {share}, head seq 3",
            f"{channel} 7 for nobody while paused ({share} when resumed), head seq 4",
            f"{channel} 7 for {share}, head seq 5",
            f"{channel} 6 for 100 % of the boards, head seq 6",
        ]

    def test_the_list(self, run, put, firmware):
        put(9, channel="beta")
        assert run("list").out.splitlines() == [
            "counter 9  1.25.0  beta: 100 % of the boards, head seq 1",
            "counter 7  1.25.0  stable: 10 % of the boards and cohorts lab, head seq 2",
            "counter 6  1.25.0  for stable, beta, offered to nobody",
        ]
        run("withdraw")
        assert "counter 7  1.25.0  withdrawn from stable" in run("list").out
        found = json.loads(run("list", "--json").out)
        assert [(entry["counter"], len(entry["heads"]), entry["withdrawn"]) for entry in found] == [
            (9, 1, []), (7, 0, ["stable"]), (6, 1, [])]

    def test_the_list_says_what_has_expired(self, run, monkeypatch):
        monkeypatch.setattr("time.time", lambda: float(NOW + 40 * DAY))
        assert "head seq 2, EXPIRED" in run("list").out

    def test_the_list_of_a_damaged_directory(self, run, target):
        target.path(store.release_name(head_of(target).release)).unlink()
        ran = run("list")
        assert ran.code == 1 and "the channel stable offers a release that boards cannot get" in ran.err

    def test_promote_wants_to_know_what(self, run):
        ran = run("promote")
        assert (ran.code, "give --percent, --cohort or both" in ran.err) == (2, True)

    @pytest.mark.parametrize("broker", [":1883", "host:", "host:x", "host:0", "host:65536"])
    def test_what_is_no_broker_is_found_before_anything_is_published(self, run, target, broker):
        ran = run("promote", "--percent", "50", "--notify", broker)
        assert ran.code == 2 and "give a host, or host:port" in ran.err
        assert head_of(target).percent == 10
