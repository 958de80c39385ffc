"""Where the real MicroPython VM lies, and how it is started."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from slotbench.errors import USAGE, BenchError
from slotbench.micropython_vm import vm_cache

__all__ = ["HEAP_BYTES", "VARIABLE", "Installation", "find_installation"]

HEAP_BYTES: Final = 42368
"""`-X heapsize` that leaves a main.py what it has on a chip. To 37952 bytes, what an ESP8266 has
(ports/esp8266/main.c), come 448 for what stands for the boot hook's timer here (calls.py), which on a chip
lies outside of the heap, and 2944 for the names that the bench needs and for the code of its block device,
which a chip has in flash (free at a main.py with twoslot on the emulated chip, with official 1.24.0: 30224,
with 1.26.0: 30208; here: 30208). What littlefs takes is the same on both: 256 bytes for an open file.
"""

VARIABLE: Final = "SLOTBENCH_MICROPYTHON"
_LIBRARIES: Final = "usr/lib/i386-linux-gnu"


@dataclass(frozen=True, slots=True)
class Installation:
    """The unpacked packages under `root`: the VM, its libraries and their own dynamic loader."""

    root: Path

    def command(self, *, heap: int, statement: str) -> list[str]:
        """The command line that runs one statement in a heap of so many bytes."""
        libraries = str(self.root / _LIBRARIES)
        return [
            str(self._loader), "--library-path", libraries, str(self.program), "-X", f"heapsize={heap}",
            "-c", statement]

    @property
    def complete(self) -> bool:
        """Whether what `command` names is there."""
        return self._loader.is_file() and self.program.is_file()

    @property
    def _loader(self) -> Path:
        return self.root / _LIBRARIES / "ld-linux.so.2"

    @property
    def program(self) -> Path:
        """The VM's file."""
        return self.root / "usr/bin/micropython"


def find_installation() -> Installation:
    """The VM named by SLOTBENCH_MICROPYTHON, or the one that `slotbench get-micropython` got.

    Raises BenchError (exit code 2) when there is none.
    """
    named = os.environ.get(VARIABLE)
    root = Path(named) if named else vm_cache() / "root"
    installation = Installation(root)
    if not installation.complete:
        raise BenchError(
            "there is no MicroPython VM here", where=str(root),
            cure=f"run `slotbench get-micropython`, or name the unpacked folder in {VARIABLE}",
            exit_code=USAGE)
    return installation
