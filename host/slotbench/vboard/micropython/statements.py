"""Statements that the bench runs in its own module inside the VM, to make it the port's and to reach it."""

from __future__ import annotations

from typing import Final

from slotbench.vboard.frozen import FOLDER
from slotbench.vboard.micropython.calls import far

__all__ = [
    "ACTIVITY", "BENCH_FOLDER", "GONE", "MOUNT_AGAIN", "NAMES", "REACH_FOLDER", "SECOND_TERMINAL",
    "SHARE_FLASH", "TERMINAL", "modules",
]

BENCH_FOLDER: Final = "/.bench"
"""Where the VM finds a folder of this computer, with frozen modules and what was typed."""

GONE: Final = {
    "binascii": "crc32",
    "builtins": "compile complex execfile NotImplemented",
    "ffi": "open func callback as_bytearray",
    "hashlib": "md5",
    "math": "erf erfc expm1 factorial gamma inf isclose lgamma nan tau",
    "os": "VfsFat VfsLfs1 VfsPosix errno getenv putenv system unsetenv",
    "str": "center partition rpartition splitlines",
    "sys": "atexit exc_info executable",
}
"""What the ESP8266 port switches off, or what only the unix port has."""

TERMINAL: Final = f"""\
class Stdin(Socket):
    __init__ = Far.__init__
i = Stdin({far('sys.stdin')})
i.buffer = Stdin({far('sys.stdin.buffer')})
kept.append(i)
del i, Stdin
"""
"""The UART as sys.stdin."""

SECOND_TERMINAL: Final = """\
second = None
def dupterm(stream, index=0):
    global second
    before, second = second, stream
    return before
"""
"""The port's os.dupterm(), whose terminal hears what the host says that the port prints."""

REACH_FOLDER: Final = """\
import os, vfs
vfs.mount(vfs.VfsPosix({bench!r}), {folder!r})
def ilistdir(p="", old=os.ilistdir):
    for e in old(p):
        if e[0] != {name!r}:
            yield e
def listdir(p="", old=ilistdir):
    return [e[0] for e in old(p)]
kept.append(listdir)
kept.append(ilistdir)
del os, vfs, listdir, ilistdir
"""
"""Mounts the folder of this computer, which no program sees in a list."""

SHARE_FLASH: Final = """\
m = __import__('ffi').open(None)
os = m.func('P', b'mmap'.decode(), b'PPiiii'.decode())
if os({code_at}, 4096, 5, 0x100001, {descriptor}, 0) != {code_at}:
    raise OSError
if os({blocks_at}, {size}, 1, 0x100001, {descriptor}, {code_size}) != {blocks_at}:
    raise OSError
m.func('i', b'close'.decode(), 'i')({descriptor})
disk.copy = m.func('v', b'memcpy'.decode(), b'PPi'.decode())
disk.start = {blocks_at}
disk.count = {blocks}
del m, os
"""
"""Lets the VM read its filesystem where the bench keeps it, and look at the board's clock there."""

MOUNT_AGAIN: Final = """\
import vfs
vfs.umount('/')
vfs.mount(vfs.VfsLfs2(disk), '/')
del vfs
"""

NAMES: Final = "(lambda it: it._n if isinstance(it, Far) else dir(it))(eval({path!r}, main))"
"""The names of a thing, or the number of what is on the host."""

ACTIVITY: Final = """\
def activity():
    p = sys.modules.get("twoslot")
    a = getattr(p, "_agent", None)
    return (a.state,) + a.blocks_in_place if a else None
"""


def modules(frozen: bool, has_filesystem: bool) -> str:
    """What the bench's module runs before any file of the board: the port's modules, its files as `/`."""
    more = (f"{BENCH_FOLDER}/{FOLDER}",) if frozen else ()
    path = ("", FOLDER, *more, "/lib")
    lines = [f"m = sys.modules[{name!r}] = Far({far(name)})" for name in ("network", "random", "select")]
    lines += [
        f"m = sys.modules['machine'] = Far({far('machine')})",
        "m.mem32, m.Timer = Words(), Timer",
        f"m = sys.modules['esp'] = Far({far('esp')})",
        "m.flash_read, m.flash_write, m.flash_erase = flash_read, flash_write, flash_erase",
        f"m = sys.modules['socket'] = Far({far('socket')})",
        "m.socket = Socket",
        "import time, vfs, os",
        f"m = sys.modules['time'] = Far({far('time')})",
        "m.ticks_ms, m.sleep_ms = ticks_ms, sleep_ms",
        "m.ticks_diff, m.ticks_add = time.ticks_diff, time.ticks_add",
        "kept.append(execfile)",
        "kept.append(compile)",
        "vfs.umount('/')",
        "vfs.mount(vfs.VfsLfs2(disk), '/')" if has_filesystem else "",
        f"sys.path[:] = {path!r}",
        "del sys.modules['bench']",
        "del m, time, vfs, os",
    ]
    return "\n".join(lines)
