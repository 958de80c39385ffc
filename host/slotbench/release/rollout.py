"""A rollout in steps: each step writes a new signed head and changes nothing else in the site."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from slotbench.errors import BenchError
from slotbench.formats import FormatError
from slotbench.formats.application import ApplicationDocument
from slotbench.formats.head import NO_RELEASE, Head
from slotbench.formats.keys import Keys, Role
from slotbench.formats.release import Release
from slotbench.release import documents, store
from slotbench.release.applications import missing_files, trusted_applications
from slotbench.release.files import read_bytes, write_atomic
from slotbench.release.heads import Heads, Offer, Rollout, opened_heads, require_known_epoch
from slotbench.release.high_water import HighWater
from slotbench.release.sign import check_role
from slotbench.release.signer import HeadSigner
from slotbench.release.store import Store

__all__ = ["Channel", "trusted_releases", "withdrawn_digests"]

_LIST_BYTES_MAX = 1 << 20
_Made = TypeVar("_Made", Release, ApplicationDocument)


class Channel:
    """A channel of the keys' product in a site, with the online `key` that signs its heads.

    Each step takes `now` (Unix seconds) and the `days` until the new head expires, and returns that head.
    Each raises BenchError or FormatError, and has changed nothing then. With `only`, a digest, each refuses
    to change what the channel says of another release or application.
    """

    def __init__(
        self, site: Store, keys_path: Path, key: HeadSigner, name: str = "stable", *, only: str | None = None,
    ) -> None:
        self._only = only
        self.site = site
        self.name = name
        self.keys = documents.read_keys(keys_path)[1]
        self._keys_path = keys_path
        self._key = key
        check_role(key, self.keys, Role.ONLINE)

    def promote(
        self, now: int, *, percent: int | None = None, cohorts: Sequence[str] = (),
        devices: Sequence[str] = (), unlisted: Collection[str] = (), shrink: bool = False, days: int = 30,
    ) -> Head:
        """Offer the release to `percent` of the boards (None: as before), and to additional `cohorts` and
        `devices`.

        The devices `unlisted` are taken from the list; they keep what they began. A lower percentage
        needs `shrink`; boards that have updated keep the release. A pause stays in force.
        """
        with self._opened(now) as (heads, last):
            self._require_offered(last)
            share = last.percent if percent is None else percent
            if share < last.percent and not shrink:
                raise BenchError(
                    f"the channel {self.name} is at {last.percent} %, {share} % would exclude boards",
                    cure="give --shrink to do that; boards that have updated keep the release")
            together = tuple(dict.fromkeys((*last.cohorts, *cohorts)))
            listed = [each for each in dict.fromkeys((*last.devices, *devices)) if each not in unlisted]
            return _publish_next(heads, last, now, Rollout(
                percent=share, cohorts=together, devices=tuple(listed), paused=last.paused, days=days))

    def pause(self, now: int, *, days: int = 30) -> Head:
        """Stop boards from beginning this update."""
        return self._set_paused(now, True, days)

    def resume(self, now: int, *, days: int = 30) -> Head:
        """Offer the update again to the same boards as before the pause."""
        return self._set_paused(now, False, days)

    def withdraw(
        self, now: int, *, to: int | None = None, application: bool = False, days: int = 30,
    ) -> Head:
        """Point the channel to the newest older release that was never withdrawn, or to counter `to`.

        With `application`, or in a channel that has nothing else, its application goes back in the same way.
        An application that does not run under the older firmware goes back with it. All boards are offered
        it. Boards that run a higher counter keep their release.
        """
        with self._opened(now) as (heads, last):
            is_release = last.release != NO_RELEASE and not application
            if not is_release and not last.app:
                raise BenchError(
                    f"the channel {self.name} has no application", cure="leave out --app",
                    where=str(self.site.root))
            if is_release:
                before = self._withdrawn_release(heads.mark, last, to)
            else:
                before = self._withdrawn_application(heads.mark, last, to)
            # Recorded first: if the next step fails, no later withdrawal returns to this release.
            _record_withdrawal(self.site, heads.mark, self.name, last.release if is_release else last.app)
            return _publish_next(heads, before, now, Rollout(days=days))

    def _withdrawn_release(self, mark: HighWater, last: Head, to: int | None) -> Head:
        """The last head with an older release, and an application that runs under it."""
        digest, release = self._older(trusted_releases(self.site, self.keys), mark, last.counter, to)
        missing = [
            name for ref in release.images.values() for name in (ref.url, ref.blocks_url)
            if store.is_name(name) and self.site.read(name) is None]
        self._require_nothing_missing(release, missing)
        before = replace(last, release=digest, counter=release.counter)
        if not last.app:
            return before
        withdrawn = withdrawn_digests(self.site, mark, self.name)
        fitting = {
            digest: each for digest, each in self._running(release).items()
            if each.counter <= last.app_counter and digest not in withdrawn}
        if last.app in fitting:
            return before
        digest, found = max(fitting.items(), key=lambda item: item[1].counter, default=("", None))
        return replace(before, app=digest, app_counter=found.counter if found is not None else 0)

    def _withdrawn_application(self, mark: HighWater, last: Head, to: int | None) -> Head:
        """The last head with an older application, which runs under its release."""
        known = trusted_releases(self.site, self.keys)
        digest, application = self._older(
            self._running(known.get(last.release)), mark, last.app_counter, to)
        self._require_nothing_missing(application, missing_files(self.site, application))
        return replace(last, app=digest, app_counter=application.counter)

    def _running(self, release: Release | None) -> dict[str, ApplicationDocument]:
        """The channel's applications that run under a firmware; None: under any."""
        return {
            digest: each for digest, each in trusted_applications(self.site, self.keys).items()
            if self.name in each.channels
            and (release is None or not release.frozen_main and each.fits(release.counter, release.mpy_abi))}

    def _require_nothing_missing(self, found: Release | ApplicationDocument, missing: Sequence[str]) -> None:
        if missing:
            raise BenchError(
                f"counter {found.counter} cannot be downloaded, {missing[0]} is missing",
                where=str(self.site.root),
                cure="publish it again, choose another with --to, or pause the channel")

    def _set_paused(self, now: int, paused: bool, days: int) -> Head:
        with self._opened(now) as (heads, last):
            rollout = Rollout(
                percent=last.percent, cohorts=last.cohorts, devices=last.devices, paused=paused, days=days)
            return _publish_next(heads, last, now, rollout)

    @contextmanager
    def _opened(self, now: int) -> Iterator[tuple[Heads, Head]]:
        """The locked heads, and the newest one of this channel."""
        with opened_heads(self.site, self._keys_path, self._key) as heads:
            last = heads.newest(self.name)
            if last is None:
                raise BenchError(
                    f"nothing is published for {self.keys.product} in the channel {self.name}",
                    where=str(self.site.root),
                    cure=self.site.repair_cure if heads.mark.head(self.name) else "publish a release first")
            if self._only not in (None, last.release, last.app):
                raise BenchError(
                    f"the channel {self.name} offers {last.content()} now", where=str(self.site.root),
                    cure="begin a rollout of that release, if it needs one")
            require_known_epoch(last, heads.epochs)
            heads.check_clock(last, now)
            yield heads, last

    def _require_offered(self, last: Head) -> None:
        """Raise BenchError or FormatError unless what the head offers is in the site and boards would accept
        it.
        """
        with documents.curing(f"publish it again; if only its line ends changed, {self.site.repair_cure}"):
            if last.release != NO_RELEASE:
                documents.read_release(self.site.path(store.release_name(last.release)), self.keys)
            if last.app:
                documents.read_application(self.site.path(store.application_name(last.app)), self.keys)

    def _older(
        self, known: Mapping[str, _Made], mark: HighWater, below: int, to: int | None,
    ) -> tuple[str, _Made]:
        """The newest of those that are `known` with a counter below, or the one with counter `to`."""
        found = {
            digest: made for digest, made in known.items()
            if self.name in made.channels and made.counter < below}
        if to is not None:
            found = {digest: made for digest, made in found.items() if made.counter == to}
            if not found:
                raise BenchError(
                    f"no release with counter {to}, below {below}, is for the channel {self.name}",
                    where=str(self.site.root), cure="list the releases with `slotbench release list`")
        else:
            for digest in withdrawn_digests(self.site, mark, self.name):
                found.pop(digest, None)
            if not found:
                raise BenchError(
                    f"there is no older release for the channel {self.name}", where=str(self.site.root),
                    cure="stop boards from beginning this one with `slotbench release pause`")
        return max(found.items(), key=lambda item: (item[1].counter, item[1].created, item[0]))


def _publish_next(heads: Heads, last: Head, now: int, rollout: Rollout) -> Head:
    head = heads.next(last, now, rollout, channel=last.channel, offer=Offer.of(last))
    heads.publish(head)
    return head


def trusted_releases(site: Store, keys: Keys) -> dict[str, Release]:
    """The releases in a site that boards with these keys would accept, by their digest.

    Damaged releases and those that no offline key signed are left out, as a board would refuse them.
    """
    found = {}
    for path in sorted((site.root / "releases").glob("*.release")):
        with suppress(BenchError, FormatError):
            signed, release = documents.read_release(path, keys)
            if path.stem == signed.digest:
                found[signed.digest] = release
    return found


def withdrawn_digests(site: Store, mark: HighWater, channel: str) -> list[str]:
    """The digests of the releases that were withdrawn from a channel, the oldest first. Raises BenchError.

    The site or the mark beside the keys may know more of them; one that either knows is withdrawn.
    """
    path = _withdrawn_path(site, mark.product, channel)
    listed = read_bytes(path, _LIST_BYTES_MAX).decode("ascii", "replace").split() if path.is_file() else []
    return list(dict.fromkeys((*listed, *mark.withdrawn(channel))))


def _record_withdrawal(site: Store, mark: HighWater, channel: str, digest: str) -> None:
    known = withdrawn_digests(site, mark, channel)
    for each in dict.fromkeys((*known, digest)):
        mark.record_withdrawal(channel, each)
    if digest not in known:
        text = "".join(f"{each}\n" for each in (*known, digest))
        write_atomic(_withdrawn_path(site, mark.product, channel), text.encode())


def _withdrawn_path(site: Store, product: str, channel: str) -> Path:
    return site.path(store.head_name(product, channel)).with_suffix(".withdrawn")
