"""The files of a release as DDI lists them: its images, and the release document with our signature."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Final

from slotbench.errors import BenchError
from slotbench.formats import FormatError
from slotbench.formats.document import split_document
from slotbench.formats.release import Release
from slotbench.release import store
from slotbench.release.store import Store

__all__ = ["Artifact", "ArtifactList", "ReleaseFiles"]

_RELEASES_MAX: Final = 32


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file: what devices call it, its name in the site, its bytes and its digests in hex."""

    filename: str
    name: str
    size: int
    sha1: str
    md5: str
    sha256: str


@dataclass(frozen=True, slots=True)
class ArtifactList:
    """A release and its files. The first file is an image: many clients look at no other."""

    release: Release
    files: Sequence[Artifact]

    def find(self, filename: str) -> Artifact | None:
        """The file with this name."""
        return next((each for each in self.files if each.filename == filename), None)


class ReleaseFiles:
    """The releases of a site. Digests are computed once for each; the last 32 are remembered."""

    def __init__(self, site: Store) -> None:
        self._site = site
        self._held: OrderedDict[str, ArtifactList] = OrderedDict()
        self._lock = Lock()

    def get(self, digest: str) -> ArtifactList:
        """The files of the release with this digest. Raises BenchError if they are not there, or damaged."""
        with self._lock:
            if digest not in self._held:
                self._held[digest] = self._read(digest)
                if len(self._held) > _RELEASES_MAX:
                    self._held.popitem(last=False)
            self._held.move_to_end(digest)
            return self._held[digest]

    def _read(self, digest: str) -> ArtifactList:
        document = store.release_name(digest)
        data = self._content(document)
        try:
            release = Release.from_payload(split_document(data).payload)
        except FormatError as error:
            raise error.within(str(self._site.path(document))) from None
        base = f"{release.product}-{release.version}"
        files = {}
        for slot, image in sorted(release.images.items()):
            name = store.image_name(image.sha256)
            suffix = "" if slot == "any" else f"-{slot}"
            files[f"{_plain(base)}{suffix}.bin"] = name, self._content(name)
        files[f"{_plain(base)}.release"] = document, data
        return ArtifactList(release, [_artifact(filename, *found) for filename, found in files.items()])

    def _content(self, name: str) -> bytes:
        data = self._site.read(name)
        if data is None:
            raise BenchError(
                "a file of the release is missing", where=str(self._site.path(name)),
                cure="publish the release again")
        return data


def _artifact(filename: str, name: str, data: bytes) -> Artifact:
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    sha1 = hashlib.sha1(data, usedforsecurity=False).hexdigest()
    return Artifact(filename, name, len(data), sha1, md5, hashlib.sha256(data).hexdigest())


def _plain(text: str) -> str:
    """A version may have any printable character; the name of a file has not."""
    return "".join(each if each.isascii() and (each.isalnum() or each in "._-+") else "_" for each in text)
