"""`release.publish`: which files a publication writes, in which order, and what it refuses."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from slotbench import boards
from slotbench.errors import BenchError
from slotbench.formats import FormatError, blocks, document
from slotbench.formats.head import Head
from slotbench.formats.release import Release
from slotbench.release import store
from slotbench.release.build import build_release
from slotbench.release.publish import Rollout, publish_release, refresh_heads
from slotbench.release.store import Store
from support.commands import MakeRelease
from support.samples import NOW, PRODUCT, SEQ, KeyRing, files_below, make_firmware, write_ring

DAY = 86400
GENERIC = boards.load("generic_4m")


def publish_file(site: Store, path: Path, ring: KeyRing, firmware: bytes, **options: Any) -> Head:
    now = options.pop("now", NOW)
    return publish_release(site, path, ring.document, [firmware], ring.load("online"), now, **options)


def head_of(site: Store, channel: str = "stable") -> Head:
    return Head.from_payload(document.split_document(site.read(store.head_name(PRODUCT, channel))).payload)


def test_a_first_release(site: Store, make_release: MakeRelease, ring: KeyRing, firmware: bytes) -> None:
    path = make_release()

    head = publish_file(site, path, ring, firmware)

    sha256 = hashlib.sha256(firmware).hexdigest()
    table = blocks.block_table(firmware)
    signed = document.split_document(path.read_bytes())
    assert files_below(site.root) == {
        ".lock", "heads/sensor/stable.head", "keys/sensor.keys", f"images/{sha256}.bin",
        f"blocks/{blocks.table_digest(table).hex()}.blocks", f"releases/{signed.digest}.release",
    }
    assert site.read(store.image_name(sha256)) == firmware
    assert site.read(store.blocks_name(blocks.table_digest(table).hex())) == table
    assert site.read(store.release_name(signed.digest)) == path.read_bytes()
    assert site.read("keys/sensor.keys") == ring.document.read_bytes()
    assert head == head_of(site) == Head(
        product=PRODUCT, channel="stable", epoch=1, seq=SEQ, release=signed.digest, counter=7, issued=NOW,
        expires=NOW + 30 * DAY)
    signed_head = document.split_document(site.read("heads/sensor/stable.head"))
    assert document.verify_signature(signed_head, ring.keys.online)


def test_seq_counts_for_each_channel(
    site: Store, make_release: MakeRelease, ring: KeyRing, firmware: bytes,
) -> None:
    publish_file(site, make_release(7), ring, firmware)
    publish_file(site, make_release(7), ring, firmware, now=NOW + 5)
    publish_file(site, make_release(8), ring, firmware, channel="beta")

    assert (head_of(site).seq, head_of(site, "beta").seq) == (SEQ + 5, SEQ)
    assert (head_of(site).counter, head_of(site, "beta").counter) == (7, 8)
    assert head_of(site).issued == NOW + 5


def test_a_head_holds_the_rollout(
    site: Store, make_release: MakeRelease, ring: KeyRing, firmware: bytes,
) -> None:
    rollout = Rollout(percent=5, cohorts=("lab", "roof"), paused=True, days=3)

    head = publish_file(site, make_release(), ring, firmware, rollout=rollout)

    assert (head.percent, head.cohorts, head.paused) == (5, ("lab", "roof"), True)
    assert head.expires == NOW + 3 * DAY


def test_a_lower_counter_is_refused(
    site: Store, make_release: MakeRelease, ring: KeyRing, firmware: bytes,
) -> None:
    publish_file(site, make_release(8), ring, firmware)
    before = site.read("heads/sensor/stable.head")
    older = make_release(7)

    with pytest.raises(BenchError, match="counter 7 is below 8, which the channel stable has"):
        publish_file(site, older, ring, firmware)
    assert site.read("heads/sensor/stable.head") == before
    assert len(files_below(site.root / "releases")) == 1

    head = publish_file(site, older, ring, firmware, allow_older=True)
    assert (head.counter, head.seq) == (7, SEQ + 1)


def test_an_older_littlefs_than_that_of_the_release_before_is_refused(
    site: Store, make_release: MakeRelease, ring: KeyRing, firmware: bytes,
) -> None:
    """Its boards could not mount their filesystem."""
    publish_file(site, make_release(7, fs_version=0x00020001), ring, firmware)
    older = make_release(8, fs_version=0x00020000)
    with pytest.raises(BenchError, match="have littlefs 2.1, and this firmware mounts 2.0 at most: .*explain 77"):
        publish_file(site, older, ring, firmware)
    assert publish_file(site, older, ring, firmware, allow_older=True).counter == 8
    publish_file(site, make_release(9, fs_version=0x00020001, fs_upgrade=True), ring, firmware)


def test_two_releases_with_one_counter_are_refused(
    site: Store, make_release: MakeRelease, ring: KeyRing, firmware: bytes,
) -> None:
    publish_file(site, make_release(7), ring, firmware)

    with pytest.raises(BenchError, match="counter 7 belongs to another release in the channel stable"):
        publish_file(site, make_release(7, notes="changed"), ring, firmware)


@pytest.mark.parametrize(("key", "what"), [
    ("online", "signed by the online key: .*; sign it with an offline key"),
    ("stranger", "is not a key of sensor: .*; sign it with an offline key of that product"),
])
def test_a_release_signed_by_another_role_is_refused(
    site: Store, make_release: MakeRelease, ring: KeyRing, firmware: bytes, key: str, what: str,
) -> None:
    with pytest.raises(BenchError, match=what):
        publish_file(site, make_release(key=key), ring, firmware)
    assert not site.root.exists()


def test_an_unreadable_release_is_refused(
    site: Store, make_release: MakeRelease, ring: KeyRing, firmware: bytes,
) -> None:
    path = make_release()
    path.write_bytes(ring.load("offline").sign(b'{"kind":"release","format":1}').pack())

    with pytest.raises(FormatError, match="missing: .*7-offline.release, field product"):
        publish_file(site, path, ring, firmware)


def test_an_altered_release_is_refused(
    site: Store, make_release: MakeRelease, ring: KeyRing, firmware: bytes,
) -> None:
    path = make_release()
    path.write_bytes(path.read_bytes().replace(b'"counter":7', b'"counter":9'))

    with pytest.raises(BenchError, match="signature is wrong: .* altered: .*7-offline.release"):
        publish_file(site, path, ring, firmware)
    assert not site.root.exists()


@pytest.mark.parametrize("name", ["offline", "stranger"])
def test_a_head_needs_the_online_key(
    site: Store, make_release: MakeRelease, ring: KeyRing, firmware: bytes, name: str,
) -> None:
    with pytest.raises(BenchError, match="use an online key"):
        publish_release(site, make_release(), ring.document, [firmware], ring.load(name), NOW)
    assert not site.root.exists()


def test_a_release_of_another_product_is_refused(
    site: Store, make_release: MakeRelease, ring: KeyRing, firmware: bytes,
) -> None:
    with pytest.raises(BenchError, match="release is for pump, the keys are for sensor"):
        publish_file(site, make_release(product="pump"), ring, firmware)


def test_a_channel_that_the_release_excludes_is_refused(
    site: Store, make_release: MakeRelease, ring: KeyRing, firmware: bytes,
) -> None:
    with pytest.raises(BenchError, match="is not for the channel nightly, only for stable, beta: .*; b"):
        publish_file(site, make_release(), ring, firmware, channel="nightly")


def test_another_image_is_refused(
    site: Store, make_release: MakeRelease, ring: KeyRing, firmware: bytes,
) -> None:
    other = make_firmware(seed=2)
    with pytest.raises(BenchError, match="the image of the release is not given: SHA-256 "):
        publish_file(site, make_release(), ring, other)
    with pytest.raises(BenchError, match="a given image is not in the release"):
        publish_release(site, make_release(), ring.document, [firmware, other], ring.load("online"), NOW)
    assert not site.root.exists()


@pytest.mark.parametrize("change", [
    {"url": "images/x.bin"}, {"blocks_url": "http://elsewhere/x"}, {"length": 5}, {"blocks": "ab" * 32},
])
def test_a_release_that_contradicts_its_image_is_refused(
    site: Store, make_release: MakeRelease, ring: KeyRing, firmware: bytes, change: dict[str, Any],
) -> None:
    path = make_release()
    release = Release.from_payload(document.split_document(path.read_bytes()).payload)
    wrong = replace(release, images={"any": replace(release.images["any"], **change)})
    path.write_bytes(ring.load("offline").sign(wrong.to_payload()).pack())

    with pytest.raises(BenchError, match="release contradicts its image"):
        publish_file(site, path, ring, firmware)


def test_publishing_an_image_for_each_slot(
    site: Store, make_release: MakeRelease, ring: KeyRing, firmware: bytes,
) -> None:
    other = make_firmware(seed=2)
    ref_a = build_release(firmware, product=PRODUCT, boards=[GENERIC], counter=7, created=NOW).images["any"]
    ref_b = build_release(other, product=PRODUCT, boards=[GENERIC], counter=7, created=NOW).images["any"]
    path = make_release()
    release = Release.from_payload(document.split_document(path.read_bytes()).payload)
    both = replace(release, images={"a": ref_a, "b": ref_b})
    path.write_bytes(ring.load("offline").sign(both.to_payload()).pack())

    publish_release(site, path, ring.document, [other, firmware], ring.load("online"), NOW)

    assert site.read(ref_a.url) == firmware and site.read(ref_b.url) == other


def test_a_clock_behind_the_published_head_is_refused(
    site: Store, make_release: MakeRelease, ring: KeyRing, firmware: bytes,
) -> None:
    publish_file(site, make_release(), ring, firmware)

    with pytest.raises(BenchError, match=r"was issued at 2025-06-15 15:06:40 UTC, later than now \(.*15:06:39 UTC\); set the clock"):
        publish_file(site, make_release(), ring, firmware, now=NOW - 1)


def test_a_tampered_head_is_refused(
    site: Store, make_release: MakeRelease, ring: KeyRing, firmware: bytes,
) -> None:
    publish_file(site, make_release(), ring, firmware)
    path = site.path("heads/sensor/stable.head")
    path.write_bytes(path.read_bytes().replace(b'"seq":1', b'"seq":9'))

    with pytest.raises(BenchError, match="signature is wrong"):
        publish_file(site, make_release(), ring, firmware)


def test_a_damaged_head_is_named(
    site: Store, make_release: MakeRelease, ring: KeyRing, firmware: bytes,
) -> None:
    publish_file(site, make_release(), ring, firmware)
    path = site.path("heads/sensor/stable.head")
    path.write_bytes(b"{}\nxx\n")
    with pytest.raises(FormatError, match="no key id .*stable.head"):
        publish_file(site, make_release(), ring, firmware)
    path.write_bytes(ring.load("online").sign(b'{"kind":"head","format":1}').pack())
    with pytest.raises(FormatError, match="missing: .*stable.head, field product"):
        publish_file(site, make_release(), ring, firmware)


@pytest.mark.parametrize("fail_at", [1, 2, 3, 4])
def test_boards_see_the_old_head_until_every_file_is_written(
    site: Store, make_release: MakeRelease, ring: KeyRing, firmware: bytes, monkeypatch: pytest.MonkeyPatch,
    fail_at: int,
) -> None:
    publish_file(site, make_release(7), ring, firmware)
    before = site.read("heads/sensor/stable.head")
    newer_keys = make_firmware(seed=2)
    path = make_release(8, data=newer_keys)
    writes, original = [], store.write_atomic

    def failing(path: Path, data: bytes) -> None:
        writes.append(path.parent.name)
        if len(writes) == fail_at:
            raise BenchError("cannot write", where=str(path))
        original(path, data)

    monkeypatch.setattr(store, "write_atomic", failing)
    with pytest.raises(BenchError, match="cannot write"):
        publish_file(site, path, ring, newer_keys)

    assert writes == ["images", "blocks", "releases", "sensor"][:fail_at]
    assert site.read("heads/sensor/stable.head") == before


@pytest.fixture
def newer_keys(ring: KeyRing) -> KeyRing:
    """Keys of the next epoch. Its online key is the one called stranger."""
    paths = {"offline": ring.offline, "online": ring.stranger, "stranger": ring.online}
    return write_ring(paths, ring.document.with_name("newer.keys"), epoch=2)


def test_a_new_epoch_starts_with_a_seq_of_its_own(
    site: Store, make_release: MakeRelease, ring: KeyRing, newer_keys: KeyRing, firmware: bytes,
) -> None:
    publish_file(site, make_release(7), ring, firmware)
    publish_file(site, make_release(7), ring, firmware)

    head = publish_file(site, make_release(8), newer_keys, firmware)

    assert (head.epoch, head.seq, head.counter) == (2, SEQ, 8)
    assert site.read("keys/sensor.keys") == newer_keys.document.read_bytes()


def test_keys_never_go_back(
    site: Store, make_release: MakeRelease, ring: KeyRing, newer_keys: KeyRing, firmware: bytes,
) -> None:
    publish_file(site, make_release(7), newer_keys, firmware)

    with pytest.raises(BenchError, match="epoch 2 is published, the keys file has epoch 1: .*; use the"):
        publish_file(site, make_release(8), ring, firmware)
    site.path("keys/sensor.keys").unlink()
    with pytest.raises(BenchError, match="head has key epoch 2, the keys file has 1"):
        publish_file(site, make_release(8), ring, firmware)


def test_an_epoch_is_one_set_of_keys(
    site: Store, make_release: MakeRelease, ring: KeyRing, firmware: bytes,
) -> None:
    publish_file(site, make_release(7), ring, firmware)
    paths = {"offline": ring.offline, "online": ring.stranger, "stranger": ring.online}
    other = write_ring(paths, ring.document.with_name("other.keys"))

    with pytest.raises(BenchError, match="other keys of epoch 1 are published: .*; use that file"):
        publish_file(site, make_release(8), other, firmware)


def test_refresh_signs_heads_of_the_previous_epoch_with_the_new_key(
    site: Store, make_release: MakeRelease, ring: KeyRing, newer_keys: KeyRing, firmware: bytes,
) -> None:
    rollout = Rollout(percent=5, cohorts=("lab",))
    publish_file(site, make_release(7), ring, firmware, rollout=rollout, now=NOW + 9 * DAY)

    refresh_heads(site, newer_keys.document, newer_keys.load("online"), NOW)

    head = head_of(site)
    assert (head.epoch, head.seq, head.counter, head.percent, head.issued) == (2, SEQ, 7, 5, NOW)
    assert document.verify_signature(document.split_document(site.read("heads/sensor/stable.head")), newer_keys.keys.online)


def test_refresh_refuses_a_head_of_an_unknown_epoch(
    site: Store, make_release: MakeRelease, ring: KeyRing, newer_keys: KeyRing, firmware: bytes,
) -> None:
    publish_file(site, make_release(7), ring, firmware)
    site.path("keys/sensor.keys").unlink()

    with pytest.raises(BenchError, match="head of stable has key epoch 1, whose keys are not known; p"):
        refresh_heads(site, newer_keys.document, newer_keys.load("online"), NOW)


def test_refresh_refuses_a_head_that_its_epoch_did_not_sign(
    site: Store, make_release: MakeRelease, ring: KeyRing, newer_keys: KeyRing, firmware: bytes,
) -> None:
    publish_file(site, make_release(7), ring, firmware)
    head = site.path("heads/sensor/stable.head")
    head.write_bytes(newer_keys.load("online").sign(head.read_bytes().split(b"\n")[0]).pack())

    with pytest.raises(BenchError, match="key .* is not a key of sensor: .*stable.head"):
        refresh_heads(site, newer_keys.document, newer_keys.load("online"), NOW)


def test_refresh_signs_every_head_and_changes_nothing_else(
    site: Store, make_release: MakeRelease, ring: KeyRing, firmware: bytes,
) -> None:
    rollout = Rollout(percent=5, cohorts=("lab",), devices=("esp-1",), paused=True)
    publish_file(site, make_release(7), ring, firmware, rollout=rollout)
    publish_file(site, make_release(8), ring, firmware, channel="beta")
    before, files = head_of(site), files_below(site.root)

    heads = refresh_heads(site, ring.document, ring.load("online"), NOW + DAY, days=2)

    assert [head.channel for head in heads] == ["beta", "stable"]
    assert head_of(site) == replace(before, seq=SEQ + DAY, issued=NOW + DAY, expires=NOW + 3 * DAY)
    assert files_below(site.root) == files


def test_refresh_without_published_heads_is_an_error(site: Store, ring: KeyRing) -> None:
    with pytest.raises(BenchError, match="nothing is published for sensor: .*www; publish a rel"):
        refresh_heads(site, ring.document, ring.load("online"), NOW)


def test_refresh_refuses_a_tampered_head(
    site: Store, make_release: MakeRelease, ring: KeyRing, firmware: bytes,
) -> None:
    publish_file(site, make_release(), ring, firmware)
    path = site.path("heads/sensor/stable.head")
    path.write_bytes(path.read_bytes().replace(b'"percent":100', b'"percent":  0'))
    before = path.read_bytes()

    with pytest.raises(BenchError, match="signature is wrong"):
        refresh_heads(site, ring.document, ring.load("online"), NOW + 1)
    assert path.read_bytes() == before


def test_refresh_needs_the_online_key(site: Store, ring: KeyRing) -> None:
    with pytest.raises(BenchError, match="is an offline key: .*; use an online key"):
        refresh_heads(site, ring.document, ring.load("offline"), NOW)
