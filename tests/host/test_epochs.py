"""Key rotation (`release.epochs`, `slotbench keys rotate`).

The previous epoch signs each new one, and no epoch is lost.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from slotbench.errors import BenchError
from slotbench.formats.document import key_id
from slotbench.formats.head import Head
from slotbench.formats.keys import Role
from slotbench.release import documents, epochs
from slotbench.release.high_water import LONGEST_BREAK_S, HighWater
from slotbench.release.keys import NewKeys, SigningKey
from slotbench.release.publish import publish_release, refresh_heads
from slotbench.release.store import Store
from support.commands import MakeRelease, RunCommand
from support.samples import NOW, PRODUCT, SEQ, KeyRing, files_below


@pytest.fixture
def folder(ring: KeyRing) -> Path:
    return ring.document.parent


@pytest.fixture
def stranger(ring: KeyRing) -> SigningKey:
    return ring.load("stranger")


def rotate_keys(
    folder: Path, ring: KeyRing, now: int = NOW + 1, key: str = "offline", **changes: Any,
) -> NewKeys:
    return epochs.rotate_keys(folder, PRODUCT, ring.load(key), now, **changes)


def test_rotating_the_online_key(folder: Path, ring: KeyRing, stranger: SigningKey) -> None:
    before = ring.document.read_bytes()

    made = rotate_keys(folder, ring, online=stranger)

    signed, keys = documents.read_keys(ring.document)
    assert (keys.epoch, keys.issued, keys.online) == (2, NOW + 1, stranger.modulus)
    assert keys.offline == ring.keys.offline and keys == made.keys
    assert ring.keys.verifies(signed, Role.OFFLINE), "the epoch before vouches for it"
    assert (folder / "sensor.1.keys").read_bytes() == before
    assert (folder / "sensor.2.keys").read_bytes() == ring.document.read_bytes()
    assert SigningKey.load(made.private["online"]).modulus == stranger.modulus
    assert made.private["online"].name == "online-2.pem"
    assert stat.S_IMODE(made.private["online"].stat().st_mode) == 0o600


def test_the_offline_key_is_replaced_in_two_steps(folder: Path, ring: KeyRing, stranger: SigningKey) -> None:
    old = ring.load("offline")
    added = rotate_keys(folder, ring, add=stranger)
    assert added.keys.offline == (old.modulus, stranger.modulus)

    dropped = epochs.rotate_keys(folder, PRODUCT, stranger, NOW + 2, drop=old.key_id)

    assert (dropped.keys.epoch, dropped.keys.offline) == (3, (stranger.modulus,))
    assert {"sensor.1.keys", "sensor.2.keys", "sensor.3.keys"} <= files_below(folder)


def test_no_existing_file_is_overwritten(folder: Path, ring: KeyRing, stranger: SigningKey) -> None:
    (folder / "online-2.pem").write_bytes(b"mine")
    before = {path: path.read_bytes() for path in folder.iterdir()}

    with pytest.raises(BenchError, match="online-2.pem"):
        rotate_keys(folder, ring, online=stranger)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


@pytest.fixture
def unchanged_folder(folder: Path) -> Iterator[None]:
    """The test must leave the folder of keys as it was."""
    before = {path: path.read_bytes() for path in folder.iterdir()}
    yield
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.usefixtures("unchanged_folder")
@pytest.mark.parametrize(("key", "what"), [("online", "is an online key"), ("stranger", "is not a key of")])
def test_only_an_offline_key_of_the_previous_epoch_signs(
    folder: Path, ring: KeyRing, stranger: SigningKey, key: str, what: str,
) -> None:
    with pytest.raises(BenchError, match=what):
        rotate_keys(folder, ring, key=key, add=stranger)


@pytest.mark.usefixtures("unchanged_folder")
def test_the_only_offline_key_is_not_dropped(folder: Path, ring: KeyRing) -> None:
    with pytest.raises(BenchError, match="is the only offline key; add another first"):
        rotate_keys(folder, ring, drop=ring.load("offline").key_id)


@pytest.mark.usefixtures("unchanged_folder")
def test_a_key_does_not_sign_its_own_removal(folder: Path, ring: KeyRing, stranger: SigningKey) -> None:
    """No key that stays would have signed its successor."""
    with pytest.raises(BenchError, match="is the only offline key"):
        rotate_keys(folder, ring, drop=ring.load("offline").key_id, add=stranger)


@pytest.mark.usefixtures("unchanged_folder")
def test_a_key_that_is_not_pinned_is_not_dropped(folder: Path, ring: KeyRing, stranger: SigningKey) -> None:
    with pytest.raises(BenchError, match="is not an offline key of sensor; .*release show"):
        rotate_keys(folder, ring, drop=stranger.key_id)
    with pytest.raises(BenchError, match="is not an offline key"):
        rotate_keys(folder, ring, drop=key_id(ring.keys.online))


@pytest.mark.usefixtures("unchanged_folder")
def test_a_key_does_not_get_a_second_role(folder: Path, ring: KeyRing) -> None:
    with pytest.raises(BenchError, match="each key has one role"):
        rotate_keys(folder, ring, online=ring.load("offline"))


@pytest.mark.usefixtures("unchanged_folder")
def test_a_rotation_must_change_something(folder: Path, ring: KeyRing) -> None:
    with pytest.raises(BenchError, match="no change is given") as caught:
        rotate_keys(folder, ring)
    assert caught.value.exit_code == 2


@pytest.mark.usefixtures("unchanged_folder")
def test_a_clock_behind_the_previous_epoch_is_refused(
    folder: Path, ring: KeyRing, stranger: SigningKey,
) -> None:
    with pytest.raises(BenchError, match="issued at .* later than now"):
        rotate_keys(folder, ring, now=NOW - 1, online=stranger)


def test_a_wrong_date_of_the_last_epoch_is_left_behind(
    slotbench: RunCommand, folder: Path, ring: KeyRing, stranger: SigningKey,
) -> None:
    """Its clock was years ahead. The refusal names what cures it, and the new epoch has the right date."""
    rotate_keys(folder, ring, now=NOW + 10**8, online=stranger)
    command = ("keys", "rotate", folder, "--product", PRODUCT, "--key", ring.offline, "--online")
    ran = slotbench(*command)
    assert ran.code == 1 and "issued at 2028-08-16 00:53:20 UTC, later than now" in ran.err
    assert "give --clock-is-right" in ran.err
    assert slotbench(*command, "--clock-is-right").code == 0
    assert documents.read_keys(ring.document)[1].issued == NOW


def test_a_clock_far_after_the_last_head_is_doubted(
    slotbench: RunCommand, folder: Path, ring: KeyRing, stranger: SigningKey,
) -> None:
    """Boards take the date of the keys as the earliest time it can be."""
    mark = HighWater.beside(ring.document, PRODUCT)
    mark.record(Head(
        product=PRODUCT, channel="stable", epoch=1, seq=SEQ, release="ab" * 32, counter=1, issued=NOW,
        expires=NOW + 9, percent=100))
    late = NOW + LONGEST_BREAK_S + 1
    with pytest.raises(BenchError, match="the last head was issued at .* --clock-is-right"):
        rotate_keys(folder, ring, now=late, online=stranger)
    rotate_keys(folder, ring, now=late - 1, add=stranger)
    rotate_keys(folder, ring, now=late + LONGEST_BREAK_S, drop=stranger.key_id, trust_clock=True)


def test_a_third_offline_key_is_refused(folder: Path, ring: KeyRing, stranger: SigningKey) -> None:
    rotate_keys(folder, ring, add=stranger)
    with pytest.raises(BenchError, match="2 offline keys are already pinned: .*; remove one"):
        rotate_keys(folder, ring, add=SigningKey.generate())


def test_one_of_two_keys_does_not_sign_its_own_removal(
    folder: Path, ring: KeyRing, stranger: SigningKey,
) -> None:
    rotate_keys(folder, ring, add=stranger)
    with pytest.raises(BenchError, match="cannot sign its own removal: .*; sign with the other offline key"):
        rotate_keys(folder, ring, drop=ring.load("offline").key_id)


def test_an_epoch_is_made_once(folder: Path, ring: KeyRing, stranger: SigningKey) -> None:
    """Two sets of keys must never have one epoch number, not even when an old copy is rotated again."""
    before = ring.document.read_bytes()
    rotate_keys(folder, ring, online=stranger)
    ring.document.write_bytes(before)
    with pytest.raises(BenchError, match=r"epoch 2 already exists: .*sensor\.2\.keys"):
        rotate_keys(folder, ring, add=stranger)


def published_keys(site: Store) -> set[str]:
    return {path.name for path in (site.root / "keys").iterdir()}


def test_all_epochs_are_published(
    site: Store, make_release: MakeRelease, ring: KeyRing, firmware: bytes, folder: Path,
    stranger: SigningKey,
) -> None:
    publish_release(site, make_release(7), ring.document, [firmware], ring.load("online"), NOW)
    assert published_keys(site) == {"sensor.keys"}
    rotate_keys(folder, ring, online=stranger)
    rotate_keys(folder, ring, add=SigningKey.generate())

    heads = refresh_heads(site, ring.document, stranger, NOW)

    assert published_keys(site) == {"sensor.keys", "sensor.1.keys", "sensor.2.keys", "sensor.3.keys"}
    assert [(head.epoch, head.seq) for head in heads] == [(3, SEQ)]
    assert site.read("keys/sensor.keys") == site.read("keys/sensor.3.keys")


def test_publishing_from_another_computer_uses_the_published_epochs(
    site: Store, make_release: MakeRelease, ring: KeyRing, firmware: bytes, folder: Path,
    stranger: SigningKey, tmp_path: Path,
) -> None:
    publish_release(site, make_release(7), ring.document, [firmware], ring.load("online"), NOW)
    rotate_keys(folder, ring, online=stranger)
    refresh_heads(site, ring.document, stranger, NOW)
    moved = tmp_path / "elsewhere.keys"
    moved.write_bytes(ring.document.read_bytes())

    refresh_heads(site, moved, stranger, NOW + 1)

    assert "sensor.1.keys" in published_keys(site)


def test_a_missing_epoch_is_refused(
    site: Store, make_release: MakeRelease, ring: KeyRing, firmware: bytes, folder: Path,
    stranger: SigningKey,
) -> None:
    rotate_keys(folder, ring, online=stranger)
    rotate_keys(folder, ring, add=SigningKey.generate())
    (folder / "sensor.2.keys").unlink()

    with pytest.raises(BenchError, match=r"keys of epoch 2 are missing.*sensor\.2\.keys; bring it back"):
        publish_release(site, make_release(7), ring.document, [firmware], stranger, NOW)
    assert not (site.root / "heads").exists()


def test_an_epoch_that_the_previous_one_did_not_sign_is_refused(
    site: Store, make_release: MakeRelease, ring: KeyRing, firmware: bytes,
) -> None:
    """It is signed by its own key alone. No board would follow."""
    publish_release(site, make_release(7), ring.document, [firmware], ring.load("online"), NOW)
    other = SigningKey.generate()
    forged = replace(ring.keys, epoch=2, offline=(other.modulus,))
    ring.document.write_bytes(other.sign(forged.to_payload()).pack())

    with pytest.raises(BenchError, match="is not a key of sensor: sensor, keys of epoch 2"):
        refresh_heads(site, ring.document, ring.load("online"), NOW)


def test_keys_rotate_online(slotbench: RunCommand, ring: KeyRing, folder: Path) -> None:
    ran = slotbench("keys", "rotate", folder, "--product", PRODUCT, "--key", ring.offline, "--online")

    assert ran.code == 0 and "online-2.pem: the new online key (without a passphrase)" in ran.out
    assert "epoch 2; sign heads again: release publish --refresh" in ran.out
    assert documents.read_keys(ring.document)[1].epoch == 2


@pytest.mark.parametrize("by", ["file", "id"])
def test_keys_rotate_offline(slotbench: RunCommand, ring: KeyRing, folder: Path, by: str) -> None:
    old = ring.load("offline").key_id
    change = ("keys", "rotate", folder, "--product", PRODUCT, "--key")
    assert slotbench(*change, ring.offline, "--add-offline").code == 0
    ran = slotbench(
        *change, folder / "offline-2.pem", "--drop-offline", ring.offline if by == "file" else old)

    assert ran.code == 0 and "epoch 3" in ran.out
    assert [key_id(n) for n in documents.read_keys(ring.document)[1].offline] == [
        SigningKey.load(folder / "offline-2.pem").key_id]


def test_keys_rotate_refuses_a_wrong_key(slotbench: RunCommand, ring: KeyRing, folder: Path) -> None:
    ran = slotbench("keys", "rotate", folder, "--product", PRODUCT, "--key", ring.online, "--add-offline")
    assert ran.code == 1 and "is an online key" in ran.err
