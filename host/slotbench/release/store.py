"""The directory any static web server can serve (FORMATS 7): names, checked reading, writing."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from slotbench.errors import USAGE, BenchError
from slotbench.formats.document import DOCUMENT_BYTES_MAX
from slotbench.formats.release import LENGTH_MAX
from slotbench.release.files import read_bytes, write_atomic

_NAME = "[a-z0-9_-]{1,32}"
_HEX64 = "([0-9a-f]{64})"
_MUTABLE = re.compile(rf"heads/{_NAME}/{_NAME}\.head|keys/{_NAME}(?:\.[1-9][0-9]{{0,9}})?\.keys")
_CONTENT = re.compile(rf"releases/{_HEX64}\.release|images/{_HEX64}\.bin|blocks/{_HEX64}\.blocks")


def head_name(product: str, channel: str) -> str:
    """Where a channel's head is."""
    return f"heads/{product}/{channel}.head"


def keys_name(product: str, epoch: int | None = None) -> str:
    """Where a product's keys document is: the newest, or that of an epoch."""
    return f"keys/{product}.keys" if epoch is None else f"keys/{product}.{epoch}.keys"


def release_name(digest: str) -> str:
    """Where the release with this digest (hex, of line 1) is."""
    return f"releases/{digest}.release"


def image_name(sha256: str) -> str:
    """Where the image with this SHA-256 (hex) is."""
    return f"images/{sha256}.bin"


def blocks_name(sha256: str) -> str:
    """Where the block table with this SHA-256 (hex) is."""
    return f"blocks/{sha256}.blocks"


def is_name(name: str) -> bool:
    """Whether a file of the directory may have this name. No other is opened: none leads out."""
    return bool(_CONTENT.fullmatch(name) or _MUTABLE.fullmatch(name))


def digest_in(name: str) -> str | None:
    """The hex digest that a content-addressed name promises; None for heads and keys, which change.
    """
    match = _CONTENT.fullmatch(name)
    return next(filter(None, match.groups())) if match else None


class Store:
    """A release directory. Every file is replaced whole; writers hold `locked`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, name: str) -> Path:
        """The file that has a name of FORMATS 7; ValueError for any other name."""
        if not is_name(name):
            raise ValueError(f"{name!r} is not a name of FORMATS 7")
        return self.root / name

    def read(self, name: str) -> bytes | None:
        """The bytes of a file, None when there is none of that name.

        Raises BenchError when it cannot be read or is not what its name promises.
        """
        path = self.path(name)
        if not path.is_file():
            return None
        data = read_bytes(path, LENGTH_MAX if name.startswith("images/") else DOCUMENT_BYTES_MAX)
        promised = digest_in(name)
        if promised and _content_digest(name, data) != promised:
            raise BenchError(
                "content does not match its name", where=str(path), do="publish the release again")
        return data

    def write(self, name: str, data: bytes) -> bool:
        """Make a file hold `data`; False when it did already.

        A damaged content-addressed file is mended.
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
    def locked(self) -> Iterator[None]:
        """Keep other writers of this directory out: two heads must never share a seq.

        Makes the directory.

        Raises BenchError (usage) when the directory cannot be made.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise BenchError(
                f"not a folder that can be written ({error.strerror})", where=str(self.root),
                do="choose another folder", exit_code=USAGE,
            ) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _content_digest(name: str, data: bytes) -> str:
    content = data.partition(b"\n")[0] if name.startswith("releases/") else data
    return hashlib.sha256(content).hexdigest()
