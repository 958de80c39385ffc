# A lamp blinks under the watchdog; tick() feeds it while it works.
import time
from machine import WDT, Pin

import twoslot

lamp = Pin(5, Pin.OUT, value=0)
dog = WDT()
while True:
    dog.feed()
    lamp(not lamp())
    twoslot.tick(dog)
    time.sleep_ms(250)
