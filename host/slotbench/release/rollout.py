"""A release in portions: each step is a new signed head, and nothing else in the directory changes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from slotbench.errors import BenchError
from slotbench.formats import FormatError
from slotbench.formats.head import Head
from slotbench.formats.keys import Keys, Role
from slotbench.formats.release import Release
from slotbench.release import documents, store
from slotbench.release.epochs import Epochs, gather
from slotbench.release.files import read_bytes, write_atomic
from slotbench.release.keys import SigningKey
from slotbench.release.publish import Rollout, last_head, new_head, require_known
from slotbench.release.sign import check_role
from slotbench.release.store import Store

__all__ = ["Channel", "releases", "withdrawn"]

_LIST_BYTES_MAX = 1 << 20


class Channel:
    """A channel of the keys' product in a release directory, and the online `key` that signs its heads.

    Every step takes `now` (Unix seconds) and the `days` that the new head lasts, and returns that head. All
    raise BenchError and FormatError, and have changed nothing then.
    """

    def __init__(self, target: Store, keys_path: Path, key: SigningKey, name: str = "stable") -> None:
        self.target = target
        self.name = name
        self.keys = documents.read_keys(keys_path)[1]
        self._keys_path = keys_path
        self._key = key
        check_role(key, self.keys, Role.ONLINE)

    def promote(
        self, now: int, *, percent: int | None = None, cohorts: Sequence[str] = (), shrink: bool = False,
        days: int = 30,
    ) -> Head:
        """Offer the release to `percent` of the boards (None: as many as now) and to more `cohorts`.

        Less than now only with `shrink`: a board that updated stays where it is. A pause stays.
        """
        with self.target.locked():
            last = self._last()
            self._require(last.release)
            share = last.percent if percent is None else percent
            if share < last.percent and not shrink:
                raise BenchError(
                    f"the channel {self.name} is at {last.percent} %, {share} % would take boards out",
                    do="--shrink does it; a board that has updated stays as it is")
            together = tuple(dict.fromkeys((*last.cohorts, *cohorts)))
            return self._write(self._next(
                last, now, Rollout(percent=share, cohorts=together, paused=last.paused, days=days)))

    def pause(self, now: int, *, days: int = 30) -> Head:
        """Nobody begins this update any more."""
        return self._pause(now, True, days)

    def resume(self, now: int, *, days: int = 30) -> Head:
        """The same boards as before the pause may begin it again."""
        return self._pause(now, False, days)

    def withdraw(self, now: int, *, to: int | None = None, days: int = 30) -> Head:
        """Point the channel at the newest older release that was never withdrawn, or at counter `to`.

        It is offered to all boards: those that run a higher counter keep what they run.
        """
        with self.target.locked():
            last = self._last()
            digest, release = self._older(last, to)
            for ref in release.images.values():
                for name in (ref.url, ref.blocks_url):
                    if store.is_name(name) and self.target.read(name) is None:
                        raise BenchError(
                            f"counter {release.counter} cannot be downloaded any more, {name} is gone",
                            where=str(self.target.root),
                            do="publish it again, name another with --to, or pause the channel")
            head = self._next(
                replace(last, release=digest, counter=release.counter), now, Rollout(days=days))
            # Noted first: whatever happens in between, nothing goes back to it by itself.
            _note_withdrawn(self.target, self.keys.product, self.name, last.release)
            return self._write(head)

    def _pause(self, now: int, paused: bool, days: int) -> Head:
        with self.target.locked():
            last = self._last()
            rollout = Rollout(percent=last.percent, cohorts=last.cohorts, paused=paused, days=days)
            return self._write(self._next(last, now, rollout))

    def _last(self) -> Head:
        epochs = self._epochs()
        last = last_head(self.target, self.keys, self.name, epochs)
        if last is None:
            raise BenchError(
                f"nothing is published for {self.keys.product} in the channel {self.name}",
                where=str(self.target.root), do="publish a release first")
        require_known(last, epochs)
        return last

    def _require(self, digest: str) -> None:
        """The release is there and the boards would believe it."""
        documents.read_release(self.target.path(store.release_name(digest)), self.keys)

    def _older(self, last: Head, to: int | None) -> tuple[str, Release]:
        found = {
            digest: release for digest, release in releases(self.target, self.keys).items()
            if self.name in release.channels and release.counter < last.counter}
        if to is not None:
            found = {digest: release for digest, release in found.items() if release.counter == to}
            if not found:
                raise BenchError(
                    f"no release with counter {to}, below {last.counter} and for the channel {self.name}",
                    where=str(self.target.root), do="see them with `slotbench release list`")
        else:
            for digest in withdrawn(self.target, self.keys.product, self.name):
                found.pop(digest, None)
            if not found:
                raise BenchError(
                    f"there is no older release for the channel {self.name}", where=str(self.target.root),
                    do="`slotbench release pause` keeps boards from beginning this one")
        return max(found.items(), key=lambda item: (item[1].counter, item[1].created, item[0]))

    def _next(self, last: Head, now: int, rollout: Rollout) -> Head:
        return new_head(
            last, self.keys, now, rollout, channel=self.name, release=last.release, counter=last.counter)

    def _epochs(self) -> Epochs:
        return gather(self.target, self._keys_path)

    def _write(self, head: Head) -> Head:
        for name, data in self._epochs().files.items():
            self.target.write(name, data)
        self.target.write(
            store.head_name(head.product, head.channel), self._key.sign(head.to_payload()).pack())
        return head


def releases(target: Store, keys: Keys) -> dict[str, Release]:
    """The releases in a directory that boards with these keys would believe, by their digest.

    What no offline key of them signed, and what is damaged, is left out, as a board would do.
    """
    found = {}
    for path in sorted((target.root / "releases").glob("*.release")):
        with suppress(BenchError, FormatError):
            signed, release = documents.read_release(path, keys)
            if path.stem == signed.digest:
                found[signed.digest] = release
    return found


def withdrawn(target: Store, product: str, channel: str) -> list[str]:
    """Digests of the releases that were withdrawn from a channel, the oldest first. Raises BenchError."""
    path = _list(target, product, channel)
    return read_bytes(path, _LIST_BYTES_MAX).decode("ascii", "replace").split() if path.is_file() else []


def _note_withdrawn(target: Store, product: str, channel: str, digest: str) -> None:
    known = withdrawn(target, product, channel)
    if digest not in known:
        text = "".join(f"{each}\n" for each in (*known, digest))
        write_atomic(_list(target, product, channel), text.encode())


def _list(target: Store, product: str, channel: str) -> Path:
    return target.path(store.head_name(product, channel)).with_suffix(".withdrawn")
