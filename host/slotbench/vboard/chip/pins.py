"""The pins of an emulated chip: levels, the converter, and the parts that are wired to them."""

from __future__ import annotations

import ctypes
from typing import Any, Final

from slotbench.errors import USAGE, BenchError
from slotbench.parts.base import I2CPart, Part, SPIPart
from slotbench.vboard.chip.binding import BUS, PINS, CPartCalls

__all__ = ["GPIOS", "TICKS_PER_US", "ChipPins", "part_failed"]

TICKS_PER_US: Final = 160
GPIOS: Final = 17
_I2C, _SPI = 0, 1
_START, _WRITE, _READ, _STOP, _SELECT, _EXCHANGE, _DESELECT = range(7)
_ADC_FULL: Final = 10_000
_NOBODY: Final = 0xFF


class ChipPins:
    """GPIO 0 to 16 and A0 of one chip, and `parts` by their names.

    It is the `Wires` of its parts. What a part raises is kept until `raise_error`.
    """

    def __init__(self, core: Any, chip: Any) -> None:
        self._core = core
        self._chip = chip
        self._start_tick = 0
        self.parts: dict[str, Part] = {}
        self._watchers: dict[int, list[Part]] = {}
        self._buses: list[_Bus] = []
        self._error: BenchError | None = None
        self._calls = CPartCalls(PINS(self._pins_changed), BUS(self._bus_event))
        core.chip_parts(chip, ctypes.byref(self._calls), None)

    # What parts and people do to the pins.

    @property
    def us(self) -> float:
        """Microseconds of the chip's time, to a fraction."""
        return int(self._core.chip_ticks(self._chip)) / TICKS_PER_US

    def level(self, pin: int) -> int:
        """The level on GPIO `pin` (0 to 16)."""
        return int(self._core.chip_pin(self._chip, pin))

    def is_driven(self, pin: int) -> bool:
        """Whether the chip drives GPIO `pin`."""
        return bool(self._core.chip_pin_driven(self._chip, pin))

    def put(self, pin: int, level: int | None, after_us: float = 0) -> None:
        """Put a level on GPIO `pin` from outside, now or in so many microseconds; None lets it go."""
        value = -1 if level is None else level
        if after_us <= 0:
            self._core.chip_drive(self._chip, pin, value)
            return
        tick = int(self._core.chip_ticks(self._chip)) + round(after_us * TICKS_PER_US)
        if self._core.chip_drive_at(self._chip, pin, value, tick):
            raise BenchError(
                "too many levels are planned, or there is no such pin", where=f"GPIO{pin}",
                cure="plan at most 4096 at a time, on GPIO 0 to 16")

    def forget(self, pin: int) -> None:
        """Drop the levels that are planned for a pin."""
        self._core.chip_forget_plans(self._chip, pin)

    def voltage(self, volts: float) -> None:
        """Put a voltage on A0 of the chip; it measures 0 to 1 V."""
        self._core.chip_adc(self._chip, round(min(max(volts, 0.0), 1.0) * _ADC_FULL))

    def wire(self, source: int, target: int) -> None:
        """Put a jumper between two pins: `target` has the level of `source` where nobody drives it."""
        if self._core.chip_wire(self._chip, source, target):
            raise BenchError(
                "no such pins, or too many jumpers", where=f"GPIO{source}, GPIO{target}",
                cure="connect pins from 0 to 16, and take jumpers away first: power the board off and on")

    def edges(self, pin: int) -> int:
        """How often the level of a pin has changed."""
        return int(self._core.chip_pin_edges(self._chip, pin))

    def high_us(self, pin: int) -> float:
        """How long a pin has been high in all, in microseconds."""
        return int(self._core.chip_pin_high_ticks(self._chip, pin)) / TICKS_PER_US

    # Parts.

    def attach(self, part: Part) -> None:
        """Wire a part to the chip. Raises BenchError (exit code 2) for a pin or a name that cannot be."""
        if part.name in self.parts:
            raise BenchError("two parts have the same name", where=part.name, cure="rename one",
                             exit_code=USAGE)
        for pin in part.pins:
            if not 0 <= pin < GPIOS:
                raise BenchError(f"there is no GPIO{pin}", where=part.name, cure="take GPIO 0 to 16",
                                 exit_code=USAGE)
            self._watchers.setdefault(pin, []).append(part)
        self.parts[part.name] = part
        if isinstance(part, I2CPart):
            self._bus_of(part.name, _I2C, part.scl, part.sda).parts.append(part)
        elif isinstance(part, SPIPart):
            self._bus_of(part.name, _SPI, part.sck, part.mosi, part.miso, part.cs).parts.append(part)
        self._core.chip_watch(self._chip, sum(1 << pin for pin in self._watchers))
        part.connect(self)

    def detach_all(self) -> None:
        """Take every part, jumper and level off the pins; A0 is at 0 V."""
        self.parts.clear()
        self._watchers.clear()
        self._buses.clear()
        self._core.chip_unwire(self._chip)

    def power_on(self) -> None:
        """Give power to the parts."""
        for part in self.parts.values():
            part.power_on()

    def raise_error(self) -> None:
        """Raise BenchError if a part has failed since the last time."""
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _bus_of(
        self, name: str, kind: int, clock: int, data: int, answer: int | None = None,
        select: int | None = None,
    ) -> _Bus:
        pins = (kind, clock, data, answer, select)
        for bus in self._buses:
            if bus.pins == pins and kind == _I2C:
                return bus
        numbers = [-1 if pin is None else pin for pin in pins]
        if self._core.chip_bus(self._chip, *numbers) < 0:
            raise BenchError("no such pins, or too many buses", where=name,
                             cure="take GPIO 0 to 16, and at most eight buses", exit_code=USAGE)
        self._buses.append(_Bus(pins))
        return self._buses[-1]

    # What the chip says.

    def _pins_changed(self, _host: object, levels: int, driven: int, touched: int) -> None:
        part: Part | None = None
        try:
            for pin, parts in self._watchers.items():
                if touched >> pin & 1:
                    level = levels >> pin & 1 if driven >> pin & 1 else None
                    for part in parts:
                        part.pin_changed(pin, level)
        except Exception as error:
            self._error = self._error or part_failed(part, error)

    def _bus_event(self, _host: object, number: int, event: int, value: int) -> int:
        bus = self._buses[number]
        try:
            return bus.handle(event, value)
        except Exception as error:
            self._error = self._error or part_failed(bus.part or bus.parts[0], error)
            return _NOBODY


def part_failed(part: Part | None, error: Exception) -> BenchError:
    """What to tell people of a part whose model raised `error`."""
    if isinstance(error, BenchError):
        return error
    name = part.name if part is not None else "?"
    return BenchError(
        f"the part {name} failed: {type(error).__name__}: {error}", where=type(part).__name__,
        cure="mend its class (wiring.py, or slotbench/parts)", exit_code=USAGE)


class _Bus:
    """The parts on one bus, and `part`, the one that the board talks to."""

    def __init__(self, pins: tuple[int | None, ...]) -> None:
        self.pins = pins
        self.parts: list[Part] = []
        self.part: Part | None = None

    def handle(self, event: int, value: int) -> int:
        """Hand an event of the core to the part that it is for; its answer."""
        if event == _START:
            self.part = next(
                (it for it in self.parts if isinstance(it, I2CPart) and it.address == value >> 1), None)
            if isinstance(self.part, I2CPart):
                self.part.started(bool(value & 1))
            return int(self.part is not None)
        part = self.part
        if isinstance(part, I2CPart):
            if event == _WRITE:
                return int(part.write(value))
            if event == _READ:
                return part.read()
            part.stopped()
            self.part = None
            return 0
        if event in (_SELECT, _EXCHANGE, _DESELECT) and isinstance(self.parts[0], SPIPart):
            return self._handle_spi(self.parts[0], event, value)
        return _NOBODY if event == _READ else 0

    @staticmethod
    def _handle_spi(part: SPIPart, event: int, value: int) -> int:
        if event == _SELECT:
            return part.selected()
        if event == _EXCHANGE:
            return part.exchange(value)
        part.deselected()
        return 0
