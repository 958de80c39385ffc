"""Parts on the pins of an emulated chip: small models, each a file that you can copy for a part of yours.

`base` says how a part is made. A board's folder names its parts in `wiring.py` (docs/virtual-parts.md).
"""

from __future__ import annotations

from slotbench.parts.base import I2CPart, Part, SPIPart, Wires
from slotbench.parts.button import Button
from slotbench.parts.dht import DHT11, DHT22
from slotbench.parts.ds18b20 import DS18B20
from slotbench.parts.i2c_registers import I2CRegisters
from slotbench.parts.led_strip import APA102, NeoPixels
from slotbench.parts.meter import Meter
from slotbench.parts.range_finder import HCSR04
from slotbench.parts.relay import Relay
from slotbench.parts.shift_register import ShiftRegister
from slotbench.parts.ssd1306 import SSD1306

__all__ = [
    "APA102", "DHT11", "DHT22", "DS18B20", "HCSR04", "SSD1306", "Button", "I2CPart", "I2CRegisters",
    "Meter", "NeoPixels", "Part", "Relay", "SPIPart", "ShiftRegister", "Wires",
]
