"""Publishing: a signed release and a new head are written to the site, the head last."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from slotbench.errors import BenchError
from slotbench.formats import FormatError, blocks
from slotbench.formats.fields import date_words
from slotbench.formats.head import Head
from slotbench.formats.keys import Keys, Role
from slotbench.formats.littlefs import disk_version_words
from slotbench.formats.release import ImageRef, Release
from slotbench.formats.twoslot_version import NONE
from slotbench.release import documents, store
from slotbench.release.heads import Heads, Rollout, opened_heads, require_known_epoch
from slotbench.release.keys import SigningKey
from slotbench.release.sign import check_role
from slotbench.release.store import Store

__all__ = [
    "Rollout", "publish_release", "refresh_heads", "renew_head", "unusable_releases",
]

_DAY_S = 86400


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
    _check_created(release, now, release_path)
    contents = _collect_contents(release, images)
    with opened_heads(site, keys_path, key) as heads:
        last = heads.newest(channel)
        heads.check_clock(last, now)
        if last and not allow_older:
            _check_counter(last, release, signed.digest)
            _check_firmware(site, keys, last, release)
        for name, data in {**contents, **heads.epochs.files}.items():
            site.write(name, data)
        site.write(store.release_name(signed.digest), signed.pack())
        head = heads.next(
            last, now, rollout, channel=channel, release=signed.digest, counter=release.counter)
        heads.publish(head)
    return head


def refresh_heads(site: Store, keys_path: Path, key: SigningKey, now: int, *, days: int = 30) -> list[Head]:
    """Sign every head of the keys' product again. Only its expiry and seq change.

    Raises BenchError, FormatError; also if the product has no head in the site.
    """
    with opened_heads(site, keys_path, key) as heads:
        lasts = [heads.newest(channel) for channel in site.channels(heads.keys.product)]
        if not lasts:
            known = heads.mark.channels
            raise BenchError(
                f"nothing is published for {heads.keys.product}", where=str(site.root),
                cure=site.repair_cure if known else "publish a release first")
        renewed = []
        for last in lasts:
            assert last is not None, "a channel has a head"
            require_known_epoch(last, heads.epochs)
            heads.check_clock(last, now)
            renewed.append(renew_head(heads, last, now, days))
        for head in renewed:
            heads.publish(head)
    return renewed


def renew_head(heads: Heads, last: Head, now: int, days: int, above: int = 0) -> Head:
    """The unsigned head that says what `last` says. Raises BenchError if no seq is left."""
    rollout = Rollout(percent=last.percent, cohorts=last.cohorts, paused=last.paused, days=days)
    return heads.next(
        last, now, rollout, channel=last.channel, release=last.release, counter=last.counter, above=above)


def unusable_releases(site: Store, keys: Keys, heads: Sequence[Head]) -> list[str]:
    """What boards cannot get of the releases that these heads offer, in words; empty if they get all."""
    found = []
    for head in heads:
        what = f"{head.product}/{head.channel} offers counter {head.counter}, "
        path = site.path(store.release_name(head.release))
        try:
            release = documents.read_release(path, keys)[1]
            missing = [
                name for ref in release.images.values() for name in (ref.url, ref.blocks_url)
                if store.is_name(name) and site.read(name) is None]
        except BenchError as error:
            if path.is_file():
                found.append(f"{what}which boards refuse: {error.what}")
            else:
                found.append(f"{what}whose release is missing")
        else:
            found += [f"{what}whose {name} is missing" for name in missing]
    return found


def _check_created(release: Release, now: int, path: Path) -> None:
    """Raise BenchError for a release from the future: boards take its date as the earliest time it can be."""
    if release.created > now + _DAY_S:
        raise BenchError(
            f"the release was built at {date_words(release.created)}, later than now ({date_words(now)})",
            where=str(path), cure="set the clocks of both computers, then build and sign it again")


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


def _check_counter(last: Head, release: Release, digest: str) -> None:
    if release.counter < last.counter:
        raise BenchError(
            f"counter {release.counter} is below {last.counter}, which the channel {last.channel} has",
            cure="build it with a higher counter; with --allow-older only boards with a lower one take it")
    if release.counter == last.counter and digest != last.release:
        raise BenchError(
            f"counter {release.counter} belongs to another release in the channel {last.channel}",
            cure="build it with a higher counter")


def _check_firmware(site: Store, keys: Keys, last: Head, release: Release) -> None:
    """Raise BenchError if boards that run the last release have a littlefs that this one cannot mount, or may
    have no other twoslot than the one in that firmware, and this one has none.
    """
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
    if before.twoslot and release.twoslot == NONE:
        raise BenchError(
            f"the release before in the channel {last.channel} has twoslot frozen, and this firmware has "
            "none: boards without files of twoslot would refuse it (49)",
            cure="freeze twoslot into it (host/docs/firmware.md); with --allow-older only boards that have "
            "twoslot as files take it")
