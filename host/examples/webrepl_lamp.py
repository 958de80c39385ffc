# A lamp whose prompt is open over WebREPL while it blinks.
import time
from machine import Pin

import twoslot
import webrepl

webrepl.start(password="secret")
lamp = Pin(5, Pin.OUT, value=0)
while True:
    twoslot.tick()
    lamp(not lamp())
    time.sleep_ms(250)
