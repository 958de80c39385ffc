"""The high-water mark of a product: what was published so far, in a file beside its keys.

The site alone does not know it: a site is rebuilt, restored from a backup or emptied, and boards refuse
every head below the newest that they saw.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from slotbench.errors import BenchError
from slotbench.formats import FormatError
from slotbench.formats.fields import INT_MAX, TIME_MAX, Fields, dump_json, seconds_since_2020
from slotbench.formats.head import Head
from slotbench.formats.keys import Keys
from slotbench.release.files import read_bytes, write_atomic

__all__ = ["LONGEST_BREAK_S", "HighWater"]

LONGEST_BREAK_S: Final = 400 * 86400
"""Somebody who signs again after more seconds than this has a wrong clock, or has to say that it is right."""

_BYTES_MAX: Final = 1 << 20
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _ChannelMark:
    """The highest `seq` that was used, the newest head, and the withdrawn digests, the oldest first."""

    seq: int = 0
    head: Head | None = None
    withdrawn: list[str] = field(default_factory=list)


class HighWater:
    """The seqs, heads and dates that were published of a product, whatever its site says now.

    `latest` (Unix seconds) is the latest date that was signed in key epoch `epoch`: boards take it as the
    earliest time it can be. Seqs count in one epoch.
    """

    def __init__(self, path: Path, product: str) -> None:
        self.path = path
        self.product = product
        self.epoch = 0
        self.latest = 0
        self._channels: dict[str, _ChannelMark] = {}
        self._has_warned = False

    @classmethod
    def beside(cls, keys_path: Path, product: str) -> HighWater:
        """The mark beside this keys file; an empty one if there is none yet. Raises BenchError."""
        mark = cls(cls.path_beside(keys_path, product), product)
        if mark.path.is_file():
            try:
                mark._parse(read_bytes(mark.path, _BYTES_MAX))
            except FormatError as error:
                error.cure = "bring it back from a backup, or run `slotbench release publish --repair`"
                raise error.within(str(mark.path)) from None
        return mark

    @staticmethod
    def path_beside(keys_path: Path, product: str) -> Path:
        """Where the mark of a product lies."""
        return keys_path.with_name(f"{product}.published")

    @property
    def channels(self) -> list[str]:
        """The channels that a head is known of."""
        return sorted(name for name, mark in self._channels.items() if mark.head)

    def head(self, channel: str) -> Head | None:
        """The newest head of a channel; None if none is known."""
        return self._channel(channel).head

    def dates(self) -> list[int]:
        """When the newest head of each channel was issued, in Unix seconds."""
        return [mark.head.issued for mark in self._channels.values() if mark.head]

    def withdrawn(self, channel: str) -> list[str]:
        """The digests of the releases that were withdrawn from a channel, the oldest first."""
        return list(self._channel(channel).withdrawn)

    def next_seq(self, last: Head | None, keys: Keys, channel: str, now: int, above: int = 0) -> int:
        """The seq of the head after `last` (FORMATS, head), which is above `above` too. Raises BenchError.

        It is at least the seconds since 2020, so that it goes on where nothing is known of earlier heads.
        """
        known = [seconds_since_2020(now) - 1, above, 0]
        if last and last.epoch == keys.epoch:
            known.append(last.seq)
        if self.epoch == keys.epoch:
            known.append(self._channel(channel).seq)
        seq = max(known) + 1
        if seq > INT_MAX:
            raise BenchError(
                f"the channel {channel} has no seq left in key epoch {keys.epoch}",
                cure="set the clock of this computer, then replace the online key: `slotbench keys rotate`")
        return seq

    def latest_signed(self, keys: Keys, *dates: int) -> int:
        """The latest date that boards of this epoch may have seen, of the known ones and `dates`."""
        return max(keys.issued, *dates, self.latest if self.epoch == keys.epoch else 0)

    def reserve(self, head: Head, latest: int) -> None:
        """Write down that this head's seq is used, and the latest date that it and its release carry.

        This comes before the head is published. Where the file cannot be written, a warning says so.
        """
        if head.epoch != self.epoch:
            self.epoch, self.latest = head.epoch, 0
            for mark in self._channels.values():
                mark.seq = 0
        mark = self._channel(head.channel)
        mark.seq = max(mark.seq, head.seq)
        self.latest = max(self.latest, latest)
        self._save()

    def record(self, head: Head) -> None:
        """Write down the newest head of a channel, once it is published."""
        self._channel(head.channel).head = head
        self._save()

    def record_withdrawal(self, channel: str, digest: str) -> None:
        """Write down that a release was withdrawn from a channel."""
        if digest not in self._channel(channel).withdrawn:
            self._channel(channel).withdrawn.append(digest)
            self._save()

    def _channel(self, name: str) -> _ChannelMark:
        return self._channels.setdefault(name, _ChannelMark())

    def _parse(self, data: bytes) -> None:
        fields = Fields.parse(data, "published")
        if fields.name("product") != self.product:
            raise FormatError("this is the file of another product", field="product")
        self.epoch = fields.integer("epoch")
        self.latest = fields.integer("latest", high=TIME_MAX)
        channels = fields.object("channels")
        for name in sorted(channels.keys()):
            entry = channels.object(name)
            mark = _ChannelMark(seq=entry.integer("seq"), withdrawn=entry.sequence("withdrawn"))
            if entry.has("head"):
                mark.head = Head.from_payload(dump_json(entry.pop_field("head")))
            if not all(isinstance(digest, str) for digest in mark.withdrawn):
                raise FormatError("not a list of digests", field=entry.path("withdrawn"))
            self._channels[name] = mark
        fields.require_empty()

    def _save(self) -> None:
        channels = {}
        for name, mark in sorted(self._channels.items()):
            entry: dict[str, object] = {"seq": mark.seq}
            if mark.head:
                entry["head"] = json.loads(mark.head.to_payload())
            channels[name] = {**entry, "withdrawn": mark.withdrawn}
        text = json.dumps({
            "kind": "published", "format": 1, "product": self.product, "epoch": self.epoch,
            "latest": self.latest, "channels": channels}, indent=2)
        try:
            write_atomic(self.path, text.encode() + b"\n")
        except BenchError as error:
            if not self._has_warned:
                _log.warning(
                    "%s: what is published is not written down beside the keys; only the site knows it",
                    error)
            self._has_warned = True
