"""What must hold of a board that takes any bytes for a patch of an application."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from slotbench.formats import FormatError
from slotbench.formats.application_patch import apply_application_patch
from slotbench.formats.file_list import parse_list
from slotbench.vboard.vm import CPythonVM
from support.device.board import VECTORS, DeviceBoard
from support.fuzz.patch_checks import PatchBody

__all__ = ["NEW_LIST", "OLD", "PatchedFolder", "any_application_patch"]

FOLDER = VECTORS / "application_patches"
NEW_LIST = (FOLDER / "new.list").read_bytes()
OLD = {path.relative_to(FOLDER / "old").as_posix(): path.read_bytes()
       for path in sorted((FOLDER / "old").rglob("*")) if path.is_file()}
PATCH, FILES = "twoslot.application.patch", "twoslot.application.unpacking"
PATCH_UNUSABLE = 50
_STEPS = 400
"""More than the files of the list take."""


class PatchedFolder:
    """A board that runs OLD from /app_a, with the new list in /app_b, and has asked for a patch."""

    def __init__(self, device: DeviceBoard, vm: CPythonVM, patch: bytes, old: Mapping[str, bytes] = OLD) -> None:
        for path in [path for path in device.files if path.startswith("/app_")]:
            del device.files[path]
        device.files.update({f"/app_a/{path}": data for path, data in old.items()})
        device.files["/app_b/twoslot.list"] = NEW_LIST
        self.device, self.entries = device, {entry.path: entry for entry in parse_list(NEW_LIST)}
        self.stage: Any = vm.import_(PATCH)
        twoslot: Any = vm.import_("twoslot")
        self.log: list[tuple[int, int, int]] = twoslot._log
        self.log.clear()
        progress: Any = [None] * 15
        vm.import_("twoslot.application.progress").restart(progress, 0)
        names: Any = vm.import_("twoslot.constants")
        progress[names.P_FOLDER], progress[names.P_RUNNING] = "/app_b", "/app_a" if old else None
        progress[names.P_PHASE] = 1
        self.agent = SimpleNamespace(
            progress=progress, plan={"files": len(self.entries), "length": 1 << 20}, response=PatchBody(patch),
            request=None, source=SimpleNamespace(close=lambda agent: None), stage=PATCH, written=0, tries=0, views=None)
        self.agent.request = self.stage.run(self.agent, progress)

    def make(self) -> list[int]:
        """Take the patch to its end, within so many steps; return the codes of what the board says."""
        for _ in range(_STEPS):
            self.stage.step(self.agent)
            if self.agent.stage != PATCH:
                assert self.agent.stage == FILES
                return [code for _, code, _ in self.log]
        raise AssertionError("an endless patch")

    def right(self) -> dict[str, bytes]:
        """The new files that have the length and the digest of the list: what unpacking keeps."""
        found = {}
        for path, entry in self.entries.items():
            data = self.device.files.get(f"/app_b/{path}")
            if data is not None and hashlib.sha256(data).hexdigest() == entry.sha256:
                found[path] = data
        return found


def any_application_patch(device: DeviceBoard, vm: CPythonVM, patch: bytes) -> None:
    """The board makes what the bench's codec makes, refuses what it refuses, and writes nowhere but to the files
    of the list, none longer than the list says.
    """
    made = PatchedFolder(device, vm, patch)
    others = {path: data for path, data in device.files.items() if not path.startswith("/app_b/")}
    codes = made.make()
    try:
        files = apply_application_patch(OLD, NEW_LIST, patch)
    except FormatError:
        files = None
    digests = {path: hashlib.sha256(data).hexdigest() for path, data in (files or {}).items()}
    is_right = files is not None and all(made.entries[path].sha256 == digest for path, digest in digests.items())
    assert codes == ([] if is_right else [PATCH_UNUSABLE])
    if is_right:
        assert made.right() == files
    assert others == {path: data for path, data in device.files.items() if not path.startswith("/app_b/")}
    for path, data in device.files.items():
        name = path.removeprefix("/app_b/")
        if name != path and name != "twoslot.list":
            assert len(data) <= made.entries[name].length
