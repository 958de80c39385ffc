"""The list of the releases in a site."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from slotbench.errors import BenchError
from slotbench.formats.head import Head
from slotbench.formats.keys import Keys
from slotbench.formats.release import Release
from slotbench.release import store
from slotbench.release.publish import last_head
from slotbench.release.rollout import trusted_releases, withdrawn_digests
from slotbench.release.store import Store

__all__ = ["ListedRelease", "list_releases"]


@dataclass(slots=True)
class ListedRelease:
    """A release in the site, the heads that offer it, and the channels from which it was withdrawn."""

    digest: str
    release: Release
    heads: list[Head] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)

    def line(self, now: int) -> str:
        """The release as one line for people. `now` is Unix seconds."""
        said = [
            f"{head.channel}: {head.audience()}, head seq {head.seq}{', EXPIRED' * (head.expires < now)}"
            for head in self.heads]
        said += [f"withdrawn from {channel}" for channel in self.withdrawn]
        words = "; ".join(said) or f"for {', '.join(self.release.channels)}, not offered"
        return f"counter {self.release.counter}  {self.release.version}  {words}"

    def fields(self) -> dict[str, object]:
        """The release as fields for machines."""
        return {
            "digest": self.digest, "counter": self.release.counter, "version": self.release.version,
            "channels": list(self.release.channels), "heads": [asdict(head) for head in self.heads],
            "withdrawn": self.withdrawn,
        }


def list_releases(site: Store, keys: Keys) -> list[ListedRelease]:
    """The releases of the keys' product, the highest counter first. Raises BenchError, FormatError.

    Raises BenchError too if a head offers a release that is missing or that no pinned key signed.
    """
    entries = {
        digest: ListedRelease(digest, release)
        for digest, release in trusted_releases(site, keys).items()}
    for channel in site.channels(keys.product):
        head = last_head(site, keys, channel)
        assert head is not None
        if head.release not in entries:
            path = site.path(store.release_name(head.release))
            raise BenchError(
                f"the channel {channel} offers a release that is missing or not signed by a pinned key",
                where=str(path), cure="publish it again")
        entries[head.release].heads.append(head)
        for digest in withdrawn_digests(site, keys.product, channel):
            if digest in entries and digest != head.release:
                entries[digest].withdrawn.append(channel)
    return sorted(entries.values(), key=lambda entry: (-entry.release.counter, entry.digest))
