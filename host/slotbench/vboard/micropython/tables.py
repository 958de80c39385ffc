"""Makes the unix port's VM the ESP8266's: changes its tables of built-in names in place.

They lie in the VM's read-only data (made writable before: sandbox.py), so what is gone is really gone and
nothing is taken from the heap. The layouts are those of a 32-bit MicroPython 1.25 (py/obj.h:
mp_obj_module_t, mp_obj_type_t, mp_obj_dict_t).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

__all__ = ["Tables"]

_TYPE_SLOTS: Final = 20
_TYPE_DICT_INDEX: Final = 19
_MAP_COUNT: Final = 4
_MAP_TABLE: Final = 12
_TUPLE_ITEMS: Final = 8
_FUNCTION_SIGNATURE: Final = 4


class Tables:
    """`evaluate` returns the value of an expression in the VM, `run` executes a statement there."""

    def __init__(self, evaluate: Callable[[str], Any], run: Callable[[str], object]) -> None:
        self._evaluate = evaluate
        self._run = run

    def hide(self, owner: str, names: Iterable[str], *, is_type: bool = False) -> None:
        """Take names out of a module or a type. Raises KeyError when it has no such name."""
        table, pairs = self._table(owner, is_type)
        place = self._places(owner, pairs)
        gone = {place[name] for name in names}
        stays = min(set(range(len(pairs))) - gone)
        # Types share parts of one table, so nothing moves: the entry becomes a double of one that
        # stays.
        double = struct.pack("<II", *pairs[stays])
        self._write({table + 8 * index: double for index in sorted(gone)})

    def replace(self, owner: str, name: str, expression: str) -> None:
        """Make a name of a module another object."""
        table, pairs = self._table(owner, False)
        self._run(f"kept.append({expression})")
        address = struct.pack("<I", self._address("kept[-1]"))
        self._write({table + 8 * self._places(owner, pairs)[name] + 4: address})

    def limit_arguments(self, function: str, most: int) -> None:
        """Let a built-in function take at most so many arguments."""
        at = self._address(function) + _FUNCTION_SIGNATURE
        (signature,) = self._words(at, 1)
        self._write({at: struct.pack("<I", signature & ~0x1FFFE | most << 1)})

    def set_field(self, record: str, index: int, value: int) -> None:
        """Make a field of a constant tuple another small int."""
        at = self._address(record) + _TUPLE_ITEMS + 4 * index
        self._write({at: struct.pack("<i", value << 1 | 1)})

    def set_word(self, address: int, value: int) -> None:
        """Make the word at an address another."""
        self._write({address: struct.pack("<I", value)})

    def _table(self, owner: str, is_type: bool) -> tuple[int, list[tuple[int, int]]]:
        """Where the names of a module or a type lie: address, and (key, value) of each."""
        at = self._address(owner)
        if is_type:
            index = self._bytes(at + _TYPE_DICT_INDEX, 1)[0]
            (names,) = self._words(at + _TYPE_SLOTS + 4 * (index - 1), 1)
        else:
            (names,) = self._words(at + 4, 1)
        (count,) = self._words(names + _MAP_COUNT, 1)
        (table,) = self._words(names + _MAP_TABLE, 1)
        words = self._words(table, 2 * (count >> 3))
        return table, list(zip(words[::2], words[1::2]))

    def _places(self, owner: str, pairs: list[tuple[int, int]]) -> dict[str, int]:
        keys = {key: index for index, (key, _) in enumerate(pairs)}
        names = self._evaluate(f"[(name, id(name)) for name in dir({owner})]")
        return {name: keys[key] for name, key in names if key in keys}

    def _address(self, expression: str) -> int:
        # id() of an address below 1 << 31 is a small int, whose sign is that of bit 30 (py/obj.c:
        # mp_obj_id).
        number = int(self._evaluate(f"id({expression})"))
        return number + (1 << 31) if number < 0 else number

    def _words(self, at: int, count: int) -> tuple[int, ...]:
        return struct.unpack(f"<{count}I", self._bytes(at, 4 * count))

    def _bytes(self, at: int, count: int) -> bytes:
        return bytes(self._evaluate(f"bytes(__import__('uctypes').bytearray_at({at}, {count}))"))

    def _write(self, changes: Mapping[int, bytes]) -> None:
        """Put these bytes at these addresses; each job for the VM costs the time of a hundred such bytes."""
        self._run("\n".join(
            f"__import__('uctypes').bytearray_at({at}, {len(data)})[:] = {data!r}"
            for at, data in changes.items()))
