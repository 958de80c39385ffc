# A button switches a lamp by an interrupt; twoslot updates in between.
import time
from machine import Pin

import twoslot

lamp = Pin(5, Pin.OUT, value=0)
last = time.ticks_ms()


def pressed(pin):
    global last
    if time.ticks_diff(time.ticks_ms(), last) > 50:
        lamp(not lamp())
    last = time.ticks_ms()


Pin(0, Pin.IN, Pin.PULL_UP).irq(pressed, Pin.IRQ_FALLING)
while True:
    twoslot.tick()
    time.sleep_ms(20)
