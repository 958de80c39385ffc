"""The device package of a board that has stock firmware: no loader, no slots, no boot journal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from slotbench.errors import BenchError

__all__ = ["LEFT_OUT", "OVERLAY", "without_loader"]

OVERLAY: Final = "twoslot_stock"
"""The folder in device/ whose modules stand in for those of the same path in the package."""

LEFT_OUT: Final = (
    "image/", "patch/", "boot/spare.py", "filesystem.py")
"""Modules, and folders of modules, that only a board with slots has a use for."""

_JOURNAL, _RECORD = "boot/journal.py", "application/record.py"
"""The record is the journal of such a board. It is there twice: the stack has no room for one more import."""

_STAYS: Final = ("image/request.py", "patch/stream.py")
"""Inside a folder that is left out, and needed: the files of an application are asked for so too, and come as
patches.
"""


def without_loader(modules: Mapping[str, bytes], overlay: Mapping[str, bytes]) -> dict[str, bytes]:
    """The sources of a package (path in it -> source) without what needs slots, and with the modules of
    `overlay` in the place of those of the same path.

    Raises BenchError: one of the modules that are left out does not exist any more.
    """
    for left_out in LEFT_OUT:
        if not any(path.startswith(left_out) for path in modules):
            raise BenchError("no such module in the device package", where=left_out)
    kept = {
        path: source for path, source in modules.items()
        if path in _STAYS or not path.startswith(LEFT_OUT)}
    return {**kept, **overlay, _JOURNAL: modules[_RECORD]}
