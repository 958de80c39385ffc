"""What a release directory offers, release by release."""

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
    """A release of the directory, the heads that offer it, and the channels it was withdrawn from."""

    digest: str
    release: Release
    heads: list[Head] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)

    def line(self, now: int) -> str:
        """One line for people."""
        said = [
            f"{head.channel}: {head.audience()}, head seq {head.seq}{', EXPIRED' * (head.expires < now)}"
            for head in self.heads]
        said += [f"withdrawn from {channel}" for channel in self.withdrawn]
        words = "; ".join(said) or f"for {', '.join(self.release.channels)}, offered to nobody"
        return f"counter {self.release.counter}  {self.release.version}  {words}"

    def fields(self) -> dict[str, object]:
        """The same for machines."""
        return {
            "digest": self.digest, "counter": self.release.counter, "version": self.release.version,
            "channels": list(self.release.channels), "heads": [asdict(head) for head in self.heads],
            "withdrawn": self.withdrawn,
        }


def list_releases(target: Store, keys: Keys) -> list[ListedRelease]:
    """The releases of the keys' product, the highest counter first. Raises BenchError, FormatError.

    A release that is offered but is not there, or that no pinned key signed, raises too.
    """
    entries = {
        digest: ListedRelease(digest, release)
        for digest, release in trusted_releases(target, keys).items()}
    for channel in target.channels(keys.product):
        head = last_head(target, keys, channel)
        assert head is not None
        if head.release not in entries:
            path = target.path(store.release_name(head.release))
            raise BenchError(
                f"the channel {channel} offers a release that boards cannot get or believe", where=str(path),
                do="publish it again")
        entries[head.release].heads.append(head)
        for digest in withdrawn_digests(target, keys.product, channel):
            if digest in entries and digest != head.release:
                entries[digest].withdrawn.append(channel)
    return sorted(entries.values(), key=lambda entry: (-entry.release.counter, entry.digest))
