"""The first application of a board, which `slotbench deploy` puts there beside twoslot."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from slotbench.formats.application_record import FILES, FOLDERS, ApplicationRecord, Folder, FolderState

__all__ = ["FIRST_COUNTER", "FIRST_VERSION", "first_application", "no_application"]

FIRST_COUNTER = 1
"""The application counter of what a cable brought: the first one that is shipped has 2."""
FIRST_VERSION = "deployed"
_SEQUENCE = 2


def first_application(files: Mapping[str, bytes], file_list: bytes, mpy_abi: int) -> dict[str, bytes]:
    """The files of a board, by path, that runs this program from /app_a as its confirmed application.

    `mpy_abi` is that of its modules, 0 without any.
    """
    facts = Folder(
        state=FolderState.CONFIRMED, counter=FIRST_COUNTER, mpy_abi=mpy_abi,
        list_digest=hashlib.sha256(file_list).digest()[:7])
    inside = {**files, "twoslot.list": file_list, "twoslot.version": FIRST_VERSION.encode()}
    return {
        **{f"{FOLDERS[0]}/{path}": content for path, content in inside.items()},
        **_record(ApplicationRecord(sequence=_SEQUENCE, active=0, folders=(facts, Folder())))}


def no_application() -> dict[str, bytes]:
    """The record of a board that waits for its first application; /main.py runs until then."""
    return _record(ApplicationRecord(sequence=_SEQUENCE))


def _record(record: ApplicationRecord) -> dict[str, bytes]:
    return {FILES[record.sequence % 2]: record.pack()}
