"""Makes the unix port's VM the ESP8266's: changes its tables of built-in names in place.

They lie in the VM's read-only data (made writable before: sandbox.py), so what is gone is really gone and
nothing is taken from the heap. The layouts are those of a 32-bit MicroPython 1.25 (py/obj.h:
mp_obj_module_t, mp_obj_type_t, mp_obj_dict_t).

A job for the VM costs far more than what is done in it, so the VM looks into its own tables, and all changes
are made in one job.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

__all__ = ["Tables"]

# Names are those of the bench's own module, and few are global: so nothing of it stays on the heap.
# id() of an address below 1 << 31 is a small int, whose sign is that of bit 30 (py/obj.c: mp_obj_id).
# Types share parts of one table, so nothing moves: what is hidden becomes a double of an entry that stays.
_SCRIPT: Final = """\
m = __import__('uctypes').bytearray_at
def a(n):
    return id(n) + (0x80000000 if id(n) < 0 else 0)
def n(at):
    return int.from_bytes(m(at, 4), 'little')
def k(at, word):
    m(at, 4)[:] = word.to_bytes(4, 'little')
def os(s, data, kind=None):
    at = n(a(s) + 16 + 4 * m(a(s) + 19, 1)[0]) if kind else n(a(s) + 4)
    what, at = range(n(at + 4) >> 3), n(at + 12)
    name = [id(name) for name in dir(s) if name in data]
    name = [at + 8 * b for b in what if n(at + 8 * b) in name]
    if len(name) != len(data):
        raise KeyError(data)
    return name, [at + 8 * b for b in what if at + 8 * b not in name][0]
{changes}del m, a, n, k, os
"""
_REPLACE: Final = "k(os({0}, ({1!r},))[0][0] + 4, a(kept[{2}]))\n"
_LIMIT: Final = "k(a({0}) + 4, n(a({0}) + 4) & ~0x1FFFE | {1})\n"
_SET: Final = "k(a({0}) + {1}, {2})\n"
_HIDE: Final = """\
def vfs(s, data, kind):
    data, at = os(s, data.split(), kind)
    for b in data:
        m(b, 8)[:] = m(at, 8)
"""
_HIDDEN: Final = "vfs({0}, {1!r}, {2})\n"
_ADD: Final = """\
def vfs(s, data, kind):
    at = n(a(s) + 4)
    what, at = range(n(at + 4) >> 3), n(at + 12)
    name = [n(at + 8 * b) for b in what]
    for b in what:
        if name[b] in name[:b]:
            k(at + 8 * b, id(data))
            k(at + 8 * b + 4, a(kind))
            return
    raise KeyError(data)
vfs({0}, {1!r}, kept[-1])
del vfs
"""
_TUPLE_ITEMS: Final = 8


class Tables:
    """Collects changes; `write` makes them. `run` executes statements in the bench's module in the VM."""

    def __init__(self, run: Callable[[str], object]) -> None:
        self._run = run
        self._kept: list[str] = []
        self._replaced: list[tuple[str, str]] = []
        self._changes = ""
        self._hidden = ""

    def hide(self, owner: str, names: str, *, is_type: bool = False) -> None:
        """Take `names`, with spaces between them, out of a module or a type."""
        self._hidden += _HIDDEN.format(owner, names, int(is_type))

    def replace(self, owner: str, name: str, expression: str) -> None:
        """Make a name of a module another object."""
        self._kept.append(f"kept.append({expression})\n")
        self._replaced.append((owner, name))

    def add(self, owner: str, name: str, expression: str) -> None:
        """Give a module one name more, in the place of one that was hidden, at once.

        Raises KeyError: there is none.
        """
        self._run(f"kept.append({expression})")
        self._run(_SCRIPT.format(changes=_ADD.format(owner, name)))

    def limit_arguments(self, function: str, most: int) -> None:
        """Let a built-in function take at most so many arguments."""
        self._changes += _LIMIT.format(function, most << 1)

    def set_field(self, record: str, index: int, value: int) -> None:
        """Make a field of a constant tuple another small int, not below 0."""
        self._changes += _SET.format(record, _TUPLE_ITEMS + 4 * index, value << 1 | 1)

    def set_word(self, address: int, value: int) -> None:
        """Make the word at an address another."""
        self._changes += f"k({address}, {value})\n"

    def write(self) -> None:
        """Make the changes. Raises KeyError when a module or a type has no such name."""
        self._run("".join(self._kept))
        changes = self._changes + "".join(
            _REPLACE.format(owner, name, index - len(self._replaced))
            for index, (owner, name) in enumerate(self._replaced))
        if self._hidden:
            # Last: what is hidden is hidden from this script too.
            changes += _HIDE + self._hidden + "del vfs\n"
        self._run(_SCRIPT.format(changes=changes))
