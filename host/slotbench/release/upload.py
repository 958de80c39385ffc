"""Copying a site to where a static host or an object store has it: heads last, with headers for caches.

Boards never see a head whose release is not there yet. Files that are named by their digest are written once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from slotbench.errors import USAGE, BenchError
from slotbench.formats import FormatError
from slotbench.formats.document import split_document
from slotbench.formats.head import Head
from slotbench.release.files import write_atomic
from slotbench.release.store import Store, digest_in, is_name

__all__ = ["Upload", "upload_site"]

IMMUTABLE: Final = "public, max-age=31536000, immutable"
REVALIDATE: Final = "no-cache"
_EXTRA: Final = "pip install 'twoslot[upload]'"
_S3: Final = frozenset({"s3", "s3a"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """The names of the files that were written, in their order, and how many were there already."""

    written: tuple[str, ...]
    kept: int


def upload_site(
    site: Store, url: str, *, is_forced: bool = False, report: Callable[[str], object] = lambda name: None,
) -> Upload:
    """Copy the files of a site to `url`, as fsspec understands it: s3://BUCKET/PREFIX, file:///FOLDER, ...

    Nothing is deleted there. `report` is told of each file before it is written. Raises BenchError if it
    cannot be written, if a file of the site is damaged, or if a head there is newer than the one here;
    `is_forced` replaces that one.
    """
    target = UploadTarget(url)
    with site.locked(), target.telling():
        names = sorted(_names(site), key=lambda name: (_rank(name), name))
        contents = {name: site.read(name) or b"" for name in names if not digest_in(name)}
        for name, data in contents.items():
            if name.startswith("heads/") and not is_forced:
                _require_newest(name, data, target.read(name), url)
        written, kept = [], 0
        for name in names:
            data = contents.get(name) or site.read(name) or b""
            if target.holds(name, data):
                kept += 1
                continue
            report(name)
            target.write(name, data)
            written.append(name)
    return Upload(written=tuple(written), kept=kept)


class UploadTarget:
    """The place of the copy."""

    def __init__(self, url: str) -> None:
        if find_spec("fsspec") is None:
            raise BenchError("copying a site needs one more package", cure=_EXTRA, exit_code=USAGE)
        import fsspec

        self._url = url
        self._scheme = urlsplit(url).scheme
        if not self._scheme:
            raise BenchError(
                f"{url!r} is no URL", cure="give s3://BUCKET/PREFIX, file:///FOLDER, or another of fsspec's",
                exit_code=USAGE)
        try:
            self._files, self._root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise BenchError(
                f"nothing here writes to {self._scheme}:// ({str(error).splitlines()[0]})", where=url,
                cure="for s3:// it is pip install s3fs", exit_code=USAGE) from None

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Make a BenchError of whatever goes wrong there."""
        try:
            yield
        except BenchError:
            raise
        except Exception as error:  # each file system has its own
            lines = str(error).splitlines() or [""]
            raise BenchError(
                f"the copy is not complete ({type(error).__name__}: {lines[0]})", where=self._url,
                cure="check the place and your rights there, then run the same command again",
                exit_code=USAGE) from None

    def read(self, name: str) -> bytes | None:
        """The file there; None if there is none."""
        path = self._path(name)
        self._files.invalidate_cache()
        return bytes(self._files.cat_file(path)) if self._files.exists(path) else None

    def holds(self, name: str, data: bytes) -> bool:
        """Whether the file is there already."""
        if digest_in(name) is None:
            return self.read(name) == data
        path = self._path(name)
        return bool(self._files.exists(path) and self._files.size(path) == len(data))

    def write(self, name: str, data: bytes) -> None:
        """Write the file, whole or not at all."""
        path = self._path(name)
        if self._scheme == "file":
            write_atomic(Path(path), data)
            return
        headers: dict[str, Any] = {}
        if self._scheme in _S3:
            kind = "text/plain" if digest_in(name) is None else "application/octet-stream"
            headers = {"CacheControl": IMMUTABLE if digest_in(name) else REVALIDATE, "ContentType": kind}
        self._files.pipe_file(path, data, **headers)

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"


def _names(site: Store) -> Iterator[str]:
    for path in site.root.rglob("*"):
        name = path.relative_to(site.root).as_posix()
        if is_name(name) and path.is_file() and not path.is_symlink():
            yield name


def _rank(name: str) -> int:
    """Files that heads and releases refer to come first, then releases and applications, keys, heads."""
    order = (("heads/",), ("keys/",), ("releases/", "applications/"))
    return next((len(order) - place for place, folders in enumerate(order) if name.startswith(folders)), 0)


def _require_newest(name: str, here: bytes, there: bytes | None, url: str) -> None:
    """Raise BenchError if the head there is newer: boards that saw it refuse this one."""
    try:
        if there is None:
            return
        old, new = (Head.from_payload(split_document(data).payload) for data in (there, here))
    except FormatError:
        return  # what is damaged there is replaced
    if (old.epoch, old.seq) > (new.epoch, new.seq):
        raise BenchError(
            f"the head {name} there is newer (seq {old.seq}) than the one here (seq {new.seq})", where=url,
            cure="publish it anew here first: slotbench release publish --repair; or replace it with --force")
