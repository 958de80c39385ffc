"""From a program's folder to what boards are offered: as `shipping` does for a firmware, alone or beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from slotbench.application.bundle import Bundle
from slotbench.boards import BoardProfile
from slotbench.errors import USAGE, BenchError
from slotbench.formats import FormatError
from slotbench.formats.application import ApplicationDocument
from slotbench.formats.fields import INT_MAX
from slotbench.formats.head import NO_RELEASE, Head
from slotbench.formats.keys import Keys
from slotbench.formats.release import Preflight, Release
from slotbench.release import documents, store
from slotbench.release.application_patches import with_patches
from slotbench.release.applications import (
    APPLICATION_SUFFIX,
    NOT_NAMED,
    build_application,
    trusted_applications,
)
from slotbench.release.epochs import gather_epochs
from slotbench.release.files import write_atomic
from slotbench.release.heads import Rollout, last_head
from slotbench.release.keys import SigningKey
from slotbench.release.publish import publish_offer
from slotbench.release.rollout import trusted_releases, withdrawn_digests
from slotbench.release.shipping import (
    FIRST_COUNTER,
    ReleasePaths,
    Shipment,
    Stage,
    check_keys_and_clock,
    next_rollout,
)
from slotbench.release.sign import sign_file
from slotbench.release.store import Store

__all__ = [
    "ApplicationShipment", "channel_firmware", "plan_application", "publish_together", "sign_application",
    "write_application",
]

_DAY_S = 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationShipment:
    """What is to be done with an application. The fields are those of `Shipment`; `bundle` has its files."""

    paths: ReleasePaths
    application: ApplicationDocument
    bundle: Bundle
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
class _SignedApplication:
    """An application that is signed already, and its file."""

    path: Path
    digest: str
    application: ApplicationDocument


def plan_application(
    bundle: Bundle, paths: ReleasePaths, *, product: str, boards: Sequence[BoardProfile], channel: str,
    now: int, version: str | None = None, counter: int | None = None, notes: str = "",
    percent: int | None = None, cohorts: tuple[str, ...] = (), floor: int = 0, data: int = 0,
    needs: int | None = None, firmware: Release | None = None, patches: int = 0,
) -> ApplicationShipment:
    """What `ship --app` is going to do with this bundle. `now` is Unix seconds.

    `firmware` is the release that goes with it: the application then needs its counter. `needs` is the
    lowest counter of a firmware; without either it is any, or as in the one that is there. `patches` is from
    how many applications before it boards get patches. An application that is signed and says the same is
    taken as it is; else the counter is one above all that are known.
    Raises BenchError, FormatError.
    """
    keys, mark = check_keys_and_clock(paths, product, channel, now)
    last = last_head(paths.site, keys, channel, gather_epochs(paths.site, paths.keys_path))
    channels = (channel,) if channel == "stable" else (channel, "stable")
    offered = _offered_release(paths.site, keys, last)
    wanted = build_application(
        bundle, product=product, boards=boards, version=version or NOT_NAMED, created=now, channels=channels,
        counter=max(counter or 0, FIRST_COUNTER), firmware=firmware or offered, notes=notes, floor=floor,
        firmware_low=needs if needs is not None else firmware.counter if firmware is not None else 0,
        data=data)
    needs_any = needs is None and firmware is None
    known = list(_signed_applications(paths, keys))

    def alike(found: ApplicationDocument) -> bool:
        same = replace(
            wanted, version=wanted.version if version is not None else found.version,
            firmware_low=found.firmware_low if needs_any else wanted.firmware_low)
        return _says_the_same(found, same, channel)

    base = ApplicationShipment(
        paths=paths, application=wanted, bundle=bundle, boards=tuple(boards), channel=channel,
        stage=Stage.NEW, path=paths.releases, last=last,
        rollout=Rollout(percent=100 if percent is None else percent, cohorts=cohorts))
    lowest = last.app_counter if last else 0
    withdrawn = withdrawn_digests(paths.site, mark, channel)
    for each in sorted(known, key=lambda each: -each.application.counter):
        if (
            alike(each.application)
            and counter in (None, each.application.counter) and each.digest not in withdrawn
            and each.application.created <= now + _DAY_S and each.application.counter >= lowest
        ):
            found = replace(base, application=each.application, path=each.path, stage=Stage.SIGNED)
            if last is None or last.app != each.digest:
                return found
            rollout, why = next_rollout(paths.site, keys, last, percent, cohorts, now)
            return replace(found, stage=Stage.OFFERED, rollout=rollout, why=why)
    used = [FIRST_COUNTER, lowest, *(each.application.counter for each in known)]
    used += [head.app_counter for head in map(mark.head, mark.channels) if head]
    chosen = max(used) + 1 if counter is None else counter
    if counter in used or chosen < lowest or chosen > INT_MAX:
        raise BenchError(
            f"application counter {chosen} cannot be used: it belongs to another one, is below {lowest}, "
            "which the channel offers, or is too high", cure="leave --counter out: it counts up by itself",
            exit_code=USAGE)
    path = paths.releases / f"{product}-app-{chosen}{APPLICATION_SUFFIX}"
    made = replace(wanted, counter=chosen, version=version or f"app-{chosen}")
    made = with_patches(made, bundle, patches, (paths.site, keys))
    planned = replace(base, application=made, path=path)
    built = _unsigned(path)
    if (
        built is not None and alike(built) and built.created <= now
        and built.preflight is Preflight.PASSED
    ):
        return replace(planned, application=built, stage=Stage.BUILT)
    return planned


def channel_firmware(site: Store, keys: Keys, channel: str) -> tuple[Release, bytes] | None:
    """The release of a firmware that a channel offers, and its image; None when it has none, or when the site
    lacks it.
    """
    with suppress(BenchError, FormatError):
        release = _offered_release(site, keys, last_head(site, keys, channel))
        if release is not None:
            image = site.read(next(iter(release.images.values())).url)
            return (release, image) if image is not None else None
    return None


def write_application(shipment: ApplicationShipment, preflight: Preflight) -> None:
    """Write the application, unsigned, with the result of its preflight. Raises BenchError; also if it
    failed.
    """
    made = replace(shipment.application, preflight=preflight)
    write_atomic(shipment.path, made.to_payload() + b"\n")
    if preflight is Preflight.FAILED:
        raise BenchError(
            "its preflight failed, so it is not signed", where=str(shipment.path),
            cure="correct the program, and ship it again; the details are in the .preflight.json beside it")


def sign_application(shipment: ApplicationShipment, key: SigningKey) -> None:
    """Sign the written application with an offline key. Raises BenchError, FormatError."""
    sign_file(shipment.path, key, documents.read_keys(shipment.paths.keys_path)[1])


def publish_together(
    firmware: Shipment | None, program: ApplicationShipment | None, key: SigningKey, now: int,
) -> Head:
    """Publish what is given with the online key, in one head, and return it. Raises BenchError."""
    newest = program if program is not None and program.stage is not Stage.OFFERED else firmware or program
    assert newest is not None, "something is shipped"
    return publish_offer(
        newest.paths.site, newest.paths.keys_path, key, now, channel=newest.channel, rollout=newest.rollout,
        release=(firmware.path, firmware.images) if firmware is not None else None,
        application=(program.path, program.bundle) if program is not None else None)


def _offered_release(site: Store, keys: Keys, last: Head | None) -> Release | None:
    if last is None or last.release == NO_RELEASE:
        return None
    return trusted_releases(site, keys).get(last.release)


def _signed_applications(paths: ReleasePaths, keys: Keys) -> Iterator[_SignedApplication]:
    """The applications that boards with these keys would accept: in the site, then in the folder."""
    for digest, found in trusted_applications(paths.site, keys).items():
        yield _SignedApplication(paths.site.path(store.application_name(digest)), digest, found)
    for path in sorted(paths.releases.glob(f"{keys.product}-*{APPLICATION_SUFFIX}")):
        with suppress(BenchError, FormatError):
            signed, found = documents.read_application(path, keys)
            yield _SignedApplication(path, signed.digest, found)


def _unsigned(path: Path) -> ApplicationDocument | None:
    """The application that an interrupted run built and did not sign."""
    if not path.is_file():
        return None
    with suppress(BenchError, FormatError):
        payload, found = documents.read_unsigned(path)
        if isinstance(found, ApplicationDocument) and path.read_bytes().strip() == payload:
            return found
    return None


def _says_the_same(one: ApplicationDocument, other: ApplicationDocument, channel: str) -> bool:
    """Whether two applications differ in nothing but when and as what they were built."""
    return channel in one.channels and replace(
        one, counter=other.counter, created=other.created, preflight=other.preflight,
        channels=other.channels, patches_from=other.patches_from) == other
