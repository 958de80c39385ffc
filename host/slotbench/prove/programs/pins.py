"""Programs that read and switch pins."""

from __future__ import annotations

from typing import Final

from slotbench.parts import HCSR04, Button, Meter, Relay
from slotbench.prove.programs.program import Bench, Program, program

__all__ = ["PROGRAMS"]

_pin = program("Pins")


def _press_three_times(bench: Bench) -> None:
    button = bench.parts["key"]
    assert isinstance(button, Button)
    for count in range(3):
        button.press(40, 300 + 150 * count)


def _turn_knob(bench: Bench) -> None:
    """Four steps of a rotary encoder to the right: A falls before B."""
    for step in range(4):
        at_us = 200_000 + 20_000 * step
        for pin, level, late_us in ((12, 0, 0), (13, 0, 3000), (12, 1, 6000), (13, 1, 9000)):
            bench.pins.put(pin, level, at_us + late_us)


def _meter(bench: Bench) -> str:
    """Duty, and the frequency to two digits: the port's PWM is no better."""
    meter = bench.parts["pwm"]
    assert isinstance(meter, Meter)
    return ", ".join(
        f"{meter.duty(pin):.0%} at {float(f'{meter.frequency(pin):.2g}'):.0f} Hz" for pin in meter.pins)


def _relay(bench: Bench) -> str:
    return bench.parts["lamp"].state()


PROGRAMS: Final[tuple[Program, ...]] = (
    _pin(
        "blink", "Blink an LED", """
        from machine import Pin
        import time
        led = Pin(2, Pin.OUT)
        for i in range(6):
            led.value(not led.value())
            time.sleep_ms(50)
        print(led.value())
        """, "0", parts=lambda: [Relay("lamp", 2)], evidence=_relay, seen="off, switched 6 times"),
    _pin(
        "relay", "Switch a relay", """
        from machine import Pin
        relay = Pin(5, Pin.OUT, value=0)
        relay.on()
        print(relay.value(), Pin(5).value())
        """, "1 1", parts=lambda: [Relay("lamp", 5)], evidence=_relay, seen="on, switched 1 times"),
    _pin(
        "button", "Read a button", """
        from machine import Pin
        import time
        key = Pin(0, Pin.IN, Pin.PULL_UP)
        print(key.value())
        while key.value():
            time.sleep_ms(1)
        print(key.value())
        """, "1\n0", parts=lambda: [Button("key", 0)], prepare=_press_three_times),
    _pin(
        "interrupt", "Count presses by interrupt", """
        from machine import Pin
        import time
        count = 0
        def pressed(pin):
            global count
            count += 1
        Pin(0, Pin.IN, Pin.PULL_UP).irq(pressed, Pin.IRQ_FALLING)
        time.sleep_ms(800)
        Pin(0).irq(None)
        print(count)
        """, "3", parts=lambda: [Button("key", 0)], prepare=_press_three_times),
    _pin(
        "debounce", "Debounce a button", """
        from machine import Pin
        import time
        last, count = time.ticks_ms(), 0
        def pressed(pin):
            global last, count
            if time.ticks_diff(time.ticks_ms(), last) > 50:
                count += 1
            last = time.ticks_ms()
        Pin(0, Pin.IN, Pin.PULL_UP).irq(handler=pressed, trigger=Pin.IRQ_FALLING)
        time.sleep_ms(800)
        Pin(0).irq(None)
        print(count)
        """, "3", parts=lambda: [Button("key", 0, bounces=4)], prepare=_press_three_times),
    _pin(
        "both-edges", "Log both edges by interrupt", """
        from machine import Pin
        import time
        log = bytearray(2)
        def moved(pin):
            log[pin()] += 1
        Pin(0, Pin.IN).irq(moved, Pin.IRQ_RISING | Pin.IRQ_FALLING)
        time.sleep_ms(800)
        Pin(0).irq(None)
        print(log)
        """, "bytearray(b'\\x03\\x03')", parts=lambda: [Button("key", 0)], prepare=_press_three_times),
    _pin(
        "encoder", "Read a rotary encoder", """
        from machine import Pin
        import time
        a, b, place = Pin(12, Pin.IN), Pin(13, Pin.IN), 0
        def turned(pin):
            global place
            place += 1 if b.value() else -1
        a.irq(turned, Pin.IRQ_FALLING)
        time.sleep_ms(400)
        a.irq(None)
        print(place)
        """, "4", prepare=_turn_knob),
    _pin(
        "motion", "Wait for a motion sensor", """
        from machine import Pin
        import time
        sensor, seen = Pin(14, Pin.IN), []
        before = 0
        for i in range(80):
            if sensor.value() != before:
                before = 1 - before
                seen.append(before)
            time.sleep_ms(10)
        print(seen)
        """, "[1, 0, 1, 0, 1, 0]", parts=lambda: [Button("key", 14, active=1)], prepare=_press_three_times),
    _pin(
        "long-press", "Tell a long press from a short one", """
        from machine import Pin
        import time
        key = Pin(0, Pin.IN, Pin.PULL_UP)
        while key.value():
            pass
        start = time.ticks_ms()
        while not key.value():
            pass
        print(35 <= time.ticks_diff(time.ticks_ms(), start) <= 45)
        """, "True", parts=lambda: [Button("key", 0)], prepare=_press_three_times),
    _pin(
        "open-drain", "Drive an open-drain pin", """
        from machine import Pin
        pin = Pin(4, Pin.OPEN_DRAIN, value=1)
        print(pin.value())
        pin.value(0)
        print(pin.value())
        pin.init(Pin.IN)
        """, "1\n0"),
    _pin(
        "pin16", "Switch GPIO16", """
        from machine import Pin
        pin = Pin(16, Pin.OUT, value=0)
        print(pin.value())
        pin.on()
        print(pin.value())
        """, "0\n1", parts=lambda: [Relay("lamp", 16)], evidence=_relay, seen="on, switched 1 times"),
    _pin(
        "signal", "Invert a pin with Signal", """
        from machine import Pin, Signal
        led = Signal(2, Pin.OUT, invert=True)
        led.on()
        print(led.value(), Pin(2).value())
        """, "1 0"),
    _pin(
        "pin-errors", "Be told of a wrong pin", """
        from machine import Pin
        for number in (17, 16):
            try:
                Pin(number).irq(print)
            except (ValueError, OSError) as error:
                print(error)
        """, "invalid pin\npin does not have IRQ capabilities"),
    _pin(
        "pwm", "Dim an LED with PWM", """
        from machine import Pin, PWM
        import time
        led = PWM(Pin(4), freq=1000, duty=256)
        time.sleep_ms(100)
        print(led.freq(), led.duty())
        led.deinit()
        """, "1000 256", parts=lambda: [Meter("pwm", 4)], evidence=_meter,
        seen="25% at 1000 Hz"),
    _pin(
        "pwm-channels", "Mix colours with three PWM channels", """
        from machine import Pin, PWM
        import time
        channels = [PWM(Pin(pin), freq=500) for pin in (12, 13, 14)]
        for channel, duty in zip(channels, (102, 512, 921)):
            channel.duty(duty)
        time.sleep_ms(100)
        print(channels[1])
        for channel in channels:
            channel.deinit()
        """, "PWM(13, freq=500, duty=512)", parts=lambda: [Meter("pwm", 12, 13, 14)],
        evidence=_meter,
        seen="10% at 500 Hz, 50% at 500 Hz, 90% at 500 Hz"),
    _pin(
        "servo", "Turn a servo", """
        from machine import Pin, PWM
        import time
        servo = PWM(Pin(4), freq=50)
        servo.duty(77)
        time.sleep_ms(300)
        print(servo.freq())
        servo.deinit()
        """, "50", parts=lambda: [Meter("pwm", 4)], evidence=_meter,
        seen="8% at 50 Hz"),
    _pin(
        "adc", "Read a voltage", """
        from machine import ADC
        adc = ADC(0)
        print(adc.read(), adc.read_u16() // 655)
        """, "410 40", prepare=lambda bench: bench.pins.voltage(0.4)),
    _pin(
        "time-pulse", "Measure a distance with an ultrasonic sensor", """
        from machine import Pin, time_pulse_us
        import time
        trigger, echo = Pin(15, Pin.OUT, value=0), Pin(13, Pin.IN)
        trigger.on()
        time.sleep_us(10)
        trigger.off()
        print(round(time_pulse_us(echo, 1, 30000) / 58))
        """, "20", parts=lambda: [HCSR04("wall", trigger=15, echo=13, distance_cm=20)]),
    _pin(
        "registers", "Switch pins by registers", """
        import machine
        machine.Pin(5, machine.Pin.OUT, value=0)
        machine.mem32[0x60000304] = 1 << 5
        print(machine.mem32[0x60000300] >> 5 & 1)
        machine.mem32[0x60000308] = 1 << 5
        print(machine.Pin(5).value())
        """, "1\n0", parts=lambda: [Relay("lamp", 5)], evidence=_relay, seen="off, switched 2 times"),
)
