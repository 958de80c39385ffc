"""slotbench: builds, signs and serves releases, and runs the board's own code on a virtual board.

Import direction, checked by `tools/check imports`: cli, api, server -> flashing, vboard, release ->
formats -> standard library. Here: the version, the way to the files that travel with the package, and the
names of `slotbench.api`, which are imported when one is used.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from slotbench.errors import USAGE, BenchError

if TYPE_CHECKING:
    from slotbench.api import (
        Head,
        IdentifiedImage,
        OpenProject,
        Preflight,
        Release,
        Shipment,
        Stage,
        identify,
        open_project,
    )

__all__ = [
    "ApplicationShipment", "BenchError", "Head", "IdentifiedImage", "OpenProject", "Preflight", "Release",
    "Shipment", "Stage", "__version__", "data_path", "identify", "open_project",
]
__version__ = "0.1.0"

_DATA = Path(__file__).parent / "data"


def data_path(folder: str, *parts: str) -> Path:
    """Return where a file or folder that travels with the package lies.

    `folder` is "device" (holds twoslot/ and twoslot_boot.py) or "boards" (the *.toml); `parts` lead
    on from there and need not exist. In a checkout this is the checkout's own folder, in an
    installed package a copy of it. Raises BenchError when the folder itself is missing.
    """
    base = (_DATA / folder).resolve()
    if not base.is_dir():
        # A checkout without symbolic links (git's core.symlinks off) has small files in their place.
        raise BenchError(
            "the package came without its data", where=str(base),
            cure="install it again; a git checkout needs core.symlinks = true", exit_code=USAGE,
        )
    return base.joinpath(*parts)


def __getattr__(name: str) -> Any:
    """A name of `slotbench.api`. Importing that takes as long as a verb does."""
    if name not in __all__:
        raise AttributeError(f"module 'slotbench' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module("slotbench.api"), name)
