# A heating: a 1-wire thermometer switches a relay.
import time
from machine import Pin

import ds18x20
import onewire
import twoslot

heater = Pin(5, Pin.OUT, value=0)
bus = ds18x20.DS18X20(onewire.OneWire(Pin(12)))
found = bus.scan()
begun = None
while True:
    twoslot.tick()
    try:
        if begun is None:
            bus.convert_temp()
            begun = time.ticks_ms()
        elif time.ticks_diff(time.ticks_ms(), begun) > 750:
            begun = None
            heater(bus.read_temp(found[0]) < 20)
    except (OSError, IndexError, onewire.OneWireError):
        begun, found = None, bus.scan()
    time.sleep_ms(20)
