"""DRAM as machine.mem32 reaches it: the SDK's heap, which a soft reset leaves alone, and what lies
in MicroPython's: the words of timers and lists that device code follows.
"""

from __future__ import annotations

from typing import Any, Final

from slotbench.vboard.signals import BenchViolation

__all__ = ["DRAM", "Objects", "SdkHeap"]

DRAM: Final = range(0x3FFE8000, 0x3FFFC000)
_SDK_HEAP: Final = range(0x3FFF9000, 0x3FFFC000)
_PYTHON_HEAP: Final = range(0x3FFEF000, 0x3FFF8800)
_OBJECT_BYTES: Final = 64
_ITEMS_AT: Final = 12
"""Offset of a list's pointer to its items (py/objlist.h)."""
_ITEM_OFFSET: Final = 32
TIMER_TYPE: Final = 0x40253C50
"""What stands for the address of machine.Timer's type, the first word of a timer."""


class SdkHeap:
    """What a start of the SDK clears and a soft reset does not: memory, and the list of armed timers.

    `placed` has the timers that lie in this heap: their places, and when they are due, in microseconds.
    `lost` counts the armed timers in MicroPython's heap.
    """

    def __init__(self) -> None:
        self.words: dict[int, int] = {}
        self.placed: dict[int, int] = {}
        self.lost = 0
        self._next = _SDK_HEAP.start

    def malloc(self, size: int) -> int:
        """`esp.malloc`: an address, 0 when there is no room."""
        place, end = self._next, self._next + (size + 7) // 8 * 8
        if end > _SDK_HEAP.stop:
            return 0
        self._next = end
        self.words.update((address, 0xA5A5A5A5) for address in range(place, end, 4))
        return place


class Objects:
    """Addresses of the objects of one boot. `make_timer(place)` makes the timer that lies there."""

    def __init__(self, sdk: SdkHeap) -> None:
        self._sdk = sdk
        self._kept: list[Any] = []

    def address_of(self, thing: Any) -> int:
        """What `id()` returns."""
        place = getattr(thing, "place", 0)
        if place:
            return int(place)
        for number, known in enumerate(self._kept):
            if known is thing:
                break
        else:
            number = len(self._kept)
            self._kept.append(thing)
        return _PYTHON_HEAP.start + number * _OBJECT_BYTES

    def read(self, address: int) -> int:
        """A word of DRAM; 0 where nothing is known to lie."""
        if address in self._sdk.words:
            return self._sdk.words[address]
        thing, offset = self._at(address)
        if isinstance(thing, list):
            if offset == _ITEMS_AT:
                return address - _ITEMS_AT + _ITEM_OFFSET
            if offset == _ITEM_OFFSET:
                return self.address_of(thing[0])
        return TIMER_TYPE if thing is not None and offset == 0 else 0

    def write(self, address: int, value: int, timer_at: Any) -> None:
        """Set a word: of the SDK's heap, or a list's first item to what `timer_at` makes of a place."""
        if address in self._sdk.words:
            self._sdk.words[address] = value
            return
        thing, offset = self._at(address)
        if not isinstance(thing, list) or offset != _ITEM_OFFSET:
            raise BenchViolation(f"0x{value:08X} written to 0x{address:08X}: nothing is modelled there")
        if self._sdk.words.get(value) != TIMER_TYPE:
            raise BenchViolation(f"a reference to 0x{value:08X}, where no timer lies")
        thing[0] = timer_at(value)

    def _at(self, address: int) -> tuple[Any, int]:
        number, offset = divmod(address - _PYTHON_HEAP.start, _OBJECT_BYTES)
        return (self._kept[number], offset) if 0 <= number < len(self._kept) else (None, offset)
