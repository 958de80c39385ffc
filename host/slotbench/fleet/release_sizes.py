"""How many bytes a board fetches for a release: its images, and what the site has in their place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, select

from slotbench.fleet.offers import OfferedRelease
from slotbench.fleet.schema import images
from slotbench.release.store import Store, patch_name

__all__ = ["ReleaseSize", "release_sizes"]

_BEFORE_MAX: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseSize:
    """What a board fetches: `bytes` of it, `percent` of the whole image. `words` say what, or from where."""

    words: str
    bytes: int
    percent: int


def release_sizes(connection: Connection, site: Store, release: OfferedRelease) -> list[ReleaseSize]:
    """The sizes, the largest first. Two queries, and a look at a few files of the site."""
    columns = images.c.sha256, images.c.counter, images.c.bytes
    own = connection.execute(
        select(*columns).where(images.c.digest == release.digest).order_by(images.c.bytes.desc())).all()
    before = connection.execute(
        select(*columns).where(images.c.product == release.product, images.c.counter < release.counter)
        .order_by(images.c.counter.desc()).limit(_BEFORE_MAX)).all()
    found = []
    for sha256, _, length in own:
        found.append(ReleaseSize(words="whole image", bytes=length, percent=100))
        named = [("deflated", patch_name(sha256))]
        named += [(f"from counter {counter}", patch_name(sha256, old)) for old, counter, _ in before]
        for words, name in named:
            try:
                size = site.path(name).stat().st_size
            except OSError:
                continue
            found.append(ReleaseSize(words=words, bytes=size, percent=max(1, round(100 * size / length))))
    return sorted(found, key=lambda each: -each.bytes)
