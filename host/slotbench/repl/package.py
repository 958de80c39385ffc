"""twoslot as files for a board, and as a tree that a firmware freezes."""

from __future__ import annotations

import re
from typing import Final

from slotbench import __version__, data_path
from slotbench.images.frozen import version_module
from slotbench.mpy import PACKAGE, built, compile_package, sources
from slotbench.mpy.native import native_modules

__all__ = ["HOOK", "frozen_files", "hook_file", "hook_version", "mixed_versions", "package_files"]

HOOK: Final = "twoslot_boot.py"
"""The boot hook: a file of every board, whether twoslot is frozen or not."""

_HOOK_VERSION: Final = re.compile(rb"# Boot hook (\d+\.\d+\.\d+)\b")
_MANIFEST: Final = f"""\
# Include this file in the manifest of your firmware. It freezes twoslot, and no boot hook: that has to be
# a file on the board (slotbench deploy), which is there under any firmware.
package("{PACKAGE}")
""".encode()


def package_files() -> dict[str, bytes]:
    """The package as .mpy files in its folders, by path. Raises BenchError if there is no mpy-cross."""
    compiled = compile_package(sources())
    return {f"{PACKAGE}/{name.removesuffix('.py')}.mpy": data for name, data in compiled.items()}


def hook_file() -> dict[str, bytes]:
    """The boot hook, by its path."""
    return {HOOK: data_path("device", HOOK).read_bytes()}


def frozen_files() -> dict[str, bytes]:
    """What a firmware freezes, by path: the package as it is built, and a manifest for MicroPython.

    The boot hook is not among them. An empty module whose name has the version shows in an image which
    twoslot is inside.
    """
    modules = built(sources())
    modules |= native_modules(modules)
    files = {f"{PACKAGE}/{name}": source for name, source in modules.items()}
    return {**files, version_module(__version__): b"", "manifest.py": _MANIFEST}


def hook_version(content: bytes) -> str | None:
    """The version that a boot hook says in its first line; None if it says none."""
    match = _HOOK_VERSION.match(content)
    return match.group(1).decode() if match else None


def mixed_versions(twoslot: str | None, hook: str | None) -> str | None:
    """What people are told of a boot hook and a twoslot of different versions, with the cure; None if they
    are of one version, or nobody knows. `twoslot` is as `status()` says it: "0.1.0 frozen".
    """
    version, _, where = (twoslot or "").partition(" ")
    if hook is None or version in ("", hook):
        return None
    words = f"its version is {hook}, that of twoslot {version}"
    if where != "frozen":
        return f"{words}: run `slotbench deploy`, which brings both"
    newest = max(hook, version, key=lambda text: [int(part) for part in text.split(".") if part.isdigit()])
    if newest == version:
        return f"{words}: run `slotbench deploy` of version {version}, which brings the hook"
    return f"{words}: freeze twoslot {hook} into the next release"
