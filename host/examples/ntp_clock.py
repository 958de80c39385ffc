# A clock on a ring of NeoPixels, set by NTP once an hour.
import time
from machine import Pin
from neopixel import NeoPixel

import ntptime
import twoslot

ring = NeoPixel(Pin(2), 12)
asked = None
while True:
    twoslot.tick()
    if asked is None or time.ticks_diff(time.ticks_ms(), asked) > 3_600_000:
        try:
            ntptime.settime()
            asked = time.ticks_ms()
        except OSError:
            pass
    hour, minute, second = time.localtime()[3:6]
    ring.fill((0, 0, 0))
    for place, colour in ((hour % 12, (40, 0, 0)), (minute // 5, (0, 40, 0)), (second // 5, (0, 0, 40))):
        ring[place] = tuple(map(max, ring[place], colour))
    ring.write()
    time.sleep_ms(500)
