# A button: pressed, look now and install what is offered; held, back to the other slot. Loaded on use only.
import machine
import time

from micropython import const

import twoslot

_BOUNCE_MS = const(30)
_HELD_MS = const(5000)

_pin = _number = None
_since = 0  # ticks_ms() when it went down
_down = False
_asked = 0  # 1: it was pressed, 2: held


def watch(pin):
    """Watch this GPIO (0-15, to ground); tick() does what is asked."""
    global _pin, _number
    if pin == _number:
        return  # main.py runs once more
    if _pin:
        _pin.irq(handler=None)
    else:
        twoslot._also.append(_wanted)
    _number, _pin = pin, machine.Pin(pin, machine.Pin.IN, machine.Pin.PULL_UP)
    _pin.irq(handler=_edge, trigger=machine.Pin.IRQ_FALLING | machine.Pin.IRQ_RISING)


def _edge(pin):
    # Nothing is allocated here: small numbers alone. What is shorter than a bounce was no press.
    global _since, _down, _asked
    now = time.ticks_ms()
    if not pin.value():
        if not _down:
            _down, _since = True, now
    elif _down:
        _down = False
        if time.ticks_diff(now, _since) >= _BOUNCE_MS:
            _asked = 1 + (time.ticks_diff(now, _since) >= _HELD_MS)


def _wanted():
    global _down, _asked
    if _down and time.ticks_diff(time.ticks_ms(), _since) >= _HELD_MS:
        _down = False  # once
        # Up: that edge was lost, and nobody knows for how long it was held.
        if not _pin.value():
            _asked = 2
    elif _down and _pin.value():
        # The edge up was lost.
        _edge(_pin)
    if _asked:
        held = _asked > 1
        _asked = 0
        if not held:
            return 0
        twoslot.rollback()
    return None
