"""Whether a board's `files/` and the filesystem in its flash are as the last export left them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from slotbench.boards import Region
from slotbench.formats.littlefs import HEAD_BYTES, read_superblock
from slotbench.untrusted import load_json
from slotbench.vboard.flash.nor import NorFlash

__all__ = ["ExportRecord"]

_NAME: Final = ".exported.json"


class ExportRecord:
    """The record in the board's folder `folder`, whose filesystem lies in `place` of its flash."""

    def __init__(self, folder: Path, place: Region) -> None:
        self._path = folder / _NAME
        self._place = place

    def is_flash_newer(self, files: Mapping[str, bytes], flash: NorFlash) -> bool:
        """Whether only the filesystem was changed since the last export: `files` must not replace it then."""
        known = self._known()
        if known.get("files") != _digest_of(files) or known.get("filesystem") == self._digest(flash):
            return False
        return bool(self._place) and read_superblock(flash.peek(self._place.start, HEAD_BYTES)) is not None

    def is_whole(self, files: Mapping[str, bytes], flash: NorFlash) -> bool:
        """Whether neither was changed."""
        return self._known() == self._record(files, flash)

    def note(self, files: Mapping[str, bytes], flash: NorFlash) -> None:
        """These files were exported from the filesystem."""
        self._path.write_text(json.dumps(self._record(files, flash)) + "\n", encoding="utf-8")

    def _record(self, files: Mapping[str, bytes], flash: NorFlash) -> dict[str, str]:
        return {"files": _digest_of(files), "filesystem": self._digest(flash)}

    def _digest(self, flash: NorFlash) -> str:
        return hashlib.sha256(flash.peek(self._place.start, self._place.size)).hexdigest()

    def _known(self) -> dict[str, str]:
        try:
            known = load_json(self._path.read_bytes())
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}


def _digest_of(files: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for path, content in sorted(files.items()):
        digest.update(f"{path}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
