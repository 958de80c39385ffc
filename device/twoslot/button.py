# A button: pressed, it starts a check and an update; held, it goes back to the other slot. Loaded
# where it is used only.
import machine
import time

from micropython import const

import twoslot

_BOUNCE_MS = const(30)
_HELD_MS = const(5000)
_PRESSED = const(1)
_HELD = const(2)

_pin = _number = None
_since = 0  # ticks_ms() when it went down
_down = False
_event = 0


def watch(pin):
    """Watch this GPIO (0-15, to ground). tick() does what the button asks for."""
    global _pin, _number
    if pin == _number:
        return  # main.py runs once more
    if _pin:
        _pin.irq(handler=None)
    else:
        twoslot._pollers.append(_poll)
    _number, _pin = pin, machine.Pin(pin, machine.Pin.IN, machine.Pin.PULL_UP)
    _pin.irq(handler=_on_edge, trigger=machine.Pin.IRQ_FALLING | machine.Pin.IRQ_RISING)


def _on_edge(pin):
    # An interrupt: it allocates nothing and knows small numbers only. A press shorter than a bounce
    # is none.
    global _since, _down, _event
    now = time.ticks_ms()
    if not pin.value():
        if not _down:
            _down, _since = True, now
    elif _down:
        _down = False
        if time.ticks_diff(now, _since) >= _BOUNCE_MS:
            _event = _HELD if time.ticks_diff(now, _since) >= _HELD_MS else _PRESSED


def _poll():
    # Return 0 when a press asks for a check, else None. A button that was held goes back at once.
    global _down, _event
    if _down and time.ticks_diff(time.ticks_ms(), _since) >= _HELD_MS:
        _down = False  # once
        # If it is up, the interrupt of that edge was lost, and nobody knows for how long it was
        # held.
        if not _pin.value():
            _event = _HELD
    elif _down and _pin.value():
        # The interrupt of the edge up was lost.
        _on_edge(_pin)
    if _event:
        event = _event
        _event = 0
        if event == _PRESSED:
            return 0
        from twoslot import errors, settings, slot_commands

        try:
            slot_commands.run("rollback", None)
        finally:
            slot_commands = None
            twoslot.unload()
    return None
