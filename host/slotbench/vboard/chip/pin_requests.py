"""What people ask of a running chip's pins: levels, a voltage, parts."""

from __future__ import annotations

from typing import Any, Final

from slotbench.errors import USAGE, BenchError
from slotbench.parts import Part
from slotbench.vboard.chip.pins import GPIOS, ChipPins, part_failed
from slotbench.vboard.live.control_socket import ControlRequest

__all__ = ["PinRequests"]

_LEVELS: Final = {"low": 0, "high": 1, "float": None}


class PinRequests:
    """Carries the commands `pin`, `adc` and `part` out on `pins`."""

    def __init__(self, pins: ChipPins) -> None:
        self._pins = pins
        self.commands = {"pin": self._pin, "adc": self._adc, "part": self._part}

    def _pin(self, request: ControlRequest) -> None:
        """Facts of one pin, or of all; `level` puts one on it first."""
        number, level = request.fields.get("pin"), request.fields.get("level")
        if number is None:
            request.complete({"pins": [self._facts(pin) for pin in range(GPIOS)]})
            return
        pin = self._number(number)
        if level is not None:
            if level not in _LEVELS:
                raise BenchError(f"{level!r} is no level", cure="high, low or float", exit_code=USAGE)
            self._pins.put(pin, _LEVELS[level])
        request.complete({"pins": [self._facts(pin)]})

    def _adc(self, request: ControlRequest) -> None:
        volts = request.fields.get("volts")
        if not isinstance(volts, (int, float)) or not 0 <= volts <= 1:
            raise BenchError(
                f"{volts!r} V cannot be at A0 of the chip",
                cure="give 0 to 1; a D1 mini divides by 3.2 before it", exit_code=USAGE)
        self._pins.voltage(volts)
        request.complete({"volts": volts})

    def _part(self, request: ControlRequest) -> None:
        """The state of one part, or of all; `values` are set first."""
        name, values = request.fields.get("name"), request.fields.get("values") or {}
        if name is None:
            request.complete({"parts": [_describe(part) for part in self._pins.parts.values()]})
            return
        part = self._pins.parts.get(str(name))
        if part is None:
            known = ", ".join(self._pins.parts) or "none: write wiring.py in its folder"
            raise BenchError(f"no part is called {name!r}", cure=f"its parts: {known}", exit_code=USAGE)
        try:
            for value, text in values.items():
                part.set_value(str(value), str(text))
        except Exception as error:
            raise part_failed(part, error) from None
        request.complete({"parts": [_describe(part)]})

    def _facts(self, pin: int) -> dict[str, Any]:
        return {
            "pin": pin, "level": self._pins.level(pin), "driven": self._pins.is_driven(pin),
            "edges": self._pins.edges(pin), "high_us": round(self._pins.high_us(pin)),
        }

    @staticmethod
    def _number(number: object) -> int:
        if not isinstance(number, int) or not 0 <= number < GPIOS:
            raise BenchError(f"there is no GPIO {number!r}", cure="give 0 to 16", exit_code=USAGE)
        return number


def _describe(part: Part) -> dict[str, str]:
    try:
        return {"name": part.name, "kind": type(part).__name__, "state": part.state()}
    except Exception as error:
        raise part_failed(part, error) from None
