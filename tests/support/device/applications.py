"""Boards with applications: folders and records put as `slotbench deploy` or an update leaves them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from slotbench.formats.application_record import (
    FILES, FOLDERS, ApplicationRecord, Folder, FolderState, newest_record,
)
from support.device.board import DeviceBoard

A, B, OUTSIDE = 0, 1, 2


def put_record(board: DeviceBoard, record: ApplicationRecord) -> None:
    """Write a record into its file; the other one goes away."""
    for name in FILES:
        board.files.pop(f"/{name}", None)
    board.files[f"/{FILES[record.sequence % 2]}"] = record.pack()


def get_record(board: DeviceBoard) -> ApplicationRecord:
    """The newest record of a board, by the bench's codec."""
    found = newest_record(board.files.get(f"/{name}", b"") for name in FILES)
    assert found is not None, "the board has no application record"
    return found


def put_application(board: DeviceBoard, folder: int, text: str = "", **files: bytes) -> None:
    """Put a main.py that prints, or `text`, and more files into a folder."""
    name = FOLDERS[folder]
    board.files[f"/{name}/main.py"] = (text or f"print('{name} runs')\n").encode()
    for path, data in files.items():
        board.files[f"/{name}/{path.replace('__', '.')}"] = data


def confirmed(counter: int = 1, **fields: Any) -> Folder:
    return Folder(state=FolderState.CONFIRMED, counter=counter, **fields)


def ready(counter: int = 2, **fields: Any) -> Folder:
    return Folder(state=FolderState.READY, counter=counter, **fields)


def trial_record(**fields: Any) -> ApplicationRecord:
    """B is on trial with three attempts, A is what it came from."""
    values: dict[str, Any] = {
        "sequence": 4, "active": B, "folders": (confirmed(), ready()), "attempts": 3, **fields}
    return ApplicationRecord(**values)


def with_folder(record: ApplicationRecord, folder: int, **fields: Any) -> ApplicationRecord:
    """The record with some fields of one folder changed."""
    folders = list(record.folders)
    folders[folder] = replace(folders[folder], **fields)
    return replace(record, folders=(folders[0], folders[1]))
