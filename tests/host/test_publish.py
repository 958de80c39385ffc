"""release.publish: what gets into the directory, in which order, and what does not."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from slotbench import boards
from slotbench.errors import BenchError
from slotbench.formats import FormatError, blocks, document
from slotbench.formats.head import Head
from slotbench.formats.release import Release
from slotbench.release import store
from slotbench.release.build import build
from slotbench.release.publish import Rollout, publish, refresh
from slotbench.release.store import Store
from support.samples import NOW, PRODUCT, KeyRing, files_below, make_firmware, write_ring

DAY = 86400
GENERIC = boards.load("generic_4m")


def put(target: Store, path: Path, ring: KeyRing, firmware: bytes, **options: object) -> Head:
    now = options.pop("now", NOW)
    return publish(target, path, ring.document, [firmware], ring.load("online"), now, **options)


def head_of(target: Store, channel: str = "stable") -> Head:
    return Head.from_payload(document.split(target.read(store.head_name(PRODUCT, channel))).payload)


class TestPublish:
    def test_a_first_release(self, target, make, ring, firmware):
        path = make()

        head = put(target, path, ring, firmware)

        sha256 = hashlib.sha256(firmware).hexdigest()
        table = blocks.table(firmware)
        signed = document.split(path.read_bytes())
        assert files_below(target.root) == {
            "heads/sensor/stable.head", "keys/sensor.keys", f"images/{sha256}.bin",
            f"blocks/{blocks.digest(table).hex()}.blocks", f"releases/{signed.digest}.release",
        }
        assert target.read(store.image_name(sha256)) == firmware
        assert target.read(store.blocks_name(blocks.digest(table).hex())) == table
        assert target.read(store.release_name(signed.digest)) == path.read_bytes()
        assert target.read("keys/sensor.keys") == ring.document.read_bytes()
        assert head == head_of(target) == Head(
            product=PRODUCT, channel="stable", epoch=1, seq=1, release=signed.digest, counter=7, issued=NOW,
            expires=NOW + 30 * DAY)
        signed_head = document.split(target.read("heads/sensor/stable.head"))
        assert document.verify(signed_head, ring.keys.online)

    def test_seq_counts_for_each_channel(self, target, make, ring, firmware):
        put(target, make(7), ring, firmware)
        put(target, make(7), ring, firmware, now=NOW + 5)
        put(target, make(8), ring, firmware, channel="beta")

        assert (head_of(target).seq, head_of(target, "beta").seq) == (2, 1)
        assert (head_of(target).counter, head_of(target, "beta").counter) == (7, 8)
        assert head_of(target).issued == NOW + 5

    def test_rollout(self, target, make, ring, firmware):
        rollout = Rollout(percent=5, cohorts=("lab", "roof"), paused=True, days=3)

        head = put(target, make(), ring, firmware, rollout=rollout)

        assert (head.percent, head.cohorts, head.paused) == (5, ("lab", "roof"), True)
        assert head.expires == NOW + 3 * DAY

    def test_a_lower_counter(self, target, make, ring, firmware):
        put(target, make(8), ring, firmware)
        before = target.read("heads/sensor/stable.head")
        older = make(7)

        with pytest.raises(BenchError, match="counter 7 is below 8, which the channel stable has"):
            put(target, older, ring, firmware)
        assert target.read("heads/sensor/stable.head") == before
        assert len(files_below(target.root / "releases")) == 1

        head = put(target, older, ring, firmware, allow_older=True)
        assert (head.counter, head.seq) == (7, 2)

    def test_two_releases_with_one_counter(self, target, make, ring, firmware):
        put(target, make(7), ring, firmware)

        with pytest.raises(BenchError, match="counter 7 is that of another release in the channel stable"):
            put(target, make(7, notes="changed"), ring, firmware)

    @pytest.mark.parametrize(("key", "what"), [
        ("online", "signed by the online key: .*; sign it with an offline key"),
        ("stranger", "is not one of sensor's: .*; sign it with an offline key of that product"),
    ])
    def test_a_release_by_a_key_of_another_role(self, target, make, ring, firmware, key, what):
        with pytest.raises(BenchError, match=what):
            put(target, make(key=key), ring, firmware)
        assert not target.root.exists()

    def test_a_release_that_cannot_be_read(self, target, make, ring, firmware):
        path = make()
        path.write_bytes(ring.load("offline").sign(b'{"kind":"release","format":1}').pack())

        with pytest.raises(FormatError, match="missing: .*7-offline.release, field product"):
            put(target, path, ring, firmware)

    def test_an_altered_release(self, target, make, ring, firmware):
        path = make()
        path.write_bytes(path.read_bytes().replace(b'"counter":7', b'"counter":9'))

        with pytest.raises(BenchError, match="signature is wrong: .* altered: .*7-offline.release"):
            put(target, path, ring, firmware)
        assert not target.root.exists()

    @pytest.mark.parametrize("name", ["offline", "stranger"])
    def test_a_head_needs_the_online_key(self, target, make, ring, firmware, name):
        with pytest.raises(BenchError, match="use an online key"):
            publish(target, make(), ring.document, [firmware], ring.load(name), NOW)
        assert not target.root.exists()

    def test_another_product(self, target, make, ring, firmware):
        with pytest.raises(BenchError, match="release is for pump, the keys are for sensor"):
            put(target, make(product="pump"), ring, firmware)

    def test_another_channel(self, target, make, ring, firmware):
        with pytest.raises(BenchError, match="may not appear in nightly, only in stable, beta: .*; b"):
            put(target, make(), ring, firmware, channel="nightly")

    def test_another_image(self, target, make, ring, firmware):
        other = make_firmware(seed=2)
        with pytest.raises(BenchError, match="no image given is the one in the release: SHA-256 "):
            put(target, make(), ring, other)
        with pytest.raises(BenchError, match="an image given is not in the release"):
            publish(target, make(), ring.document, [firmware, other], ring.load("online"), NOW)
        assert not target.root.exists()

    @pytest.mark.parametrize("change", [
        {"url": "images/x.bin"}, {"blocks_url": "http://elsewhere/x"}, {"length": 5}, {"blocks": "ab" * 32},
    ])
    def test_a_release_that_contradicts_its_image(self, target, make, ring, firmware, change):
        path = make()
        release = Release.from_payload(document.split(path.read_bytes()).payload)
        wrong = replace(release, images={"any": replace(release.images["any"], **change)})
        path.write_bytes(ring.load("offline").sign(wrong.to_payload()).pack())

        with pytest.raises(BenchError, match="release contradicts its image"):
            put(target, path, ring, firmware)

    def test_an_image_for_each_slot(self, target, make, ring, firmware):
        other = make_firmware(seed=2)
        ref_a = build(firmware, product=PRODUCT, boards=[GENERIC], counter=7, created=NOW).images["any"]
        ref_b = build(other, product=PRODUCT, boards=[GENERIC], counter=7, created=NOW).images["any"]
        path = make()
        release = Release.from_payload(document.split(path.read_bytes()).payload)
        both = replace(release, images={"a": ref_a, "b": ref_b})
        path.write_bytes(ring.load("offline").sign(both.to_payload()).pack())

        publish(target, path, ring.document, [other, firmware], ring.load("online"), NOW)

        assert target.read(ref_a.url) == firmware and target.read(ref_b.url) == other

    def test_a_clock_that_is_behind(self, target, make, ring, firmware):
        put(target, make(), ring, firmware)

        with pytest.raises(BenchError, match=f"was issued at {NOW}, later than now .*; set this c"):
            put(target, make(), ring, firmware, now=NOW - 1)

    def test_a_tampered_head_is_not_counted_on(self, target, make, ring, firmware):
        put(target, make(), ring, firmware)
        path = target.path("heads/sensor/stable.head")
        path.write_bytes(path.read_bytes().replace(b'"seq":1', b'"seq":9'))

        with pytest.raises(BenchError, match="signature is wrong"):
            put(target, make(), ring, firmware)

    def test_damaged_files_there_are_named(self, target, make, ring, firmware):
        put(target, make(), ring, firmware)
        path = target.path("heads/sensor/stable.head")
        path.write_bytes(b"{}\nxx\n")
        with pytest.raises(FormatError, match="no key id .*stable.head"):
            put(target, make(), ring, firmware)
        path.write_bytes(ring.load("online").sign(b'{"kind":"head","format":1}').pack())
        with pytest.raises(FormatError, match="missing: .*stable.head, field product"):
            put(target, make(), ring, firmware)

    @pytest.mark.parametrize("fail_at", [1, 2, 3, 4])
    def test_until_everything_is_there_boards_see_the_old_head(
        self, target, make, ring, firmware, monkeypatch, fail_at,
    ):
        put(target, make(7), ring, firmware)
        before = target.read("heads/sensor/stable.head")
        newer = make_firmware(seed=2)
        path = make(8, data=newer)
        writes, original = [], store.write_atomic

        def failing(path: Path, data: bytes) -> None:
            writes.append(path.parent.name)
            if len(writes) == fail_at:
                raise BenchError("cannot write", where=str(path))
            original(path, data)

        monkeypatch.setattr(store, "write_atomic", failing)
        with pytest.raises(BenchError, match="cannot write"):
            put(target, path, ring, newer)

        assert writes == ["images", "blocks", "releases", "sensor"][:fail_at]
        assert target.read("heads/sensor/stable.head") == before


class TestEpochs:
    @pytest.fixture
    def newer(self, ring):
        """Keys of the next epoch: the stranger's is the online key now."""
        paths = {"offline": ring.offline, "online": ring.stranger, "stranger": ring.online}
        return write_ring(paths, ring.document.with_name("newer.keys"), epoch=2)

    def test_a_new_epoch_starts_at_seq_1(self, target, make, ring, newer, firmware):
        put(target, make(7), ring, firmware)
        put(target, make(7), ring, firmware)

        head = put(target, make(8), newer, firmware)

        assert (head.epoch, head.seq, head.counter) == (2, 1, 8)
        assert target.read("keys/sensor.keys") == newer.document.read_bytes()

    def test_keys_never_go_back(self, target, make, ring, newer, firmware):
        put(target, make(7), newer, firmware)

        with pytest.raises(BenchError, match="epoch 2 is published, the keys file has 1: .*; use the"):
            put(target, make(8), ring, firmware)
        target.path("keys/sensor.keys").unlink()
        with pytest.raises(BenchError, match="head has key epoch 2, the keys file 1"):
            put(target, make(8), ring, firmware)

    def test_an_epoch_is_one_set_of_keys(self, target, make, ring, firmware):
        put(target, make(7), ring, firmware)
        paths = {"offline": ring.offline, "online": ring.stranger, "stranger": ring.online}
        other = write_ring(paths, ring.document.with_name("other.keys"))

        with pytest.raises(BenchError, match="other keys of epoch 1 are published: .*; use that file"):
            put(target, make(8), other, firmware)

    def test_refresh_signs_heads_of_the_epoch_before_with_the_new_key(self, target, make, ring, newer, firmware):
        rollout = Rollout(percent=5, cohorts=("lab",))
        put(target, make(7), ring, firmware, rollout=rollout, now=NOW + 9 * DAY)

        refresh(target, newer.document, newer.load("online"), NOW)

        head = head_of(target)
        assert (head.epoch, head.seq, head.counter, head.percent, head.issued) == (2, 1, 7, 5, NOW)
        assert document.verify(document.split(target.read("heads/sensor/stable.head")), newer.keys.online)

    def test_refresh_trusts_no_head_whose_keys_are_not_known(self, target, make, ring, newer, firmware):
        put(target, make(7), ring, firmware)
        target.path("keys/sensor.keys").unlink()

        with pytest.raises(BenchError, match="head of stable has key epoch 1, whose keys are not known; p"):
            refresh(target, newer.document, newer.load("online"), NOW)

    def test_refresh_trusts_no_head_that_the_key_of_its_epoch_did_not_sign(
        self, target, make, ring, newer, firmware,
    ):
        put(target, make(7), ring, firmware)
        head = target.path("heads/sensor/stable.head")
        head.write_bytes(newer.load("online").sign(head.read_bytes().split(b"\n")[0]).pack())

        with pytest.raises(BenchError, match="key .* is not one of sensor's: .*stable.head"):
            refresh(target, newer.document, newer.load("online"), NOW)


class TestRefresh:
    def test_every_head_of_the_product_and_nothing_else(self, target, make, ring, firmware):
        rollout = Rollout(percent=5, cohorts=("lab",), paused=True)
        put(target, make(7), ring, firmware, rollout=rollout)
        put(target, make(8), ring, firmware, channel="beta")
        before, files = head_of(target), files_below(target.root)

        heads = refresh(target, ring.document, ring.load("online"), NOW + DAY, days=2)

        assert [head.channel for head in heads] == ["beta", "stable"]
        assert head_of(target) == replace(before, seq=2, issued=NOW + DAY, expires=NOW + 3 * DAY)
        assert files_below(target.root) == files

    def test_nothing_published(self, target, ring):
        with pytest.raises(BenchError, match="nothing is published for sensor: .*www; publish a rel"):
            refresh(target, ring.document, ring.load("online"), NOW)

    def test_a_tampered_head_is_not_signed_again(self, target, make, ring, firmware):
        put(target, make(), ring, firmware)
        path = target.path("heads/sensor/stable.head")
        path.write_bytes(path.read_bytes().replace(b'"percent":100', b'"percent":  0'))
        before = path.read_bytes()

        with pytest.raises(BenchError, match="signature is wrong"):
            refresh(target, ring.document, ring.load("online"), NOW + 1)
        assert path.read_bytes() == before

    def test_needs_the_online_key(self, target, ring):
        with pytest.raises(BenchError, match="is an offline key: .*; use an online key"):
            refresh(target, ring.document, ring.load("offline"), NOW)
