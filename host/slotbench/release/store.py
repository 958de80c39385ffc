"""The site: a directory of static files for any web server (FORMATS). Names, checked reading, writing."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from slotbench.errors import USAGE, BenchError
from slotbench.formats.document import DOCUMENT_BYTES_MAX
from slotbench.formats.file_list import FILE_BYTES_MAX, LIST_BYTES_MAX
from slotbench.formats.release import LENGTH_MAX
from slotbench.locks import lock_folders
from slotbench.release.files import read_bytes, remove_all_leftovers, write_atomic
from slotbench.shell_words import quoted

_FOLDERS = ("heads", "keys", "releases", "images", "blocks", "applications", "lists", "files", "patches")
_NAME = "[a-z0-9_][a-z0-9_-]{0,31}"
_HEX64 = "([0-9a-f]{64})"
_MUTABLE = re.compile(rf"heads/{_NAME}/{_NAME}\.head|keys/{_NAME}(?:\.[1-9][0-9]{{0,9}})?\.keys")
_CONTENT = re.compile(
    rf"releases/{_HEX64}\.release|images/{_HEX64}\.bin|blocks/{_HEX64}\.blocks|"
    rf"applications/{_HEX64}\.application|lists/{_HEX64}\.list|files/{_HEX64}\.file")
_PATCH = re.compile(r"patches/[0-9a-f]{32}(?:(?:-[0-9a-f]{32})?\.patch|-[0-9a-f]{14}\.files)")
_DOCUMENTS = ("releases/", "applications/")
_BYTES_MAX = {"images": LENGTH_MAX, "patches": LENGTH_MAX, "lists": LIST_BYTES_MAX, "files": FILE_BYTES_MAX}


def head_name(product: str, channel: str) -> str:
    """The name of a channel's head."""
    return f"heads/{product}/{channel}.head"


def keys_name(product: str, epoch: int | None = None) -> str:
    """The name of a product's keys document: the newest one, or that of an epoch."""
    return f"keys/{product}.keys" if epoch is None else f"keys/{product}.{epoch}.keys"


def release_name(digest: str) -> str:
    """The name of the release with this digest (of line 1, in hex)."""
    return f"releases/{digest}.release"


def image_name(sha256: str) -> str:
    """The name of the image with this SHA-256 in hex."""
    return f"images/{sha256}.bin"


def blocks_name(sha256: str) -> str:
    """The name of the block table with this SHA-256 in hex."""
    return f"blocks/{sha256}.blocks"


def application_name(digest: str) -> str:
    """The name of the application with this digest (of line 1, in hex)."""
    return f"applications/{digest}.application"


def list_name(sha256: str) -> str:
    """The name of the file list with this SHA-256 in hex."""
    return f"lists/{sha256}.list"


def file_name(sha256: str) -> str:
    """The name of an application's file with this SHA-256 in hex."""
    return f"files/{sha256}.file"


def patch_name(sha256: str, old_sha256: str = "") -> str:
    """The name of the patch to the image with this SHA-256 in hex, from that one or from nothing."""
    return "patches/" + "-".join(digest[:32] for digest in (sha256, old_sha256) if digest) + ".patch"


def application_patch_name(list_sha256: str, base: str) -> str:
    """The name of the patch to the application with this file list (its SHA-256 in hex), from `base`."""
    return f"patches/{list_sha256[:32]}-{base}.files"


def is_name(name: str) -> bool:
    """Whether a file of the site may have this name. No other file is opened, so no name leaves the site."""
    return any(pattern.fullmatch(name) for pattern in (_CONTENT, _MUTABLE, _PATCH))


def digest_in(name: str) -> str | None:
    """The digest in a content-addressed name, in hex; None for heads and keys, which change."""
    match = _CONTENT.fullmatch(name)
    return next(filter(None, match.groups())) if match else None


class Store:
    """The files of a site below `root`. Every file is replaced whole. Writers hold `locked`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def repair_cure(self) -> str:
        """What to do about documents that are damaged, missing or of a wrong time."""
        return f"run `slotbench release publish --repair {quoted(self.root)}` with the same --key and --keys"

    def path(self, name: str) -> Path:
        """The path of the file with this name. Raises ValueError for a name that is not in FORMATS."""
        if not is_name(name):
            raise ValueError(f"{name!r} is not a name of FORMATS, files on the server")
        return self.root / name

    def read(self, name: str) -> bytes | None:
        """The bytes of a file; None if it does not exist.

        Raises BenchError if it cannot be read or does not match the digest in its name.
        """
        path = self.path(name)
        if not path.is_file():
            return None
        data = read_bytes(path, _BYTES_MAX.get(name.partition("/")[0], DOCUMENT_BYTES_MAX))
        promised = digest_in(name)
        if promised and _content_digest(name, data) != promised:
            raise BenchError(
                "content does not match its name", where=str(path), cure="publish the release again")
        return data

    def write(self, name: str, data: bytes) -> bool:
        """Write `data` to a file; return False if it held `data` already. Repairs a damaged file.

        Raises BenchError, and ValueError if `data` does not match the digest in the name.
        """
        path = self.path(name)
        promised = digest_in(name)
        if promised and _content_digest(name, data) != promised:
            raise ValueError(f"data does not match {name}")
        if path.is_file() and path.read_bytes() == data:
            return False
        write_atomic(path, data)
        return True

    def channels(self, product: str) -> list[str]:
        """The channels of a product that have a head."""
        return sorted(path.stem for path in (self.root / "heads" / product).glob("*.head"))

    @contextmanager
    def locked(self, *others: Path) -> Iterator[None]:
        """Keep other writers out of the site and of these other folders, because two heads must never share
        a seq. What killed writers left in the site is removed.

        Makes the directory if it is missing. Raises BenchError (usage) if that fails.
        """
        with ExitStack() as stack:
            try:
                self.root.mkdir(parents=True, exist_ok=True)
                stack.enter_context(lock_folders(self.root, *others))
                for folder in _FOLDERS:
                    remove_all_leftovers(self.root / folder)
            except OSError as error:
                raise BenchError(
                    f"folder cannot be written ({error.strerror})", where=str(self.root),
                    cure="choose another folder", exit_code=USAGE,
                ) from None
            yield


def _content_digest(name: str, data: bytes) -> str:
    content = data.partition(b"\n")[0] if name.startswith(_DOCUMENTS) else data
    return hashlib.sha256(content).hexdigest()
