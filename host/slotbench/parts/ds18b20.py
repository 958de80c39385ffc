"""DS18B20: a thermometer on a 1-wire bus. Several may share a pin."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import ClassVar, Final

from slotbench.parts.base import Part

__all__ = ["DS18B20", "crc8"]

_RESET_US: Final = 400
_ONE_US: Final = 15
_PRESENCE_US: Final = (30, 120)
_HOLD_US: Final = 40
_FAMILY: Final = 0x28
_READ_ROM, _MATCH_ROM, _SEARCH_ROM, _SKIP_ROM = 0x33, 0x55, 0xF0, 0xCC
_CONVERT, _READ_SCRATCHPAD, _WRITE_SCRATCHPAD, _POWER = 0x44, 0xBE, 0x4E, 0xB4

Bit = int | None
"""What the part sends in a time slot; None: it listens, and is told the bit."""


def crc8(data: bytes) -> int:
    """The check byte of 1-wire (polynomial x^8 + x^5 + x^4 + 1, lowest bit first)."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x8C if crc & 1 else 0)
    return crc


class DS18B20(Part):
    """A DS18B20 on `pin`, in degrees Celsius. Its serial number comes from its name."""

    VALUES: ClassVar = {"temperature": float}

    def __init__(self, name: str, pin: int, *, temperature: float = 21.5) -> None:
        super().__init__(name, pin)
        self.temperature = temperature
        body = bytes((_FAMILY,)) + hashlib.sha256(name.encode()).digest()[:6]
        self.rom = body + bytes((crc8(body),))
        self._converted = 85.0
        self._settings = bytes((0x4B, 0x46, 0x7F))
        self._fell_us: float | None = None
        self._talk: Iterator[Bit] | None = None
        self._next: Bit = None

    def power_on(self) -> None:
        """The scratchpad says 85 degrees until the first conversion."""
        self._converted = 85.0
        self._talk = None

    def pin_changed(self, pin: int, level: int | None) -> None:
        """A time slot begins when the board pulls the wire down, and is read when it lets go."""
        if level == 0:
            self._fell_us = self.wires.us
            if self._talk is not None and self._next == 0:
                self.wires.put(pin, 0)
                self.wires.put(pin, None, _HOLD_US)
            return
        if self._fell_us is None:
            return
        low_us, self._fell_us = self.wires.us - self._fell_us, None
        if low_us >= _RESET_US:
            self.wires.put(pin, 0, _PRESENCE_US[0])
            self.wires.put(pin, None, sum(_PRESENCE_US))
            self._talk = self._conversation()
            self._next = next(self._talk)
        elif self._talk is not None:
            self._go_on(int(low_us < _ONE_US) if self._next is None else None)

    def _go_on(self, bit: Bit) -> None:
        assert self._talk is not None
        try:
            self._next = self._talk.send(bit)  # type: ignore[attr-defined]
        except StopIteration:
            self._talk = None

    def _conversation(self) -> Iterator[Bit]:
        """One talk after a reset: yields what to send in each slot."""
        command = yield from _receive(8)
        if command == _READ_ROM:
            yield from _send(self.rom)
        elif command == _MATCH_ROM:
            wanted = yield from _receive(64)
            if wanted != int.from_bytes(self.rom, "little"):
                return
        elif command == _SEARCH_ROM:
            for index in range(64):
                bit = self.rom[index // 8] >> index % 8 & 1
                yield bit
                yield 1 - bit
                if (yield None) != bit:
                    return
            return
        elif command != _SKIP_ROM:
            return
        yield from self._function()

    def _function(self) -> Iterator[Bit]:
        command = yield from _receive(8)
        if command == _CONVERT:
            self._converted = self.temperature
        elif command == _READ_SCRATCHPAD:
            data = round(self._converted * 16).to_bytes(2, "little", signed=True) + self._settings
            data += bytes((0xFF, 0x0C, 0x10))
            yield from _send(data + bytes((crc8(data),)))
        elif command == _WRITE_SCRATCHPAD:
            settings = yield from _receive(24)
            self._settings = settings.to_bytes(3, "little")
        while command in (_CONVERT, _POWER):
            yield 1


def _send(data: bytes) -> Iterator[Bit]:
    for byte in data:
        for index in range(8):
            yield byte >> index & 1


def _receive(count: int):  # type: ignore[no-untyped-def]
    """Listen for so many bits, the lowest first."""
    value = 0
    for index in range(count):
        value |= (yield None) << index
    return value
