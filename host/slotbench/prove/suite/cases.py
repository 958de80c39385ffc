"""The tests of MicroPython's source: what each prints, and why some print something else here."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

from slotbench.errors import USAGE, BenchError

__all__ = ["CHIP", "FOLDERS", "VM", "SuiteCase", "cases", "reason_for"]

CHIP, VM = "chip", "micropython"
FOLDERS: Final = ("basics", "micropython", "float", "extmod")
_TIMEOUT_S: Final = 30

_OLDER: Final = "the tests are those of 1.25, and MicroPython before that does otherwise"
_NEWER: Final = "the tests are those of 1.25, and MicroPython after that does otherwise"
_SINGLE: Final = "floats have 30 bits on the port"
_COMPLEX: Final = "the port has no complex numbers"
_HEAP: Final = "it needs more than an ESP8266's heap"
_NATIVE: Final = "the VM may not run machine code that it makes"
_UNITTEST: Final = "it needs the module unittest, which no firmware has"
_REASONS: Final[Mapping[str, Mapping[str, str]]] = {
    CHIP: {
        "basics/builtin_help": "the firmware has other modules than the test expects",
        "basics/bytes_compare3": "it prints a warning that the test's runner takes away",
        "basics/deque2": _OLDER, "basics/int1": _OLDER, "basics/lexer": _OLDER,
        "basics/string_endswith": _OLDER, "basics/string_startswith": _OLDER,
        "micropython/meminfo": "it prints addresses and sizes of the heap",
        "micropython/viper_args": "too large: MicroPython's runner skips it on this chip",
        "micropython/viper_binop_arith": "too large: MicroPython's runner skips it on this chip",
        "float/complex*": _COMPLEX, "float/int_big_float": _COMPLEX, "float/true_value": _COMPLEX,
        "float/types": _COMPLEX, "float/float2int*": _SINGLE, "float/float_divmod": _SINGLE,
        "float/float_format_ints_*": _SINGLE, "float/float_parse_doubleprec": _SINGLE,
        "float/string_format": _SINGLE, "float/bytes_construct": _SINGLE,
        "float/bytearray_construct": _SINGLE,
        "float/float_format_ints": _NEWER, "float/float_struct_e": _NEWER,
        "float/string_format_modulo3": _NEWER, "micropython/const_error": _NEWER,
        "extmod/framebuf_ellipse": _OLDER,
        "extmod/machine1": _UNITTEST, "extmod/ssl_noleak": _UNITTEST,
        "extmod/ssl_poll": "MicroPython's runner runs it on its coverage build only",
        "extmod/ssl_sslcontext*": "the port has another library for TLS than the unix port",
        "extmod/uctypes_addressof": _OLDER, "extmod/vfs_mountinfo": _OLDER, "extmod/vfs_*": _HEAP,
    },
    VM: {
        "basics/builtin_help": "the VM has other modules than the test expects",
        "basics/builtin_pow3*": "taken away: the port has no pow() of three arguments",
        "basics/bytes_compare3": "it prints a warning that the test's runner takes away",
        "micropython/import_mpy_native": "the bench says that this is another processor",
        "micropython/meminfo": "it prints addresses and sizes of the heap",
        "micropython/memstats": _HEAP, "micropython/native_*": _NATIVE, "micropython/viper_*": _NATIVE,
        "micropython/ringio_async": "its loop takes from a heap that it locked",
        "float/cmath_*": _COMPLEX, "float/complex*": _COMPLEX, "float/types": _COMPLEX,
        "extmod/asyncio_heaplock": "its loop takes from a heap that it locked",
        "extmod/asyncio_threadsafeflag": "the VM's select knows sockets only",
        "extmod/select_*": "the VM's select knows sockets only, and its UDP sockets do not listen",
        "extmod/socket_udp_nonblock": "the VM's UDP sockets do not listen",
        "extmod/machine_*": "not here; use --vm chip",
        "extmod/ssl_noleak": _UNITTEST, "extmod/tls_*": "Debian's library knows other ciphers",
        "extmod/vfs_basic": "the root is a folder of this computer", "extmod/vfs_posix*":
        "the root is a folder of this computer", "extmod/vfs_*": _HEAP,
    },
}
"""Where -> name of a test, or a pattern -> why it prints something else there. The first that fits counts."""


@dataclass(frozen=True, slots=True)
class SuiteCase:
    """A test: its `name` is folder/name."""

    name: str
    path: Path

    def expected(self) -> str:
        """What it must print: what is beside it, else what this Python prints."""
        beside = self.path.with_suffix(".py.exp")
        if beside.exists():
            return beside.read_text("utf-8", "replace")
        run = subprocess.run(
            [sys.executable, str(self.path)], cwd=self.path.parent, capture_output=True, timeout=_TIMEOUT_S,
            check=False, stdin=subprocess.DEVNULL)
        return run.stdout.decode("utf-8", "replace")


def cases(folder: Path) -> Iterator[SuiteCase]:
    """The tests in `folder`, which is `tests` of MicroPython's source. Raises BenchError (exit code 2)."""
    if not (folder / FOLDERS[0]).is_dir():
        raise BenchError(
            "no tests of MicroPython are here", where=str(folder), cure="tools/get-micropython --tests",
            exit_code=USAGE)
    for part in FOLDERS:
        for path in sorted((folder / part).glob("*.py")):
            yield SuiteCase(f"{part}/{path.stem}", path)


def reason_for(where: str, name: str) -> str | None:
    """Why a test prints something else there; None: it must not."""
    return next((reason for pattern, reason in _REASONS[where].items() if fnmatch(name, pattern)), None)
