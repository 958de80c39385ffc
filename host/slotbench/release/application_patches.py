"""Patches of applications in the site: from those before them, and from nothing (FORMATS)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from slotbench.application.bundle import Bundle
from slotbench.patch.application import changed_files, make_application_patch
from slotbench.errors import BenchError
from slotbench.formats import FormatError
from slotbench.formats.application import ApplicationDocument
from slotbench.formats.application_patch import NOTHING, PATCHES_MAX, base_name
from slotbench.formats.file_list import parse_list
from slotbench.formats.keys import Keys
from slotbench.release import store
from slotbench.release.applications import trusted_applications
from slotbench.release.store import Store

__all__ = ["ApplicationPatch", "application_patches", "patch_contents", "with_patches"]

_WORTH: Final = 0.9
"""A patch longer than this share of the files that it has is not kept."""
_SAVES_LEAST: Final = 256
"""Bytes that a patch must save: a board loads the decoder for it, which takes time."""


@dataclass(frozen=True, slots=True)
class ApplicationPatch:
    """A patch in the place of files of `whole` bytes, from the application with the name `base`.

    `counter` is that of this application; None: it needs none.
    """

    base: str
    counter: int | None
    data: bytes
    files: int
    whole: int

    @property
    def is_worth_it(self) -> bool:
        """Whether boards shall fetch it in place of the files."""
        return len(self.data) <= min(self.whole * _WORTH, self.whole - _SAVES_LEAST)


def with_patches(
    application: ApplicationDocument, bundle: Bundle, count: int, place: tuple[Store, Keys] | None = None,
) -> ApplicationDocument:
    """The document with the names of the patches worth having: from nothing, and from the `count` newest
    applications before it whose files are in the site of `place`; 0: without any. They are made when it is
    published.
    """
    if not count:
        return application
    found = [_patch(NOTHING, None, {}, bundle)]
    if place is not None:
        known = trusted_applications(*place).values()
        before = sorted(
            (each for each in known if each.counter < application.counter), key=lambda each: -each.counter)
        found += _from_applications(place[0], before[:min(count, PATCHES_MAX - 1)], bundle)
    return replace(
        application, patches_from=tuple(dict.fromkeys(each.base for each in found if each.is_worth_it)))


def application_patches(
    site: Store, keys: Keys, application: ApplicationDocument, bundle: Bundle,
) -> list[ApplicationPatch]:
    """The patches that the document of `application` names, of those whose files are in the site: a board
    that finds one missing fetches the files.
    """
    named = set(application.patches_from)
    if not named:
        return []
    known = trusted_applications(site, keys).values()
    before = [each for each in known if base_name(each.list_sha256) in named]
    found = [_patch(NOTHING, None, {}, bundle)] if NOTHING in named else []
    return list({each.base: each for each in [*found, *_from_applications(site, before, bundle)]}.values())


def patch_contents(
    site: Store, keys: Keys, application: ApplicationDocument, bundle: Bundle,
) -> dict[str, bytes]:
    """What `application_patches` finds, by the names in the site."""
    return {
        store.application_patch_name(application.list_sha256, each.base): each.data
        for each in application_patches(site, keys, application, bundle)}


def _from_applications(
    site: Store, before: Iterable[ApplicationDocument], bundle: Bundle,
) -> Iterable[ApplicationPatch]:
    for each in before:
        if each.list_sha256 != bundle.list_sha256 and (files := _files(site, each.list_sha256)) is not None:
            yield _patch(base_name(each.list_sha256), each.counter, files, bundle)


def _files(site: Store, list_sha256: str) -> dict[str, bytes] | None:
    """The files of an application in the site, path -> content; None when one of them is missing."""
    found = {}
    with suppress(BenchError, FormatError):
        text = site.read(store.list_name(list_sha256))
        for entry in parse_list(text) if text is not None else ():
            data = site.read(store.file_name(entry.sha256))
            if data is None:
                return None
            found[entry.path] = data
    return found or None


def _patch(base: str, counter: int | None, old: Mapping[str, bytes], bundle: Bundle) -> ApplicationPatch:
    changed = changed_files(old, bundle.files)
    data = make_application_patch(old, bundle.files)
    return ApplicationPatch(base, counter, data, len(changed), sum(map(len, changed.values())))
