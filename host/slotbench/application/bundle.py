"""A program's bundle: what a board gets of its folder, the list of these files, and the room they need."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from slotbench.application.compiling import compile_files
from slotbench.application.gather import gather
from slotbench.application.room import bundle_blocks
from slotbench.application.secrets import SecretPlace, find_secrets
from slotbench.formats.file_list import TWOSLOT_PACK, FileEntry, pack_list
from slotbench.mpy import ABI

__all__ = ["Bundle", "build_bundle"]


@dataclass(frozen=True, slots=True)
class Bundle:
    """The files of an application: path on the board -> content. The rest is what was seen on the way.

    One of them may be twoslot itself (TWOSLOT_PACK), for boards without the loader.
    `mpy_abi` is the version of its .mpy files, 0 when it has none; `left_out` the paths that stayed at home,
    `secrets` what looks like a password in `folder`.
    """

    files: Mapping[str, bytes]
    mpy_abi: int
    folder: Path | None = None
    left_out: tuple[str, ...] = ()
    secrets: tuple[SecretPlace, ...] = ()
    file_list: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        entries = [
            FileEntry(path, len(data), hashlib.sha256(data).hexdigest()) for path, data in self.files.items()]
        object.__setattr__(self, "file_list", pack_list(entries))

    @property
    def list_sha256(self) -> str:
        """The SHA-256 of the file list in hex."""
        return hashlib.sha256(self.file_list).hexdigest()

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(map(len, self.files.values()))

    @property
    def blocks(self) -> int:
        """The blocks of a board's filesystem that its folder takes, at most."""
        return bundle_blocks({path: len(data) for path, data in self.program.items()})

    @property
    def program(self) -> Mapping[str, bytes]:
        """The files without twoslot itself: what comes into the folder."""
        return {path: data for path, data in self.files.items() if path != TWOSLOT_PACK}


def build_bundle(
    folder: Path, *, mpy_abi: int = ABI, micropython: str | None = None, as_source: bool = False,
    twoslot: bytes | None = None,
) -> Bundle:
    """The bundle of a program's folder, the same bytes at each run.

    `mpy_abi` and `micropython` are of the firmware that it shall run under. `as_source` compiles nothing.
    `twoslot` is twoslot as one file (slotbench.mpy.pack), which boards without the loader shall get with it.
    Raises BenchError as `gather` and `compile_files` do, FormatError: a board would refuse its list.
    """
    sources = gather(folder)
    files = compile_files(sources, mpy_abi=mpy_abi, micropython=micropython, as_source=as_source)
    if twoslot is not None:
        files = {**files, TWOSLOT_PACK: twoslot}
    has_mpy = twoslot is not None or any(path.endswith(".mpy") for path in files)
    return Bundle(
        files, mpy_abi if has_mpy else 0, folder, sources.left_out, tuple(find_secrets(sources.files)))
