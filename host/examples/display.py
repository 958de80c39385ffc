# A counter on an OLED display.
import time
from machine import Pin, SoftI2C

import ssd1306
import twoslot

screen = ssd1306.SSD1306_I2C(128, 32, SoftI2C(Pin(5), Pin(4)))
count = 0
while True:
    twoslot.tick()
    count += 1
    screen.fill(0)
    screen.text("count %d" % count, 0, 0)
    screen.show()
    time.sleep_ms(500)
