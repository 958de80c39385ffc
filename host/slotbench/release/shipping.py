"""From a firmware to what boards are offered, in one go that can be begun again after any interruption.

`plan_shipment` looks at what is there: the site, the releases that were built, the mark beside the keys. It
finds what an interrupted run left, and chooses the counter. Nothing is written before `write_release`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from slotbench.boards import BoardProfile
from slotbench.errors import USAGE, BenchError
from slotbench.formats import FormatError, document
from slotbench.formats.document import DOCUMENT_BYTES_MAX
from slotbench.formats.fields import INT_MAX, date_words
from slotbench.formats.head import Head
from slotbench.formats.keys import Keys
from slotbench.formats.release import RAW_ONLY, ImageRef, Preflight, Release
from slotbench.locks import lock_folders
from slotbench.release import documents, store
from slotbench.release.build import build_release
from slotbench.release.epochs import gather_epochs
from slotbench.release.files import read_bytes, remove_all_leftovers, write_atomic
from slotbench.release.heads import Rollout, last_head, require_right_clock
from slotbench.release.high_water import HighWater
from slotbench.release.keys import SigningKey
from slotbench.release.patches import WrittenPatch, encodings_for, write_patches
from slotbench.release.publish import publish_release, unusable_releases
from slotbench.release.rollout import trusted_releases, withdrawn_digests
from slotbench.release.sign import sign_file
from slotbench.release.store import Store

__all__ = [
    "FIRST_COUNTER", "ReleasePaths", "Shipment", "Stage", "add_patches", "check_keys_and_clock",
    "find_shipped", "next_rollout", "only_one", "plan_shipment", "publish", "sign", "write_release",
]

FIRST_COUNTER = 1
"""The counter that `slotbench flash` gives the firmware of a new board."""
_DAY_S = 86400
_RENEW_S = 7 * _DAY_S
"""A head that expires so soon is signed again although nothing else changes."""
_SUFFIX = ".release"


class Stage(StrEnum):
    """How far a firmware has come."""

    NEW = "new"
    BUILT = "built"
    """An interrupted run built it, and its preflight passed."""
    SIGNED = "signed"
    """It is signed, and not offered: a run was interrupted, or the release is for another channel so far."""
    OFFERED = "offered"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasePaths:
    """Where a product's releases are made: its `site`, its public `keys_path`, the folder of its `releases`.
    """

    site: Store
    keys_path: Path
    releases: Path

    def release_path(self, product: str, counter: int) -> Path:
        """Where a release is written before it is published."""
        return self.releases / f"{product}-{counter}{_SUFFIX}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipment:
    """What is to be done. `path` is the release's file, `last` the head of the channel as it is.

    `rollout` is that of the next head. `is_done` says that the channel offers all of it already; `why` names
    what changes where the release is offered already.
    """

    paths: ReleasePaths
    release: Release
    images: tuple[bytes, ...]
    boards: tuple[BoardProfile, ...]
    channel: str
    stage: Stage
    path: Path
    last: Head | None
    rollout: Rollout
    why: str = ""

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do."""
        return self.stage is Stage.OFFERED and not self.why


@dataclass(frozen=True, slots=True)
class _SignedRelease:
    """A release that is signed already, and its file."""

    path: Path
    digest: str
    release: Release


def plan_shipment(
    images: Sequence[bytes], paths: ReleasePaths, *, product: str, boards: Sequence[BoardProfile],
    channel: str, now: int, version: str | None = None, counter: int | None = None, notes: str = "",
    percent: int | None = None, cohorts: tuple[str, ...] = (), fs_upgrade: bool = False, floor: int = 0,
    patches: int = 0,
) -> Shipment:
    """What `ship` is going to do with these images. `now` is Unix seconds.

    Without a version, counter or percentage it is the usual one, or the one that is there. A release that is
    signed and says the same is taken as it is; else the counter is one above all that are known.

    Raises BenchError, FormatError: keys of another product, a wrong clock, images that do not fit, a counter
    that is used, a percentage below the present one.
    """
    keys, mark = check_keys_and_clock(paths, product, channel, now)
    last = last_head(paths.site, keys, channel, gather_epochs(paths.site, paths.keys_path))
    channels = (channel,) if channel == "stable" else (channel, "stable")
    wanted = build_release(
        *images, product=product, boards=boards, counter=max(counter or 0, FIRST_COUNTER), created=now,
        channels=channels, version=version, notes=notes, fs_upgrade=fs_upgrade, floor=floor,
        encodings=encodings_for(patches))
    known = list(_signed_releases(paths, keys))
    rollout = Rollout(percent=100 if percent is None else percent, cohorts=cohorts)
    base = Shipment(
        paths=paths, release=wanted, images=tuple(images), boards=tuple(boards), channel=channel,
        stage=Stage.NEW, path=paths.releases, last=last, rollout=rollout)
    lowest = last.counter if last else 0
    if counter is not None and counter < lowest:
        raise BenchError(
            f"counter {counter} is below {lowest}, which the channel {channel} offers",
            cure="leave --counter out: it counts up by itself", exit_code=USAGE)
    withdrawn = withdrawn_digests(paths.site, mark, channel)
    for each in sorted(known, key=lambda each: -each.release.counter):
        if (
            _says_the_same(each.release, wanted, channel) and counter in (None, each.release.counter)
            and each.digest not in withdrawn and each.release.created <= now + _DAY_S
            and each.release.counter >= lowest
        ):
            found = replace(base, release=each.release, path=each.path, stage=Stage.SIGNED)
            if last is None or last.release != each.digest:
                return found
            share, why = next_rollout(paths.site, keys, last, percent, cohorts, now)
            return replace(found, stage=Stage.OFFERED, rollout=share, why=why)
    used = [FIRST_COUNTER, lowest, *(each.release.counter for each in known)]
    used += [head.counter for head in map(mark.head, mark.channels) if head]
    if counter in used and counter is not None:
        raise BenchError(
            f"counter {counter} belongs to another release", exit_code=USAGE,
            cure="leave --counter out: it counts up by itself")
    chosen = max(used) + 1 if counter is None else counter
    if chosen > INT_MAX:
        raise BenchError(f"no counter is left above {INT_MAX}", cure="give --counter", exit_code=USAGE)
    path = paths.release_path(product, chosen)
    planned = replace(base, release=replace(wanted, counter=chosen), path=path)
    built = _unsigned(path)
    if (
        built is not None and _says_the_same(built, wanted, channel) and built.created <= now
        and built.preflight is Preflight.PASSED
    ):
        return replace(planned, release=built, stage=Stage.BUILT)
    return planned


def check_keys_and_clock(
    paths: ReleasePaths, product: str, channel: str, now: int,
) -> tuple[Keys, HighWater]:
    """The keys of the product, and the mark beside them. Raises BenchError: of another product, or the clock
    of this computer cannot be right.
    """
    keys = documents.read_keys(paths.keys_path)[1]
    if keys.product != product:
        raise BenchError(
            f"the keys are for the product {keys.product}, not {product}", where=str(paths.keys_path),
            cure="give the keys of the product, or correct the product", exit_code=USAGE)
    mark = HighWater.beside(paths.keys_path, product)
    last = last_head(paths.site, keys, channel, gather_epochs(paths.site, paths.keys_path))
    _require_right_clock(paths.site, keys, mark, last, now)
    return keys, mark


def write_release(shipment: Shipment, preflight: Preflight) -> None:
    """Write the release, unsigned, with the result of its preflight. Raises BenchError; also if it failed."""
    made = replace(shipment.release, preflight=preflight)
    write_atomic(shipment.path, made.to_payload() + b"\n")
    if preflight is Preflight.FAILED:
        raise BenchError(
            "its preflight failed, so it is not signed", where=str(shipment.path),
            cure="correct the firmware, and ship it again; the details are in the .preflight.json beside it")


def sign(shipment: Shipment, key: SigningKey) -> None:
    """Sign the written release with an offline key. Raises BenchError, FormatError."""
    sign_file(shipment.path, key, documents.read_keys(shipment.paths.keys_path)[1])


def add_patches(shipment: Shipment, count: int) -> list[WrittenPatch]:
    """Write the patches from the `count` releases before it, before it is published. Raises BenchError."""
    keys = documents.read_keys(shipment.paths.keys_path)[1]
    return write_patches(shipment.paths.site, keys, shipment.release, shipment.images, count)


def publish(shipment: Shipment, key: SigningKey, now: int) -> Head:
    """Publish the signed release with the online key, and return the channel's head. Raises BenchError."""
    return publish_release(
        shipment.paths.site, shipment.path, shipment.paths.keys_path, shipment.images, key, now,
        channel=shipment.channel, rollout=shipment.rollout)


def find_shipped(paths: ReleasePaths, image: bytes) -> Release | None:
    """The newest signed release of this image; None if it was never released."""
    keys = documents.read_keys(paths.keys_path)[1]
    digest = hashlib.sha256(image).hexdigest()
    found = [
        each.release for each in _signed_releases(paths, keys)
        if digest in [ref.sha256 for ref in each.release.images.values()]]
    return max(found, key=lambda release: release.counter, default=None)


@contextmanager
def only_one(paths: ReleasePaths) -> Iterator[None]:
    """Keep other runs out for as long as the block runs. The folder of releases is made for it."""
    paths.releases.mkdir(parents=True, exist_ok=True)
    with lock_folders(paths.releases):
        remove_all_leftovers(paths.releases)
        yield


def _require_right_clock(site: Store, keys: Keys, mark: HighWater, last: Head | None, now: int) -> None:
    if now < keys.issued - _DAY_S:
        raise BenchError(
            f"this computer's clock says {date_words(now)}, and the keys were made at "
            f"{date_words(keys.issued)}", exit_code=USAGE,
            cure="set the clock of this computer; if it is right, the keys have a wrong date: slotbench keys "
            "rotate --online --clock-is-right")
    require_right_clock(site, keys, mark, last, now)


def _signed_releases(paths: ReleasePaths, keys: Keys) -> Iterator[_SignedRelease]:
    """The releases that boards with these keys would accept: in the site, then in the folder of releases."""
    for digest, release in trusted_releases(paths.site, keys).items():
        yield _SignedRelease(paths.site.path(store.release_name(digest)), digest, release)
    for path in sorted(paths.releases.glob(f"{keys.product}-*{_SUFFIX}")):
        with suppress(BenchError, FormatError):
            signed, release = documents.read_release(path, keys)
            yield _SignedRelease(path, signed.digest, release)


def _unsigned(path: Path) -> Release | None:
    """The release that an interrupted run built and did not sign."""
    if not path.is_file():
        return None
    with suppress(BenchError, FormatError):
        text = read_bytes(path, DOCUMENT_BYTES_MAX)
        if not document.is_signed(text):
            return Release.from_payload(document.read_payload(text))
    return None


def _says_the_same(one: Release, other: Release, channel: str) -> bool:
    """Whether two releases differ in nothing but when and as what they were built, and in their encodings."""
    return channel in one.channels and replace(
        one, counter=other.counter, created=other.created, preflight=other.preflight,
        channels=other.channels, images=_as_raw(one)) == replace(other, images=_as_raw(other))


def _as_raw(release: Release) -> dict[str, ImageRef]:
    return {key: replace(ref, encodings=RAW_ONLY) for key, ref in release.images.items()}


def next_rollout(
    site: Store, keys: Keys, last: Head, percent: int | None, cohorts: tuple[str, ...], now: int,
) -> tuple[Rollout, str]:
    """The rollout of the head after `last`, which offers the same, and what changes by it, in words; "" when
    nothing does. Raises BenchError: the percentage is below the present one.
    """
    if percent is not None and percent < last.percent:
        raise BenchError(
            f"the channel {last.channel} is at {last.percent} %, {percent} % would exclude boards",
            cure=f"slotbench release promote --percent {percent} --shrink", exit_code=USAGE)
    more = tuple(cohort for cohort in cohorts if cohort not in last.cohorts)
    why = []
    if percent not in (None, last.percent):
        why.append(f"{last.percent} % of the boards become {percent} %")
    if more:
        why.append(f"the cohorts {', '.join(more)} get it too")
    if last.epoch != keys.epoch:
        why.append(f"the keys are of epoch {keys.epoch} now")
    elif last.expires < now + _RENEW_S:
        why.append(f"the head {'expired' if last.expires < now else 'expires'} {date_words(last.expires)}")
    if unusable_releases(site, keys, [last]):
        why.append("files are missing in the site")
    return Rollout(
        percent=last.percent if percent is None else percent, cohorts=(*last.cohorts, *more),
        paused=last.paused), "; ".join(why)
