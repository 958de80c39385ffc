"""A rollout step by step (`release.rollout`): what each step changes in the site, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import pytest

from slotbench.errors import BenchError
from slotbench.formats import FormatError, document
from slotbench.formats.head import Head
from slotbench.release import store
from slotbench.release.high_water import HighWater
from slotbench.release.publish import Rollout, publish_release
from slotbench.release.rollout import Channel, withdrawn_digests
from slotbench.release.store import Store
from support.commands import CommandResult, MakeRelease, RunCommand
from support.samples import NOW, PRODUCT, SEQ, KeyRing, files_below, write_ring

DAY = 86400
LATER = NOW + 3600

PublishCounter: TypeAlias = Callable[..., Head]
"""Publishes a release by its counter."""

Step: TypeAlias = Callable[[Channel, int], Head]


def mark_of(ring: KeyRing) -> HighWater:
    return HighWater.beside(ring.document, PRODUCT)


def head_of(site: Store, channel: str = "stable") -> Head:
    return Head.from_payload(document.split_document(site.read(store.head_name(PRODUCT, channel))).payload)


@pytest.fixture
def publish_counter(site: Store, make_release: MakeRelease, ring: KeyRing, firmware: bytes) -> PublishCounter:
    """Publish a release by its counter."""

    def publish_counter(counter: int, channel: str = "stable", **options: Any) -> Head:
        return publish_release(
            site, make_release(counter), ring.document, [firmware], ring.load("online"), NOW + counter,
            channel=channel, rollout=Rollout(**options))

    return publish_counter


@pytest.fixture
def stable_channel(site: Store, ring: KeyRing, publish_counter: PublishCounter) -> Channel:
    """The channel stable offers counter 7 to 10 % of the boards. Counter 6 was published before it."""
    publish_counter(6)
    publish_counter(7, percent=10, cohorts=("lab",))
    return Channel(site, ring.document, ring.load("online"))


def test_promote_writes_a_head_for_more_boards_and_nothing_else(
    site: Store, ring: KeyRing, stable_channel: Channel,
) -> None:
    before, files = head_of(site), files_below(site.root)

    head = stable_channel.promote(LATER, percent=50, cohorts=("roof", "lab"), days=3)

    assert head == head_of(site) == replace(
        before, seq=SEQ + 3600, percent=50, cohorts=("lab", "roof"), issued=LATER,
        expires=LATER + 3 * DAY)
    assert files_below(site.root) == files
    assert document.verify_signature(document.split_document(site.read("heads/sensor/stable.head")), ring.keys.online)


def test_promote_a_cohort_alone(stable_channel: Channel) -> None:
    head = stable_channel.promote(LATER, cohorts=("roof",))

    assert (head.percent, head.cohorts) == (10, ("lab", "roof"))


def test_devices_are_listed_and_unlisted_and_stay_until_another_release(
    site: Store, stable_channel: Channel, publish_counter: PublishCounter,
) -> None:
    stable_channel.promote(LATER, devices=("esp-1", "esp-2"))
    head = stable_channel.promote(LATER, devices=("esp-3", "esp-1"), unlisted=("esp-2", "esp-9"))
    assert (head.percent, head.cohorts, head.devices) == (10, ("lab",), ("esp-1", "esp-3"))
    for step in (stable_channel.pause, stable_channel.resume):
        assert step(LATER).devices == ("esp-1", "esp-3")

    with pytest.raises(FormatError, match="17 devices are listed, at most 16"):
        stable_channel.promote(LATER, devices=tuple(map(str, range(15))))
    assert head_of(site).devices == ("esp-1", "esp-3")

    publish_counter(4000)
    assert head_of(site).devices == ()


def test_the_percentage_shrinks_only_with_shrink(site: Store, stable_channel: Channel) -> None:
    before = site.read("heads/sensor/stable.head")

    with pytest.raises(BenchError, match="at 10 %, 9 % would exclude boards; give --shrink"):
        stable_channel.promote(LATER, percent=9)
    assert site.read("heads/sensor/stable.head") == before

    assert stable_channel.promote(LATER, percent=9, shrink=True).percent == 9


def test_promote_keeps_a_pause(stable_channel: Channel) -> None:
    stable_channel.pause(LATER)

    head = stable_channel.promote(LATER, percent=50)

    assert head.paused and head.percent == 50


def test_promote_refuses_a_release_that_boards_cannot_download(site: Store, stable_channel: Channel) -> None:
    path = site.path(store.release_name(head_of(site).release))
    path.write_bytes(path.read_bytes().replace(b"sensor", b"sensar"))

    with pytest.raises(BenchError, match="signature is wrong"):
        stable_channel.promote(LATER, percent=100)
    path.unlink()
    with pytest.raises(BenchError, match="cannot read"):
        stable_channel.promote(LATER, percent=100)
    assert stable_channel.pause(LATER).paused, "which always works"


def test_pause_and_resume_change_only_the_pause(site: Store, stable_channel: Channel) -> None:
    before = head_of(site)

    assert stable_channel.pause(LATER) == replace(
        before, seq=SEQ + 3600, paused=True, issued=LATER, expires=LATER + 30 * DAY)
    assert stable_channel.resume(LATER) == replace(
        before, seq=SEQ + 3601, issued=LATER, expires=LATER + 30 * DAY)


def test_the_interval_of_a_head_is_kept(site: Store, ring: KeyRing, stable_channel: Channel) -> None:
    head = replace(head_of(site), interval_s=3600)
    site.write("heads/sensor/stable.head", ring.load("online").sign(head.to_payload()).pack())

    assert stable_channel.promote(LATER, percent=20).interval_s == 3600
    assert stable_channel.withdraw(LATER).interval_s == 3600


def test_withdraw_offers_the_previous_release_to_every_board(
    site: Store, ring: KeyRing, make_release: MakeRelease, stable_channel: Channel,
) -> None:
    before, files = head_of(site), files_below(site.root)

    head = stable_channel.withdraw(LATER)

    digest = document.split_document(make_release(6).read_bytes()).digest
    assert head == head_of(site) == replace(
        before, seq=SEQ + 3600, release=digest, counter=6, percent=100, cohorts=(), issued=LATER,
        expires=LATER + 30 * DAY)
    assert files_below(site.root) - files == {"heads/sensor/stable.withdrawn"}
    assert withdrawn_digests(site, mark_of(ring), "stable") == [before.release]


def test_withdraw_twice_finds_no_older_release(stable_channel: Channel) -> None:
    stable_channel.withdraw(LATER)

    with pytest.raises(BenchError, match="no older release"):
        stable_channel.withdraw(LATER)


def test_withdraw_skips_a_withdrawn_release(
    site: Store, ring: KeyRing, make_release: MakeRelease, firmware: bytes, stable_channel: Channel,
) -> None:
    stable_channel.withdraw(LATER)
    publish_release(site, make_release(8), ring.document, [firmware], ring.load("online"), LATER)

    assert stable_channel.withdraw(LATER).counter == 6
    publish_release(site, make_release(9), ring.document, [firmware], ring.load("online"), LATER)
    assert stable_channel.withdraw(LATER, to=7).counter == 7, "a person may say so"


def test_withdraw_skips_a_release_that_excludes_the_channel(
    site: Store, ring: KeyRing, make_release: MakeRelease, firmware: bytes, publish_counter: PublishCounter,
) -> None:
    publish_counter(5)
    publish_release(
        site, make_release(6, channels=("beta",)), ring.document, [firmware], ring.load("online"), NOW + 6,
        channel="beta")
    publish_counter(7)
    stable_channel = Channel(site, ring.document, ring.load("online"))

    with pytest.raises(BenchError, match="no release with counter 6, below 7, is for the channel stable"):
        stable_channel.withdraw(LATER, to=6)
    assert stable_channel.withdraw(LATER).counter == 5


def test_withdraw_to_the_same_counter_is_refused(stable_channel: Channel) -> None:
    with pytest.raises(BenchError, match="no release with counter 7, below 7"):
        stable_channel.withdraw(LATER, to=7)


def test_withdraw_without_an_older_release_is_refused(
    site: Store, ring: KeyRing, publish_counter: PublishCounter,
) -> None:
    publish_counter(7)
    before = files_below(site.root)

    with pytest.raises(BenchError, match="no older release .*stop boards from beginning this one with `slotbench release pause`"):
        Channel(site, ring.document, ring.load("online")).withdraw(LATER)
    assert files_below(site.root) == before


def test_withdraw_to_a_release_without_its_image_is_refused(
    site: Store, ring: KeyRing, stable_channel: Channel,
) -> None:
    for image in (site.root / "images").iterdir():
        image.unlink()

    with pytest.raises(BenchError, match="counter 6 cannot be downloaded, images/.* is missing"):
        stable_channel.withdraw(LATER)
    assert head_of(site).counter == 7 and withdrawn_digests(site, mark_of(ring), "stable") == []


def test_withdraw_skips_a_release_that_no_pinned_key_signed(
    site: Store, make_release: MakeRelease, ring: KeyRing, firmware: bytes, publish_counter: PublishCounter,
) -> None:
    publish_counter(5)
    stranger = make_release(6, key="stranger")
    signed = document.split_document(stranger.read_bytes())
    site.path(store.release_name(signed.digest)).write_bytes(stranger.read_bytes())
    publish_counter(7)

    assert Channel(site, ring.document, ring.load("online")).withdraw(LATER).counter == 5


STEPS: dict[str, Step] = {
    "promote": lambda channel, now: channel.promote(now, percent=50),
    "pause": lambda channel, now: channel.pause(now),
    "resume": lambda channel, now: channel.resume(now),
    "withdraw": lambda channel, now: channel.withdraw(now),
}


@pytest.fixture(params=list(STEPS.values()), ids=list(STEPS))
def step(request: pytest.FixtureRequest) -> Step:
    step: Step = request.param
    return step


def test_every_step_needs_a_published_head(site: Store, ring: KeyRing, step: Step) -> None:
    with pytest.raises(BenchError, match="nothing is published for sensor in the channel stable: .*; publ"):
        step(Channel(site, ring.document, ring.load("online")), NOW)


def test_every_step_needs_a_clock_that_does_not_go_back(
    site: Store, stable_channel: Channel, step: Step,
) -> None:
    files = files_below(site.root)
    with pytest.raises(BenchError, match="later than now .*; set the clock of this computer"):
        step(stable_channel, NOW)
    assert files_below(site.root) == files and head_of(site).seq == SEQ + 7


def test_every_step_refuses_a_tampered_head(site: Store, stable_channel: Channel, step: Step) -> None:
    path = site.path("heads/sensor/stable.head")
    path.write_bytes(path.read_bytes().replace(b'"percent":10', b'"percent":99'))
    with pytest.raises(BenchError, match="signature is wrong"):
        step(stable_channel, LATER)


def test_every_step_continues_under_new_keys(
    site: Store, ring: KeyRing, stable_channel: Channel, step: Step,
) -> None:
    paths = {"offline": ring.offline, "online": ring.stranger, "stranger": ring.online}
    newer = write_ring(paths, ring.document.with_name("newer.keys"), epoch=2)
    head = step(Channel(site, newer.document, newer.load("online")), LATER)
    assert (head.epoch, head.seq) == (2, SEQ + 3600)


def test_every_step_refuses_a_head_of_an_unknown_epoch(
    site: Store, ring: KeyRing, stable_channel: Channel, step: Step,
) -> None:
    paths = {"offline": ring.offline, "online": ring.stranger, "stranger": ring.online}
    newer = write_ring(paths, ring.document.with_name("newer.keys"), epoch=2)
    site.path(store.keys_name(PRODUCT)).unlink()
    with pytest.raises(BenchError, match="key epoch 1, whose keys are not known; publish its release again"):
        step(Channel(site, newer.document, newer.load("online")), LATER)


@pytest.mark.parametrize("name", ["offline", "stranger"])
def test_heads_need_the_online_key(site: Store, ring: KeyRing, name: str) -> None:
    with pytest.raises(BenchError, match="use an online key"):
        Channel(site, ring.document, ring.load(name))


@pytest.fixture
def run_release(
    slotbench: RunCommand, site: Store, ring: KeyRing, stable_channel: Channel,
    monkeypatch: pytest.MonkeyPatch,
) -> RunCommand:
    monkeypatch.setattr("time.time", lambda: float(LATER))
    keys = "--keys", ring.document
    signing = "--key", ring.online, *keys

    def run_release(verb: str, *options: object) -> CommandResult:
        return slotbench(
            "release", verb, site.root, *options, *(keys if verb in ("list", "notify") else signing))
    return run_release


def test_the_commands_of_a_whole_rollout(run_release: RunCommand, site: Store) -> None:
    said = [
        run_release("promote", "--percent", "30", "--cohort", "roof"), run_release("pause"), run_release("resume"),
        run_release("withdraw"),
    ]
    assert [ran.code for ran in said] == [0, 0, 0, 0]
    channel = f"{site.root}: sensor/stable is counter"
    share = "30 % of the boards and cohorts lab, roof"
    assert [ran.out.strip() for ran in said] == [
        f"{channel} 7 for {share}, head seq {SEQ + 3600}",
        f"{channel} 7 for no board while paused ({share} when resumed), head seq {SEQ + 3601}",
        f"{channel} 7 for {share}, head seq {SEQ + 3602}",
        f"{channel} 6 for 100 % of the boards, head seq {SEQ + 3603}",
    ]


def test_list_shows_releases_and_channels(
    run_release: RunCommand, publish_counter: PublishCounter, firmware: bytes,
) -> None:
    publish_counter(9, channel="beta")
    assert run_release("list").out.splitlines() == [
        f"counter 9  1.25.0  beta: 100 % of the boards, head seq {SEQ + 9}, expires 2025-07-15 15:06:49 UTC",
        f"counter 7  1.25.0  stable: 10 % of the boards and cohorts lab, head seq {SEQ + 7}, "
        "expires 2025-07-15 15:06:47 UTC",
        "counter 6  1.25.0  for stable, beta, not offered",
    ]
    run_release("withdraw")
    assert "counter 7  1.25.0  withdrawn from stable" in run_release("list").out
    found = json.loads(run_release("list", "--json").out)["result"]
    assert [(entry["counter"], len(entry["heads"]), entry["withdrawn"]) for entry in found] == [
        (9, 1, []), (7, 0, ["stable"]), (6, 1, [])]


def test_list_marks_expired_heads(run_release: RunCommand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: float(NOW + 40 * DAY))
    assert f"head seq {SEQ + 7}, EXPIRED 2025-07-15" in run_release("list").out


def test_list_of_a_damaged_site_is_an_error(run_release: RunCommand, site: Store) -> None:
    site.path(store.release_name(head_of(site).release)).unlink()
    ran = run_release("list")
    assert ran.code == 1 and "the channel stable offers a release that is missing or not signed" in ran.err


def test_promote_needs_somebody_to_offer_it_to(run_release: RunCommand) -> None:
    ran = run_release("promote")
    assert (ran.code, "give --percent, --cohort, --device or --unlist" in ran.err) == (2, True)


@pytest.mark.parametrize("broker", [":1883", "host:", "host:x", "host:0", "host:65536"])
def test_a_wrong_broker_address_is_refused_before_publishing(
    run_release: RunCommand, site: Store, broker: str,
) -> None:
    ran = run_release("promote", "--percent", "50", "--notify", broker)
    assert ran.code == 2 and "give a host, or host:port" in ran.err
    assert head_of(site).percent == 10
