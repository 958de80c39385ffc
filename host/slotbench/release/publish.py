"""Publishing: a signed release and a new head are written to the site, the head last."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from slotbench.errors import BenchError
from slotbench.formats import FormatError, blocks
from slotbench.formats.head import Head
from slotbench.formats.keys import Keys, Role
from slotbench.formats.littlefs import disk_version_words
from slotbench.formats.release import ImageRef, Release
from slotbench.release import documents, store
from slotbench.release.epochs import KeyEpochs, gather_epochs
from slotbench.release.keys import SigningKey
from slotbench.release.sign import check_role
from slotbench.release.store import Store

_DAY_S = 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """The boards that are offered a release, and the lifetime of the head.

    `percent` of the boards and all boards of `cohorts` are offered it, no board while `paused`. The head
    expires after `days`. Boards poll every `interval_s` seconds; with 0 each uses its own setting, with None
    the interval of the last head stays.
    """

    percent: int = 100
    cohorts: tuple[str, ...] = ()
    paused: bool = False
    days: int = 30
    interval_s: int | None = None


def publish_release(
    site: Store, release_path: Path, keys_path: Path, images: Sequence[bytes],
    key: SigningKey, now: int, *,
    channel: str = "stable", rollout: Rollout = Rollout(), allow_older: bool = False,
) -> Head:
    """Write release, images, block tables and keys to the site, then the head that points to the release.

    `key` is the online key, `now` Unix seconds. The head is written last; until then boards see the old one.
    Raises BenchError, FormatError.
    """
    keys = documents.read_keys(keys_path)[1]
    check_role(key, keys, Role.ONLINE)
    signed, release = documents.read_release(release_path, keys)
    _check_channel(release, channel, release_path)
    contents = _collect_contents(release, images)
    with site.locked():
        epochs = gather_epochs(site, keys_path)
        last = last_head(site, keys, channel, epochs)
        if last and not allow_older:
            _check_counter(last, release, signed.digest)
            _check_filesystem(site, keys, last, release)
        head = new_head(
            last, keys, now, rollout,
            channel=channel, release=signed.digest, counter=release.counter)
        signed_head = key.sign(head.to_payload()).pack()
        for name, data in {**contents, **epochs.files}.items():
            site.write(name, data)
        site.write(store.release_name(signed.digest), signed.pack())
        site.write(store.head_name(keys.product, channel), signed_head)
    return head


def refresh_heads(site: Store, keys_path: Path, key: SigningKey, now: int, *, days: int = 30) -> list[Head]:
    """Sign every head of the keys' product again. Only its expiry and seq change.

    Each head gets the next seq, or seq 1 in a new key epoch. Raises BenchError, FormatError; also if the
    product has no head in the site.
    """
    keys = documents.read_keys(keys_path)[1]
    check_role(key, keys, Role.ONLINE)
    with site.locked():
        epochs = gather_epochs(site, keys_path)
        lasts = [last_head(site, keys, channel, epochs) for channel in site.channels(keys.product)]
        heads = [_renew_head(last, epochs, keys, now, days) for last in lasts if last]
        if not heads:
            raise BenchError(
                f"nothing is published for {keys.product}", where=str(site.root),
                cure="publish a release first")
        for name, data in epochs.files.items():
            site.write(name, data)
        for head in heads:
            signed = key.sign(head.to_payload())
            site.write(store.head_name(head.product, head.channel), signed.pack())
    return heads


def _check_channel(release: Release, channel: str, path: Path) -> None:
    if channel not in release.channels:
        raise BenchError(
            f"release is not for the channel {channel}, only for {', '.join(release.channels)}",
            where=str(path), cure=f"build it with --channel {channel}, or publish it to another channel")


def _collect_contents(release: Release, images: Sequence[bytes]) -> dict[str, bytes]:
    """The images and block tables by their names in the site."""
    given = {hashlib.sha256(image).hexdigest(): image for image in images}
    contents: dict[str, bytes] = {}
    for ref in release.images.values():
        if ref.sha256 not in given:
            raise BenchError(
                "the image of the release is not given", where=f"SHA-256 {ref.sha256[:16]}...",
                cure="give the image file that the release was built from")
        contents |= _image_contents(ref, given[ref.sha256])
    for sha256 in given.keys() - {ref.sha256 for ref in release.images.values()}:
        raise BenchError(
            "a given image is not in the release", where=f"SHA-256 {sha256[:16]}...",
            cure="leave it out")
    return contents


def _image_contents(ref: ImageRef, image: bytes) -> dict[str, bytes]:
    table = blocks.block_table(image)
    expected = (
        len(image), blocks.table_digest(table).hex(),
        store.image_name(ref.sha256), store.blocks_name(ref.blocks),
    )
    if (ref.length, ref.blocks, ref.url, ref.blocks_url) != expected:
        raise BenchError(
            "release contradicts its image", where="length, blocks, url or blocks_url", cure="build it again")
    return {ref.url: image, ref.blocks_url: table}


def last_head(site: Store, keys: Keys, channel: str, epochs: KeyEpochs | None = None) -> Head | None:
    """The channel's head; None if it has none. Its signature is checked if the keys of its epoch are known.

    Known are the keys in `epochs`, or else only `keys`. Raises BenchError, FormatError.
    """
    path = site.path(store.head_name(keys.product, channel))
    if not path.is_file():
        return None
    signed, head = documents.read_head(path)
    if head.epoch > keys.epoch:
        raise BenchError(
            f"head has key epoch {head.epoch}, the keys file has {keys.epoch}", where=str(path),
            cure="use the newest keys file")
    known = {keys.epoch: keys} if epochs is None else epochs.known
    if head.epoch in known:
        documents.check_signature(signed, known[head.epoch], Role.ONLINE, str(path))
    return head


def _check_counter(last: Head, release: Release, digest: str) -> None:
    if release.counter < last.counter:
        raise BenchError(
            f"counter {release.counter} is below {last.counter}, which the channel {last.channel} has",
            cure="build it with a higher counter; with --allow-older only boards with a lower one take it")
    if release.counter == last.counter and digest != last.release:
        raise BenchError(
            f"counter {release.counter} belongs to another release in the channel {last.channel}",
            cure="build it with a higher counter")


def _check_filesystem(site: Store, keys: Keys, last: Head, release: Release) -> None:
    """Raise BenchError if boards that run the last release have a littlefs that this one cannot mount."""
    try:
        before = documents.read_release(site.path(store.release_name(last.release)), keys)[1]
    except (BenchError, FormatError, OSError):
        return  # of other keys, or not there any more: the boards check it themselves
    if 0 < release.fs_version < before.fs_version:
        raise BenchError(
            f"boards of the channel {last.channel} have littlefs {disk_version_words(before.fs_version)}, "
            f"and this firmware mounts {disk_version_words(release.fs_version)} at most: "
            "it would stop before boot.py",
            cure="use a firmware that is as new (slotbench explain 77); with --allow-older only boards whose "
            "filesystem it can mount take it")


def new_head(
    last: Head | None, keys: Keys, now: int, rollout: Rollout, *, channel: str, release: str, counter: int,
) -> Head:
    """The unsigned head that follows `last`. Raises BenchError if the clock went back."""
    if last and last.epoch == keys.epoch and now < last.issued:
        raise BenchError(
            f"the last head of {channel} was issued at {last.issued}, later than now ({now})",
            cure="set the clock of this computer")
    return Head(
        product=keys.product, channel=channel, epoch=keys.epoch,
        seq=last.seq + 1 if last and last.epoch == keys.epoch else 1,
        release=release, counter=counter, issued=now, expires=now + rollout.days * _DAY_S,
        percent=rollout.percent, cohorts=rollout.cohorts, paused=rollout.paused,
        interval_s=rollout.interval_s if rollout.interval_s is not None else last.interval_s if last else 0,
    )


def require_known_epoch(last: Head, epochs: KeyEpochs) -> None:
    """Raise BenchError unless the keys of the head's epoch are known."""
    if last.epoch not in epochs.known:
        raise BenchError(
            f"head of {last.channel} has key epoch {last.epoch}, whose keys are not known",
            cure="publish its release again")


def _renew_head(last: Head, epochs: KeyEpochs, keys: Keys, now: int, days: int) -> Head:
    require_known_epoch(last, epochs)
    rollout = Rollout(percent=last.percent, cohorts=last.cohorts, paused=last.paused, days=days)
    return new_head(
        last, keys, now, rollout, channel=last.channel, release=last.release, counter=last.counter)
