"""Patches in the site: a release from the ones before it, and the whole image deflated (FORMATS, patch)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from slotbench.formats.keys import Keys
from slotbench.formats.release import RAW_ONLY, Release
from slotbench.patch import make_patch, pack_image
from slotbench.release import store
from slotbench.release.rollout import trusted_releases
from slotbench.release.store import Store

__all__ = ["ENCODINGS", "PATCHES_USUAL", "WrittenPatch", "encodings_for", "write_patches"]

ENCODINGS: Final = ("raw", "patch", "deflate")
"""The `encodings` of a release that comes with patches."""
PATCHES_USUAL: Final = 3
"""From so many releases before it a release has patches."""
_WORTH: Final = 0.9
"""A patch longer than this share of what a board would fetch without it is not kept."""


@dataclass(frozen=True, slots=True)
class WrittenPatch:
    """A file of the site, `length` bytes in the place of an image of `whole`.

    `counter` is that of the release it starts from; None: it needs no image.
    """

    name: str
    counter: int | None
    length: int
    whole: int


def encodings_for(patches: int) -> tuple[str, ...]:
    """The `encodings` of a release with patches from so many releases before it; 0: without any."""
    return ENCODINGS if patches else RAW_ONLY


def write_patches(
    site: Store, keys: Keys, release: Release, images: Sequence[bytes], count: int,
) -> list[WrittenPatch]:
    """Write what lets boards fetch less of `release` than its images: the image deflated, and patches from
    the `count` newest releases before it whose images are in the site. Takes a few seconds for each.

    Call it before the release is published, because boards ask once. Returns what is worth having, also what
    was there already. Raises BenchError.
    """
    if not count or not any("patch" in ref.encodings for ref in release.images.values()):
        return []
    made: dict[str, tuple[int | None, bytes, int]] = {}
    named = {ref.sha256 for ref in release.images.values()}
    if named - {_sha256(image) for image in images}:
        return []  # publishing it is refused
    for image in images:
        if _sha256(image) not in named:
            continue
        whole = pack_image(image)
        most = len(image)
        if len(whole) < most * _WORTH:
            made[store.patch_name(_sha256(image))] = None, whole, len(image)
            most = len(whole)
        for counter, old in _images_before(site, keys, release, count):
            name = store.patch_name(_sha256(image), _sha256(old))
            if old != image and name not in made:
                patch = site.read(name) or make_patch(old, image)
                if len(patch) < most * _WORTH:
                    made[name] = counter, patch, len(image)
    with site.locked():
        for name, (_, data, _) in made.items():
            site.write(name, data)
    return [
        WrittenPatch(name, counter, len(data), whole) for name, (counter, data, whole) in made.items()]


def _images_before(site: Store, keys: Keys, release: Release, count: int) -> Iterator[tuple[int, bytes]]:
    """(counter, image) of the newest releases below this one, the newest first."""
    before = [each for each in trusted_releases(site, keys).values() if each.counter < release.counter]
    for each in sorted(before, key=lambda each: -each.counter)[:count]:
        for ref in each.images.values():
            if store.is_name(ref.url) and (image := site.read(ref.url)) is not None:
                yield each.counter, image


def _sha256(image: bytes) -> str:
    return hashlib.sha256(image).hexdigest()
