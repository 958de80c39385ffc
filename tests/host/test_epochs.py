"""release.epochs and `slotbench keys rotate`: each epoch vouched for by the one before, and none of them lost."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import pytest

from slotbench.errors import BenchError
from slotbench.formats.document import key_id
from slotbench.formats.keys import Role
from slotbench.release import documents, epochs
from slotbench.release.keys import SigningKey
from slotbench.release.publish import publish, refresh
from support.samples import NOW, PRODUCT, files_below


@pytest.fixture
def folder(ring) -> Path:
    return ring.document.parent


@pytest.fixture
def stranger(ring) -> SigningKey:
    return ring.load("stranger")


def rotate(folder: Path, ring, now: int = NOW + 1, key: str = "offline", **changes):
    return epochs.rotate(folder, PRODUCT, ring.load(key), now, **changes)


class TestRotate:
    def test_a_new_online_key(self, folder, ring, stranger):
        before = ring.document.read_bytes()

        made = rotate(folder, ring, online=stranger)

        signed, keys = documents.read_keys(ring.document)
        assert (keys.epoch, keys.issued, keys.online) == (2, NOW + 1, stranger.modulus)
        assert keys.offline == ring.keys.offline and keys == made.keys
        assert ring.keys.verifies(signed, Role.OFFLINE), "the epoch before vouches for it"
        assert (folder / "sensor.1.keys").read_bytes() == before
        assert (folder / "sensor.2.keys").read_bytes() == ring.document.read_bytes()
        assert SigningKey.load(made.private["online"]).modulus == stranger.modulus
        assert made.private["online"].name == "online-2.pem"
        assert stat.S_IMODE(made.private["online"].stat().st_mode) == 0o600

    def test_the_offline_key_is_replaced_in_two_steps(self, folder, ring, stranger):
        old = ring.load("offline")
        added = rotate(folder, ring, add=stranger)
        assert added.keys.offline == (old.modulus, stranger.modulus)

        dropped = epochs.rotate(folder, PRODUCT, stranger, NOW + 2, drop=old.key_id)

        assert (dropped.keys.epoch, dropped.keys.offline) == (3, (stranger.modulus,))
        assert {"sensor.1.keys", "sensor.2.keys", "sensor.3.keys"} <= files_below(folder)

    def test_nothing_that_is_there_is_overwritten(self, folder, ring, stranger):
        (folder / "online-2.pem").write_bytes(b"mine")
        before = {path: path.read_bytes() for path in folder.iterdir()}

        with pytest.raises(BenchError, match="online-2.pem"):
            rotate(folder, ring, online=stranger)
        assert {path: path.read_bytes() for path in folder.iterdir()} == before


class TestWrongSteps:
    """Each is refused, and leaves the folder as it was."""

    @pytest.fixture(autouse=True)
    def untouched(self, folder):
        before = {path: path.read_bytes() for path in folder.iterdir()}
        yield
        assert {path: path.read_bytes() for path in folder.iterdir()} == before

    @pytest.mark.parametrize(("key", "what"), [("online", "is an online key"), ("stranger", "is not one of")])
    def test_only_an_offline_key_of_the_epoch_before_signs(self, folder, ring, stranger, key, what):
        with pytest.raises(BenchError, match=what):
            rotate(folder, ring, key=key, add=stranger)

    def test_the_only_offline_key_is_not_dropped(self, folder, ring):
        with pytest.raises(BenchError, match="is the only offline key; add another first"):
            rotate(folder, ring, drop=ring.load("offline").key_id)

    def test_a_key_does_not_sign_itself_away(self, folder, ring, stranger):
        """Its successor would be vouched for by nobody who stays."""
        with pytest.raises(BenchError, match="is the only offline key"):
            rotate(folder, ring, drop=ring.load("offline").key_id, add=stranger)

    def test_a_key_that_is_not_pinned_is_not_dropped(self, folder, ring, stranger):
        with pytest.raises(BenchError, match="is no offline key of sensor; .*release show"):
            rotate(folder, ring, drop=stranger.key_id)
        with pytest.raises(BenchError, match="is no offline key"):
            rotate(folder, ring, drop=key_id(ring.keys.online))

    def test_a_key_has_one_role(self, folder, ring):
        with pytest.raises(BenchError, match="a key has one role"):
            rotate(folder, ring, online=ring.load("offline"))

    def test_something_must_change(self, folder, ring):
        with pytest.raises(BenchError, match="nothing is to change") as caught:
            rotate(folder, ring)
        assert caught.value.exit_code == 2

    def test_the_clock_does_not_go_back(self, folder, ring, stranger):
        with pytest.raises(BenchError, match="issued at .* later than now"):
            rotate(folder, ring, now=NOW - 1, online=stranger)


def test_a_third_offline_key_is_refused(folder, ring, stranger):
    rotate(folder, ring, add=stranger)
    with pytest.raises(BenchError, match="2 offline keys are pinned already: .*; drop one"):
        rotate(folder, ring, add=SigningKey.generate())


def test_one_of_two_keys_cannot_drop_itself(folder, ring, stranger):
    rotate(folder, ring, add=stranger)
    with pytest.raises(BenchError, match="cannot sign itself away: .*; sign with the other offline key"):
        rotate(folder, ring, drop=ring.load("offline").key_id)


def test_an_epoch_is_made_once(folder, ring, stranger):
    """From a copy of the epoch before: two sets of keys must never have one number."""
    before = ring.document.read_bytes()
    rotate(folder, ring, online=stranger)
    ring.document.write_bytes(before)
    with pytest.raises(BenchError, match=r"epoch 2 was made already: .*sensor\.2\.keys"):
        rotate(folder, ring, add=stranger)


class TestPublished:
    """The chain is in the directory, so that a board of any epoch gets to the newest."""

    def names(self, target):
        return {path.name for path in (target.root / "keys").iterdir()}

    def test_all_epochs_are_published(self, target, make, ring, firmware, folder, stranger):
        publish(target, make(7), ring.document, [firmware], ring.load("online"), NOW)
        assert self.names(target) == {"sensor.keys"}
        rotate(folder, ring, online=stranger)
        rotate(folder, ring, add=SigningKey.generate())

        heads = refresh(target, ring.document, stranger, NOW)

        assert self.names(target) == {"sensor.keys", "sensor.1.keys", "sensor.2.keys", "sensor.3.keys"}
        assert [(head.epoch, head.seq) for head in heads] == [(3, 1)]
        assert target.read("keys/sensor.keys") == target.read("keys/sensor.3.keys")

    def test_from_another_computer_the_directory_has_the_epochs_before(
        self, target, make, ring, firmware, folder, stranger, tmp_path,
    ):
        publish(target, make(7), ring.document, [firmware], ring.load("online"), NOW)
        rotate(folder, ring, online=stranger)
        refresh(target, ring.document, stranger, NOW)
        moved = tmp_path / "elsewhere.keys"
        moved.write_bytes(ring.document.read_bytes())

        refresh(target, moved, stranger, NOW + 1)

        assert "sensor.1.keys" in self.names(target)

    def test_a_chain_with_a_gap_is_refused(self, target, make, ring, firmware, folder, stranger):
        rotate(folder, ring, online=stranger)
        rotate(folder, ring, add=SigningKey.generate())
        (folder / "sensor.2.keys").unlink()

        with pytest.raises(BenchError, match=r"keys of epoch 2 are missing.*sensor\.2\.keys; keep all"):
            publish(target, make(7), ring.document, [firmware], stranger, NOW)
        assert not (target.root / "heads").exists()

    def test_an_epoch_that_nobody_vouches_for_is_refused(self, target, make, ring, firmware):
        """Signed by itself alone: no board would follow."""
        publish(target, make(7), ring.document, [firmware], ring.load("online"), NOW)
        other = SigningKey.generate()
        forged = replace(ring.keys, epoch=2, offline=(other.modulus,))
        ring.document.write_bytes(other.sign(forged.to_payload()).pack())

        with pytest.raises(BenchError, match="is not one of sensor's: sensor, keys of epoch 2"):
            refresh(target, ring.document, ring.load("online"), NOW)


class TestCommand:
    def test_rotate(self, slotbench, ring, folder):
        ran = slotbench("keys", "rotate", folder, "--product", PRODUCT, "--key", ring.offline, "--online")

        assert ran.code == 0 and "online-2.pem: the new online key (without a passphrase)" in ran.out
        assert "epoch 2; sign heads again: release publish --refresh" in ran.out
        assert documents.read_keys(ring.document)[1].epoch == 2

    @pytest.mark.parametrize("by", ["file", "id"])
    def test_an_offline_key_is_replaced(self, slotbench, ring, folder, by):
        old = ring.load("offline").key_id
        change = ("keys", "rotate", folder, "--product", PRODUCT, "--key")
        assert slotbench(*change, ring.offline, "--add-offline").code == 0
        ran = slotbench(
            *change, folder / "offline-2.pem", "--drop-offline", ring.offline if by == "file" else old)

        assert ran.code == 0 and "epoch 3" in ran.out
        assert [key_id(n) for n in documents.read_keys(ring.document)[1].offline] == [
            SigningKey.load(folder / "offline-2.pem").key_id]

    def test_a_wrong_step_is_told(self, slotbench, ring, folder):
        ran = slotbench("keys", "rotate", folder, "--product", PRODUCT, "--key", ring.online, "--add-offline")
        assert ran.code == 1 and "is an online key" in ran.err
