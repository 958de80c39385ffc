"""The heads of a product while its site is locked: the newest of each channel, and the next one."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from slotbench.errors import BenchError
from slotbench.formats.fields import TIME_MAX, date_words
from slotbench.formats.head import NO_RELEASE, Head
from slotbench.formats.keys import Keys, Role
from slotbench.release import documents, store
from slotbench.release.epochs import KeyEpochs, gather_epochs
from slotbench.release.high_water import LONGEST_BREAK_S, HighWater
from slotbench.release.sign import check_role
from slotbench.release.signer import HeadSigner
from slotbench.release.store import Store

_DAY_S = 86400

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """The boards that are offered a release, and the lifetime of the head.

    `percent` of the boards, all boards of `cohorts`, and those with the device ids `devices` are offered it,
    no board while `paused`. The head expires after `days`. Boards poll every `interval_s` seconds; with 0
    each uses its own setting, with None the interval of the last head stays.
    """

    percent: int = 100
    cohorts: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    paused: bool = False
    days: int = 30
    interval_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a head offers: a release and an application, or one of them, by digest and counter (formats.head).
    """

    release: str = NO_RELEASE
    counter: int = 0
    app: str = ""
    app_counter: int = 0

    @classmethod
    def of(cls, head: Head | None) -> Self:
        """What this head offers; nothing without a head."""
        if head is None:
            return cls()
        return cls(
            release=head.release, counter=head.counter, app=head.app, app_counter=head.app_counter)


class Heads:
    """The heads of the keys' product in a locked site, and the online `key` that signs the next ones."""

    def __init__(
        self, site: Store, keys: Keys, key: HeadSigner, epochs: KeyEpochs, mark: HighWater,
    ) -> None:
        self.site = site
        self.keys = keys
        self.epochs = epochs
        self.mark = mark
        self._key = key

    def newest(self, channel: str) -> Head | None:
        """The channel's head in the site; None if it has none. A newer one beside the keys is said.

        Raises BenchError or FormatError for a head that is damaged or of other keys.
        """
        found = last_head(self.site, self.keys, channel, self.epochs)
        signed = self.mark.head(channel)
        if found and signed and (signed.epoch, signed.seq) > (found.epoch, found.seq):
            _log.warning(
                "%s/%s: the head in %s has seq %s, and seq %s was signed since, for another site perhaps; "
                "if this site is an old copy, %s", self.keys.product, channel, self.site.root, found.seq,
                signed.seq, self.site.repair_cure)
        return found

    def next(
        self, last: Head | None, now: int, rollout: Rollout, *, channel: str, offer: Offer, above: int = 0,
    ) -> Head:
        """The unsigned head that follows `last`, with this offer.

        Its seq is above all that are known, and above `above`. It expires `days` after the latest date that
        boards may have seen. Raises BenchError if no seq is left.
        """
        before = last or self.mark.head(channel)
        interval_s = rollout.interval_s
        if interval_s is None:
            interval_s = before.interval_s if before else 0
        seen = [*self._created(offer), *([last.issued] if last and last.epoch == self.keys.epoch else [])]
        latest = self.mark.latest_signed(self.keys, *seen)
        if latest > now + _DAY_S:
            _log.warning(
                "%s/%s: boards may have seen the date %s; this head is valid until %s days after it",
                self.keys.product, channel, date_words(latest), rollout.days)
        return Head(
            product=self.keys.product, channel=channel, epoch=self.keys.epoch,
            seq=self.mark.next_seq(last, self.keys, channel, now, above),
            release=offer.release, counter=offer.counter, app=offer.app, app_counter=offer.app_counter,
            issued=now,
            expires=min(max(now, latest) + rollout.days * _DAY_S, TIME_MAX),
            percent=rollout.percent, cohorts=rollout.cohorts, devices=rollout.devices, paused=rollout.paused,
            interval_s=interval_s,
        )

    def check_clock(self, last: Head | None, now: int) -> None:
        """Raise BenchError if `now` cannot be right beside the dates of earlier heads."""
        require_right_clock(self.site, self.keys, self.mark, last, now)

    def publish(self, head: Head) -> None:
        """Sign this head and write it to the site, after the keys. Raises BenchError."""
        for name, data in self.epochs.files.items():
            self.site.write(name, data)
        # Its seq is written down first, so that no crash can make two heads of one seq.
        self.mark.reserve(head, max(head.issued, *self._created(Offer.of(head))))
        self.site.write(
            store.head_name(head.product, head.channel), self._key.sign(head.to_payload()).pack())
        self.mark.record(head)

    def _created(self, offer: Offer) -> list[int]:
        """When the release and the application were built, as far as the site has them."""
        found = [0]
        with suppress(BenchError):
            path = self.site.path(store.release_name(offer.release))
            found.append(documents.read_release(path, self.keys)[1].created)
        with suppress(BenchError):
            if offer.app:
                path = self.site.path(store.application_name(offer.app))
                found.append(documents.read_application(path, self.keys)[1].created)
        return found


@contextmanager
def opened_heads(
    site: Store, keys_path: Path, key: HeadSigner, *, known: HighWater | None = None,
) -> Iterator[Heads]:
    """Lock the site and the folder of the keys, and find out what is published.

    `key` is the online key; `known` takes the place of the mark beside the keys. Raises BenchError,
    FormatError.
    """
    keys = documents.read_keys(keys_path)[1]
    check_role(key, keys, Role.ONLINE)
    with site.locked(keys_path.parent):
        mark = known or HighWater.beside(keys_path, keys.product)
        yield Heads(site, keys, key, gather_epochs(site, keys_path), mark)


def last_head(site: Store, keys: Keys, channel: str, epochs: KeyEpochs | None = None) -> Head | None:
    """The channel's head in the site; None if it has none. Its signature is checked if the keys of its epoch
    are known.

    Known are the keys in `epochs`, or else only `keys`. Raises BenchError, FormatError.
    """
    path = site.path(store.head_name(keys.product, channel))
    if not path.is_file():
        return None
    with documents.curing(site.repair_cure):
        signed, head = documents.read_head(path)
    _require_epoch_of(keys, head, str(path))
    known = {keys.epoch: keys} if epochs is None else epochs.known
    if head.epoch in known:
        with documents.curing(site.repair_cure):
            documents.check_signature(signed, known[head.epoch], Role.ONLINE, str(path))
    return head


def require_right_clock(site: Store, keys: Keys, mark: HighWater, last: Head | None, now: int) -> None:
    """Raise BenchError if `now` cannot be right beside the dates of `last` and of other heads."""
    if last and last.epoch == keys.epoch and now < last.issued:
        raise BenchError(
            f"the last head of {last.channel} was issued at {date_words(last.issued)}, "
            f"later than now ({date_words(now)})",
            cure="set the clock of this computer; if it is right, that head has a wrong date: "
            + site.repair_cure)
    known = [head for head in (last, *map(mark.head, mark.channels)) if head]
    dates = [head.issued for head in known if head.epoch == keys.epoch]
    if dates and now > max(keys.issued, *dates) + LONGEST_BREAK_S:
        raise BenchError(
            f"this computer's clock says {date_words(now)}, and the last head was issued at "
            f"{date_words(max(dates))}",
            cure=f"set the clock of this computer; if it is right, {site.repair_cure}")


def require_known_epoch(last: Head, epochs: KeyEpochs) -> None:
    """Raise BenchError unless the keys of the head's epoch are known."""
    if last.epoch not in epochs.known:
        raise BenchError(
            f"head of {last.channel} has key epoch {last.epoch}, whose keys are not known",
            cure="publish its release again")


def _require_epoch_of(keys: Keys, head: Head, where: str) -> None:
    if head.epoch > keys.epoch:
        raise BenchError(
            f"head has key epoch {head.epoch}, the keys file has {keys.epoch}", where=where,
            cure="use the newest keys file")
