"""How a part is made: it hears what the board does to its pins, and puts levels on them.

A part of one pin overrides `pin_changed`. A part on an I2C bus overrides the methods of `I2CPart`, one on an
SPI bus those of `SPIPart`: the bench reads the bus and hands whole bytes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Protocol

from slotbench.errors import USAGE, BenchError

__all__ = ["I2CPart", "Part", "SPIPart", "Wires"]

_YES: Final = ("1", "yes", "on", "true", "high")
_NO: Final = ("0", "no", "off", "false", "low")


class Wires(Protocol):
    """The board's pins, as its parts reach them. Times are microseconds of the board's time."""

    @property
    def us(self) -> float:
        """The time now, to a fraction of a microsecond."""

    def level(self, pin: int) -> int:
        """The level on a pin, 0 or 1."""

    def put(self, pin: int, level: int | None, after_us: float = 0) -> None:
        """Put a level on a pin, now or in so many microseconds; None lets it go."""

    def forget(self, pin: int) -> None:
        """Drop the levels that are planned for a pin."""

    def voltage(self, volts: float) -> None:
        """Put a voltage on A0 of the chip, 0 to 1 V."""


class Part:
    """A part called `name`, on `pins` (GPIO numbers).

    `VALUES` names what people may set with `slotbench board part`, with the type of each: int, float or bool.
    Each is an attribute; `changed` is called when one was set.
    """

    VALUES: ClassVar[Mapping[str, type]] = {}

    def __init__(self, name: str, *pins: int) -> None:
        self.name = name
        self.pins = pins
        self._wires: Wires | None = None

    @property
    def wires(self) -> Wires:
        """The board's pins. Raises ValueError before the part is connected."""
        if self._wires is None:
            raise ValueError(f"{self.name} is on no board")
        return self._wires

    def connect(self, wires: Wires) -> None:
        """Solder the part to a board."""
        self._wires = wires

    def power_on(self) -> None:
        """The board gets power, and the part with it."""

    def pin_changed(self, pin: int, level: int | None) -> None:
        """The board drives one of the part's pins to a `level`, 0 or 1, or lets it go (None)."""

    def changed(self) -> None:
        """Somebody set one of `VALUES`."""

    def state(self) -> str:
        """What people see of the part, a line or a picture."""
        return " ".join(f"{name}={getattr(self, name)}" for name in self.VALUES)

    def set_value(self, name: str, text: str) -> None:
        """Set one of `VALUES` to what a person typed. Raises BenchError (exit code 2)."""
        kind = self.VALUES.get(name)
        if kind is None:
            known = ", ".join(self.VALUES) or "nothing"
            raise BenchError(
                f"{self.name} has no value {name!r}", where=type(self).__name__, cure=f"it has: {known}",
                exit_code=USAGE)
        setattr(self, name, self._parsed(name, kind, text))
        self.changed()

    def _parsed(self, name: str, kind: type, text: str) -> Any:
        try:
            if kind is bool and text.lower() in (*_YES, *_NO):
                return text.lower() in _YES
            if kind is not bool:
                return kind(text)
        except ValueError:
            pass
        raise BenchError(
            f"{text!r} is no value of {name}", where=self.name,
            cure="give yes or no" if kind is bool else "give a number", exit_code=USAGE)


class I2CPart(Part):
    """A part with a 7-bit `address` on the I2C bus of the pins `scl` and `sda`."""

    def __init__(self, name: str, *, scl: int, sda: int, address: int) -> None:
        super().__init__(name)
        self.scl, self.sda, self.address = scl, sda, address

    def started(self, reads: bool) -> None:
        """The board addressed the part, to read from it or to write to it."""

    def write(self, byte: int) -> bool:
        """The board sends a byte; whether the part acknowledges it."""
        return True

    def read(self) -> int:
        """The next byte for the board."""
        return 0xFF

    def stopped(self) -> None:
        """The transfer is over."""


class SPIPart(Part):
    """A part on the SPI bus of `sck` and `mosi`; `miso` and `cs` (chip select, active low) may be missing.

    It reads at the rising edge of the clock, most significant bit first.
    """

    def __init__(
        self, name: str, *, sck: int, mosi: int, miso: int | None = None, cs: int | None = None,
    ) -> None:
        super().__init__(name)
        self.sck, self.mosi, self.miso, self.cs = sck, mosi, miso, cs

    def selected(self) -> int:
        """Chip select goes low; the first byte for the board."""
        return 0xFF

    def exchange(self, byte: int) -> int:
        """The board sent a byte; the part's next one."""
        return 0xFF

    def deselected(self) -> None:
        """Chip select goes high."""
