"""Whether a folder is a site: asked before it is served or copied."""

from __future__ import annotations

import os
from pathlib import Path

from slotbench.errors import USAGE, BenchError

__all__ = ["require_published"]


def require_published(root: Path) -> None:
    """Raise BenchError (usage) unless `root` is a site with at least one head."""
    cure = "publish a release into it with `slotbench release publish`"
    if not root.is_dir():
        raise BenchError("no such folder", where=str(root), cure=cure, exit_code=USAGE)
    for folder in (root, root / "heads"):
        if not os.access(folder, os.R_OK | os.X_OK) and folder.is_dir():
            raise BenchError(
                "folder cannot be read", where=str(folder), cure="check its rights", exit_code=USAGE)
    if not any(root.glob("heads/*/*.head")):
        raise BenchError("nothing is published here", where=str(root), cure=cure, exit_code=USAGE)
