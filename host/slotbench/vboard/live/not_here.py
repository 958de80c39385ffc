"""What a board's program asked for in vain on a VM that has less than the firmware."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["NotHere"]

_HAS: Final = frozenset("""
    apa102 asyncio btree cryptolib deflate dht ds18x20 espnow framebuf lwip mip neopixel ntptime onewire re
    requests select ssd1306 ssl tls umqtt upysh urequests webrepl
    ADC I2C PWM SPI Signal SoftI2C SoftSPI UART bitstream dht_readinto time_pulse_us mem8 mem16
    Event Lock TimeoutError gather open_connection start_server wait_for wait_for_ms create_task run
    scan ipconfig native viper statvfs uname init OPEN_DRAIN IRQ_HIGH_LEVEL IRQ_LOW_LEVEL
""".split())
"""Modules and names of the port that one of the other VMs lacks, or has less of."""
_ERROR: Final = re.compile(
    r"ImportError: (?:no module named|can't import name) '?([\w.]+)'?$"
    r"|AttributeError: .*has no attribute '(\w+)'$")
_LINE_MAX: Final = 200


class NotHere:
    """Reads what a board prints, and finds what its VM lacks."""

    def __init__(self) -> None:
        self._line = ""

    def find(self, text: str) -> str | None:
        """Words for people when this text ends a line that says so."""
        lines = (self._line + text).split("\n")
        self._line = lines.pop()[-_LINE_MAX:]
        for line in lines:
            found = _ERROR.match(line.rstrip("\r"))
            if found is not None and (name := (found[1] or found[2]).partition(".")[0]) in _HAS:
                return f"not here; use --vm chip: this VM has no {name}"
        return None
