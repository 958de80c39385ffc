"""The walls around the real MicroPython VM: what a board's program can reach of this machine.

Debian's VM has `ffi`, reads any file, and lets a program write its own memory, so nothing in the language
holds one. Linux holds the process instead, and the VM itself asks for it before a line of the board's program
runs: its root becomes the board's folder (chroot, in a user namespace of its own where it is not root's;
Landlock where there are none), and seccomp leaves it the calls that files of that folder, the link to the
bench and its own memory need. It can start no program, open no socket, and signal no process. Nothing has to
be installed for it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Final

from slotbench.errors import USAGE, BenchError

__all__ = ["Confinement", "confine", "writable_ranges"]


class Confinement(IntEnum):
    """What holds a VM process."""

    NONE = 0
    """Nothing: this kernel has neither of the others for this user."""
    CHROOT = 1
    """Its root is the board's folder."""
    LANDLOCK = 2
    """It opens files of the board's folder only; it may learn whether another one exists."""


_I386: Final = 0x40000003
"""AUDIT_ARCH_I386: a call of the 64-bit kind ends the process."""
_ALLOWED: Final = (
    0, 1, 3, 4, 5, 6, 10, 12, 13, 19, 20, 33, 38, 39, 40, 45, 54, 78, 91, 93, 118, 119, 140, 142, 145, 146,
    162, 163, 168, 173, 174, 175, 183, 195, 196, 197, 219, 220, 221, 240, 252, 265, 267, 268, 269, 295, 296,
    300, 301, 302, 307, 309, 353, 355, 383, 403, 407, 413, 414, 422)
"""i386: files and folders by path or descriptor, time, its own memory, its own signals, its end.

Not among them: links (a link of the board's would be followed out), mknod, execve, fork and clone, kill,
ptrace, sockets, mount, chroot, prctl, process_vm_readv.
"""
_MPROTECT: Final = 125
_MMAP2: Final = 192
_PROT_EXEC: Final = 4
_EPERM: Final = 1
_LOAD, _JUMP_EQUAL, _JUMP_SET, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NUMBER_AT, _ARCH_AT, _ARGUMENT_2_AT = 0, 4, 32
_HEAD: Final = (
    (_LOAD, 0, 0, _ARCH_AT), (_JUMP_EQUAL, 1, 0, _I386), (_RETURN, 0, 0, _KILL),
    (_LOAD, 0, 0, _NUMBER_AT), (_JUMP_EQUAL, 1, 0, _MPROTECT), (_JUMP_EQUAL, 0, 4, _MMAP2),
    # Memory for data only.
    (_LOAD, 0, 0, _ARGUMENT_2_AT), (_JUMP_SET, 1, 0, _PROT_EXEC), (_RETURN, 0, 0, _ALLOW),
    (_RETURN, 0, 0, _ERRNO | _EPERM))
"""Before the allowed numbers, each of which jumps to the last instruction."""
_TAIL: Final = ((_RETURN, 0, 0, _ERRNO | _EPERM), (_RETURN, 0, 0, _ALLOW))
_LANDLOCK_FILES: Final = 0x1FFF
"""All rights of the first version: reading, writing, making and removing anything."""

_WALLS: Final = """\
m = __import__('ffi').open(None).func('i', b'syscall'.decode(), b'iPPPPP'.decode())
for os in {pages}:
    m(125, os[0], os[1], 3, 0, 0)
m(172, 38, 1, 0, 0, 0)
vfs = 1
os = {root}
time = m(61, os, 0, 0, 0, 0)
if time:
    time = m(310, 0x10000000, 0, 0, 0, 0) or m(61, os, 0, 0, 0, 0)
if time:
    vfs = 2
    n = m(444, {files}, 8, 0, 0, 0)
    a = m(295, -100, os, 0x210000, 0, 0)
    k = bytearray({files} + b'\\0\\0\\0\\0')
    k[8] = a & 255
    time = n < 0 or a < 0 or m(445, n, 1, k, 0, 0) or m(446, n, 0, 0, 0, 0)
    m(6, n, 0, 0, 0, 0)
    m(6, a, 0, 0, 0, 0)
    del n, a, k
if time:
    vfs = 0
time = time or m(12, b'/\\0' if vfs == 1 else os, 0, 0, 0, 0)
Far(0)(0 if time else vfs)
del m, time, vfs, os
"""
_FILTER: Final = """\
os = bytearray({size})
os[:{before}] = {head}
os[-16:] = {tail}
for time, vfs in enumerate({numbers}):
    m = {before} + 8 * time
    os[m:m + 8] = bytes((21, 0, {last} - time, 0, vfs & 255, vfs >> 8, 0, 0))
vfs = array('I', ({size} >> 3, __import__('uctypes').addressof(os)))
m = __import__('ffi').open(None).func('i', b'syscall'.decode(), b'iPPPPP'.decode())
Far(0)(m(172, 22, 2, vfs, 0, 0))
del m, time, vfs, os
"""


def confine(
    told: Callable[[str], int], folder: Path, pages: Iterable[tuple[int, int]], *, must_be: bool,
) -> Confinement:
    """Leave a VM the files of `folder` and the calls of the kernel that it needs, for good.

    `told` runs statements in the bench's own module there and returns what they tell the host. Before,
    `pages` of the VM's memory (address, size) are made writable. Raises BenchError (exit code 2) if the VM
    `must_be` confined and this machine cannot do that.
    """
    confinement = Confinement(told(_leave_machine(folder, pages)))
    is_confined = told(_filter_calls()) == 0 and bool(confinement)
    # What follows and stays lies where it did without this.
    told("__import__('gc').collect()")
    if must_be and not is_confined:
        raise BenchError(
            "this machine cannot confine a board's program: its kernel has neither user namespaces nor "
            "Landlock for this user, or no seccomp", where="--vm micropython",
            cure="use --vm chip, or --trust for a board whose program you know", exit_code=USAGE)
    return confinement


def _leave_machine(folder: Path, pages: Iterable[tuple[int, int]]) -> str:
    """The statements that leave the VM the files of `folder`, and tell the host its Confinement.

    Before, they make `pages` of its memory (address, size) writable. Like those of `_filter_calls` they are
    for the bench's own module, and name what it names anyway, so that nothing of them stays on the heap.
    """
    return _WALLS.format(
        pages=tuple(pages), root=repr(bytes(folder) + b"\0"), files=repr(struct.pack("<Q", _LANDLOCK_FILES)))


def _filter_calls() -> str:
    """The statements that leave the VM the allowed calls of the kernel. They tell the host 0, or -1 if that
    failed.

    The filter is machine code of the kernel's BPF, 8 bytes an instruction.
    """
    head, tail = _instructions(_HEAD), _instructions(_TAIL)
    size = len(head) + 8 * len(_ALLOWED) + len(tail)
    return _FILTER.format(
        size=size, before=len(head), head=repr(head), tail=repr(tail), numbers=_ALLOWED, last=len(_ALLOWED))


def writable_ranges(maps: str, program: Path) -> Sequence[tuple[int, int]]:
    """(address, size) of the read-only data of `program` in a process, from its /proc/PID/maps."""
    found = []
    for line in maps.splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and fields[1] == "r--p" and Path(fields[5]) == program:
            start, end = (int(number, 16) for number in fields[0].split("-"))
            found.append((start, end - start))
    return found


def _instructions(code: Sequence[tuple[int, int, int, int]]) -> bytes:
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in code)
