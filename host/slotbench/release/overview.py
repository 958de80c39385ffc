"""The list of the releases and applications in a site."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from slotbench.errors import USAGE, BenchError
from slotbench.formats.fields import date_words
from slotbench.formats.head import NO_RELEASE, Head
from slotbench.formats.keys import Keys
from slotbench.release import store
from slotbench.release.heads import last_head
from slotbench.release.high_water import HighWater
from slotbench.release.rollout import withdrawn_digests
from slotbench.release.store import Store
from slotbench.release.summaries import APPLICATION, RELEASE, Summary, cache_file, summarize

__all__ = ["ListedRelease", "list_releases"]


@dataclass(slots=True)
class ListedRelease:
    """A release or application in the site, the heads that offer it, and the channels from which it was
    withdrawn.

    `signed_since` has the seq of newer heads by channel, which are not in this site.
    """

    digest: str
    release: Summary
    heads: list[Head] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)
    signed_since: dict[str, int] = field(default_factory=dict)

    def line(self, now: int) -> str:
        """The release as one line for people. `now` is Unix seconds."""
        said = [
            f"{head.channel}: {head.audience()}, head seq {head.seq}, "
            f"{'EXPIRED' if head.expires < now else 'expires'} {date_words(head.expires)}"
            for head in self.heads]
        said += [f"{channel}: seq {seq} was signed since" for channel, seq in self.signed_since.items()]
        said += [f"withdrawn from {channel}" for channel in self.withdrawn]
        words = "; ".join(said) or f"for {', '.join(self.release.channels)}, not offered"
        what = "counter" if self.release.kind == RELEASE else "application"
        return f"{what} {self.release.counter}  {self.release.version}  {words}"

    def fields(self) -> dict[str, object]:
        """The release as fields for machines."""
        return {
            "kind": self.release.kind, "digest": self.digest, "counter": self.release.counter,
            "version": self.release.version,
            "channels": list(self.release.channels), "heads": [asdict(head) for head in self.heads],
            "withdrawn": self.withdrawn, "signed_since": self.signed_since,
        }


def list_releases(site: Store, keys: Keys, mark: HighWater) -> list[ListedRelease]:
    """The releases of the keys' product, then its applications, the highest counter first. `mark` knows what
    was withdrawn.

    Raises BenchError, FormatError; also if the product has none there, or if a head offers one that is
    missing or that no pinned key signed.
    """
    if not site.root.is_dir():
        raise BenchError("no such folder", where=str(site.root), cure="check the path", exit_code=USAGE)
    known = summarize(site, keys, cache_file(site, keys))
    entries = {digest: ListedRelease(digest, made) for digest, made in known.items()}
    for channel in site.channels(keys.product):
        head = last_head(site, keys, channel)
        assert head is not None
        for digest, name in _offered(head):
            if digest not in entries:
                raise BenchError(
                    f"the channel {channel} offers a release that is missing or not signed by a pinned key",
                    where=str(site.path(name)), cure="publish it again")
            entries[digest].heads.append(head)
            newest = mark.head(channel)
            if newest and (newest.epoch, newest.seq) > (head.epoch, head.seq):
                entries[digest].signed_since[channel] = newest.seq
        for digest in withdrawn_digests(site, mark, channel):
            if digest in entries and digest not in (head.release, head.app):
                entries[digest].withdrawn.append(channel)
    if not entries:
        raise BenchError(
            f"no release of {keys.product} is here", where=str(site.root),
            cure="check the path, or publish one with `slotbench release publish`")
    return sorted(entries.values(), key=lambda entry: (
        entry.release.kind == APPLICATION, -entry.release.counter, entry.digest))


def _offered(head: Head) -> list[tuple[str, str]]:
    """The digests that a head offers, each with its name in the site."""
    found = [] if head.release == NO_RELEASE else [(head.release, store.release_name(head.release))]
    return [*found, (head.app, store.application_name(head.app))] if head.app else found
