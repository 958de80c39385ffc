"""Publishing: a signed release and a new head are written to the site, the head last."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from slotbench.application.bundle import Bundle
from slotbench.errors import BenchError
from slotbench.formats import FormatError, blocks
from slotbench.formats.application import ApplicationDocument
from slotbench.formats.document import Document
from slotbench.formats.fields import date_words
from slotbench.formats.head import NO_RELEASE, Head
from slotbench.formats.keys import Keys, Role
from slotbench.formats.littlefs import disk_version_words
from slotbench.formats.release import ImageRef, Release
from slotbench.formats.twoslot_version import NONE
from slotbench.release import documents, store
from slotbench.release.application_patches import patch_contents
from slotbench.release.applications import application_contents, check_fit, missing_files
from slotbench.release.heads import Heads, Offer, Rollout, opened_heads, require_known_epoch
from slotbench.release.sign import check_role
from slotbench.release.signer import HeadSigner
from slotbench.release.store import Store

__all__ = [
    "Rollout", "publish_offer", "publish_release", "refresh_heads", "renew_head", "unusable_releases",
]

_DAY_S = 86400


@dataclass(frozen=True, slots=True)
class _SignedPart:
    """A signed document that goes into the site, with the `contents` that it names."""

    path: Path
    name: str
    signed: Document
    made: Release | ApplicationDocument
    contents: Mapping[str, bytes]


def publish_release(
    site: Store, release_path: Path, keys_path: Path, images: Sequence[bytes],
    key: HeadSigner, now: int, *,
    channel: str = "stable", rollout: Rollout = Rollout(), allow_older: bool = False,
) -> Head:
    """Publish a release of a firmware; the channel's application stays. As `publish_offer`."""
    return publish_offer(
        site, keys_path, key, now, release=(release_path, images), channel=channel, rollout=rollout,
        allow_older=allow_older)


def publish_offer(
    site: Store, keys_path: Path, key: HeadSigner, now: int, *,
    release: tuple[Path, Sequence[bytes]] | None = None, application: tuple[Path, Bundle] | None = None,
    channel: str = "stable", rollout: Rollout = Rollout(), allow_older: bool = False,
) -> Head:
    """Write a release with its images and block tables, an application with its list and files, or both, and
    the keys to the site, then the head that points to them.

    What is not given stays as the channel's head has it. `key` is the online key, `now` Unix seconds. The
    head is written last; until then boards see the old one. Raises BenchError, FormatError.
    """
    keys = documents.read_keys(keys_path)[1]
    check_role(key, keys, Role.ONLINE)
    parts = []
    if release is not None:
        signed, made = documents.read_release(release[0], keys)
        parts.append(_SignedPart(
            release[0], store.release_name(signed.digest), signed, made, _collect_contents(made, release[1])))
    if application is not None:
        signed, program = documents.read_application(application[0], keys)
        parts.append(_SignedPart(
            application[0], store.application_name(signed.digest), signed, program,
            application_contents(program, application[1])
            | patch_contents(site, keys, program, application[1])))
    for part in parts:
        _check_channel(part.made, channel, part.path)
        _check_created(part.made, now, part.path)
    with opened_heads(site, keys_path, key) as heads:
        last = heads.newest(channel)
        heads.check_clock(last, now)
        offer = Offer.of(last)
        for part in parts:
            if last and not allow_older:
                _check_counter(last, part.made, part.signed.digest)
            if isinstance(part.made, Release):
                if last and not allow_older:
                    _check_firmware(site, keys, last, part.made)
                offer = replace(offer, release=part.signed.digest, counter=part.made.counter)
            else:
                offer = replace(offer, app=part.signed.digest, app_counter=part.made.counter)
        _check_together(site, keys, offer, parts)
        for part in parts:
            for name, data in {**part.contents, **heads.epochs.files}.items():
                site.write(name, data)
            site.write(part.name, part.signed.pack())
        head = heads.next(last, now, rollout, channel=channel, offer=offer)
        heads.publish(head)
    return head


def refresh_heads(site: Store, keys_path: Path, key: HeadSigner, now: int, *, days: int = 30) -> list[Head]:
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
    rollout = Rollout(
        percent=last.percent, cohorts=last.cohorts, devices=last.devices, paused=last.paused, days=days)
    return heads.next(last, now, rollout, channel=last.channel, offer=Offer.of(last), above=above)


def unusable_releases(site: Store, keys: Keys, heads: Sequence[Head]) -> list[str]:
    """What boards cannot get of the releases and applications that these heads offer, in words; empty if they
    get all.
    """
    found = []
    for head in heads:
        found += _unusable_application(site, keys, head)
        if head.release == NO_RELEASE:
            continue
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


def _unusable_application(site: Store, keys: Keys, head: Head) -> list[str]:
    if not head.app:
        return []
    what = f"{head.product}/{head.channel} offers application {head.app_counter}, "
    path = site.path(store.application_name(head.app))
    try:
        application = documents.read_application(path, keys)[1]
    except BenchError as error:
        return [f"{what}which boards refuse: {error.what}" if path.is_file() else f"{what}which is missing"]
    return [f"{what}whose {name} is missing" for name in missing_files(site, application)]


def _check_created(release: Release | ApplicationDocument, now: int, path: Path) -> None:
    """Raise BenchError for a release from the future: boards take its date as the earliest time it can be."""
    if release.created > now + _DAY_S:
        raise BenchError(
            f"the release was built at {date_words(release.created)}, later than now ({date_words(now)})",
            where=str(path), cure="set the clocks of both computers, then build and sign it again")


def _check_channel(release: Release | ApplicationDocument, channel: str, path: Path) -> None:
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


def _check_counter(last: Head, made: Release | ApplicationDocument, digest: str) -> None:
    is_release = isinstance(made, Release)
    what = "counter" if is_release else "application counter"
    counter, before = (last.counter, last.release) if is_release else (last.app_counter, last.app)
    if made.counter < counter:
        raise BenchError(
            f"{what} {made.counter} is below {counter}, which the channel {last.channel} has",
            cure="build it with a higher counter; with --allow-older only boards with a lower one take it")
    if made.counter == counter and digest != before:
        raise BenchError(
            f"{what} {made.counter} belongs to another release in the channel {last.channel}",
            cure="build it with a higher counter")


def _check_together(site: Store, keys: Keys, offer: Offer, parts: Sequence[_SignedPart]) -> None:
    """Raise BenchError when the firmware and the application of an offer do not go together. Those that are
    not in `parts` are in the site.
    """
    given = {part.signed.digest: part.made for part in parts}
    release, application = given.get(offer.release), given.get(offer.app)
    with suppress(BenchError, FormatError):
        if release is None and offer.release != NO_RELEASE:
            release = documents.read_release(site.path(store.release_name(offer.release)), keys)[1]
        if application is None and offer.app:
            application = documents.read_application(site.path(store.application_name(offer.app)), keys)[1]
    if isinstance(release, Release) and isinstance(application, ApplicationDocument):
        check_fit(application, release)


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
