"""A rollout in steps: each step writes a new signed head and changes nothing else in the site."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from slotbench.errors import BenchError
from slotbench.formats import FormatError
from slotbench.formats.head import Head
from slotbench.formats.keys import Keys, Role
from slotbench.formats.release import Release
from slotbench.release import documents, store
from slotbench.release.files import read_bytes, write_atomic
from slotbench.release.heads import Heads, Rollout, opened_heads, require_known_epoch
from slotbench.release.high_water import HighWater
from slotbench.release.keys import SigningKey
from slotbench.release.sign import check_role
from slotbench.release.store import Store

__all__ = ["Channel", "trusted_releases", "withdrawn_digests"]

_LIST_BYTES_MAX = 1 << 20


class Channel:
    """A channel of the keys' product in a site, with the online `key` that signs its heads.

    Each step takes `now` (Unix seconds) and the `days` until the new head expires, and returns that head.
    Each raises BenchError or FormatError, and has changed nothing then.
    """

    def __init__(self, site: Store, keys_path: Path, key: SigningKey, name: str = "stable") -> None:
        self.site = site
        self.name = name
        self.keys = documents.read_keys(keys_path)[1]
        self._keys_path = keys_path
        self._key = key
        check_role(key, self.keys, Role.ONLINE)

    def promote(
        self, now: int, *, percent: int | None = None, cohorts: Sequence[str] = (), shrink: bool = False,
        days: int = 30,
    ) -> Head:
        """Offer the release to `percent` of the boards (None: as before) and to additional `cohorts`.

        A lower percentage needs `shrink`; boards that have updated keep the release. A pause stays in force.
        """
        with self._opened(now) as (heads, last):
            self._require_release(last.release)
            share = last.percent if percent is None else percent
            if share < last.percent and not shrink:
                raise BenchError(
                    f"the channel {self.name} is at {last.percent} %, {share} % would exclude boards",
                    cure="give --shrink to do that; boards that have updated keep the release")
            together = tuple(dict.fromkeys((*last.cohorts, *cohorts)))
            return _publish_next(
                heads, last, now, Rollout(percent=share, cohorts=together, paused=last.paused, days=days))

    def pause(self, now: int, *, days: int = 30) -> Head:
        """Stop boards from beginning this update."""
        return self._set_paused(now, True, days)

    def resume(self, now: int, *, days: int = 30) -> Head:
        """Offer the update again to the same boards as before the pause."""
        return self._set_paused(now, False, days)

    def withdraw(self, now: int, *, to: int | None = None, days: int = 30) -> Head:
        """Point the channel to the newest older release that was never withdrawn, or to counter `to`.

        All boards are offered it. Boards that run a higher counter keep their release.
        """
        with self._opened(now) as (heads, last):
            digest, release = self._older_release(heads.mark, last, to)
            for ref in release.images.values():
                for name in (ref.url, ref.blocks_url):
                    if store.is_name(name) and self.site.read(name) is None:
                        raise BenchError(
                            f"counter {release.counter} cannot be downloaded, {name} is missing",
                            where=str(self.site.root),
                            cure="publish it again, choose another with --to, or pause the channel")
            # Recorded first: if the next step fails, no later withdrawal returns to this release.
            _record_withdrawal(self.site, heads.mark, self.name, last.release)
            return _publish_next(
                heads, replace(last, release=digest, counter=release.counter), now, Rollout(days=days))

    def _set_paused(self, now: int, paused: bool, days: int) -> Head:
        with self._opened(now) as (heads, last):
            rollout = Rollout(percent=last.percent, cohorts=last.cohorts, paused=paused, days=days)
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
            require_known_epoch(last, heads.epochs)
            heads.check_clock(last, now)
            yield heads, last

    def _require_release(self, digest: str) -> None:
        """Raise BenchError or FormatError unless the release is in the site and boards would accept it."""
        with documents.curing(f"publish it again; if only its line ends changed, {self.site.repair_cure}"):
            documents.read_release(self.site.path(store.release_name(digest)), self.keys)

    def _older_release(self, mark: HighWater, last: Head, to: int | None) -> tuple[str, Release]:
        found = {
            digest: release for digest, release in trusted_releases(self.site, self.keys).items()
            if self.name in release.channels and release.counter < last.counter}
        if to is not None:
            found = {digest: release for digest, release in found.items() if release.counter == to}
            if not found:
                raise BenchError(
                    f"no release with counter {to}, below {last.counter}, is for the channel {self.name}",
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
    head = heads.next(
        last, now, rollout, channel=last.channel, release=last.release, counter=last.counter)
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
