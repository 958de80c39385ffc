"""Programs that talk to parts: I2C, SPI, UART, 1-wire, and wires with a timing of their own."""

from __future__ import annotations

from typing import Final

from slotbench.parts import (
    APA102,
    DHT11,
    DHT22,
    DS18B20,
    SSD1306,
    I2CRegisters,
    NeoPixels,
    ShiftRegister,
)
from slotbench.prove.programs.program import Bench, Program, program

__all__ = ["PROGRAMS"]

_bus = program("Buses and parts")


def _state(name: str):  # type: ignore[no-untyped-def]
    return lambda bench: bench.parts[name].state()


def _dots(bench: Bench) -> str:
    """How many dots of the display are lit, and the first row of letters."""
    screen = bench.parts["screen"]
    assert isinstance(screen, SSD1306)
    lit = sum(screen.dot(x, y) for x in range(screen.width) for y in range(screen.height))
    return f"{lit} {screen.picture()[1][:16].rstrip()}"


PROGRAMS: Final[tuple[Program, ...]] = (
    _bus(
        "i2c-scan", "Scan an I2C bus", """
        from machine import I2C, Pin
        i2c = I2C(scl=Pin(5), sda=Pin(4), freq=400000)
        print([hex(address) for address in i2c.scan()])
        """, "['0x3c', '0x68']", parts=lambda: [
            SSD1306("screen", scl=5, sda=4), I2CRegisters("clock", scl=5, sda=4, address=0x68)]),
    _bus(
        "i2c-sensor", "Read and set registers of an I2C part", """
        from machine import SoftI2C, Pin
        i2c = SoftI2C(scl=Pin(5), sda=Pin(4))
        print(i2c.readfrom_mem(0x48, 0, 2))
        i2c.writeto_mem(0x48, 1, b'\\x60')
        i2c.writeto(0x48, b'\\x01')
        print(i2c.readfrom(0x48, 1))
        """, "b'\\x19\\x80'\nb'`'", parts=lambda: [
            I2CRegisters("lm75", scl=5, sda=4, address=0x48, data=b"\x19\x80")]),
    _bus(
        "i2c-nobody", "Be told that no I2C part answers", """
        from machine import SoftI2C, Pin
        try:
            SoftI2C(scl=Pin(5), sda=Pin(4)).writeto(0x20, b'x')
        except OSError as error:
            print(error)
        """, "[Errno 19] ENODEV"),
    _bus(
        "display", "Write on an I2C display", """
        from machine import SoftI2C, Pin
        import ssd1306
        screen = ssd1306.SSD1306_I2C(128, 32, SoftI2C(Pin(5), Pin(4)))
        screen.text('HI', 0, 0)
        screen.hline(0, 31, 128, 1)
        screen.show()
        """, "", parts=lambda: [SSD1306("screen", scl=5, sda=4, height=32)], evidence=_dots,
        seen="176  ██▄▄██    ██"),
    _bus(
        "soft-spi", "Talk to a part by software SPI", """
        from machine import SoftSPI, Pin
        spi = SoftSPI(baudrate=100000, sck=Pin(4), mosi=Pin(5), miso=Pin(12))
        latch = Pin(16, Pin.OUT, value=0)
        spi.write(b'\\xa5')
        latch.on()
        """, "", parts=lambda: [ShiftRegister("out", sck=4, mosi=5, latch=16)], evidence=_state("out"),
        seen="10100101"),
    _bus(
        "hard-spi", "Talk to a part by hardware SPI", """
        from machine import SPI, Pin
        spi = SPI(1, baudrate=4000000, polarity=0, phase=0)
        latch = Pin(15, Pin.OUT, value=0)
        spi.write(b'\\x0f')
        latch.on()
        latch.off()
        spi.write(bytes(range(64)) + b'\\xc3')
        latch.on()
        """, "", parts=lambda: [ShiftRegister("out", sck=14, mosi=13, latch=15)], evidence=_state("out"),
        seen="11000011"),
    _bus(
        "spi-loop", "Read back by hardware SPI", """
        from machine import SPI
        data = bytearray(6)
        SPI(1, baudrate=1000000).write_readinto(b'jumper', data)
        print(data)
        """, "bytearray(b'jumper')", prepare=lambda bench: bench.pins.wire(13, 12)),
    _bus(
        "uart1", "Print on the second serial port", """
        from machine import UART
        uart = UART(1, 9600)
        print(uart.write('hello\\n'))
        """, "6", evidence=lambda bench: bench.uart1.decode().strip(), seen="hello"),
    _bus(
        "uart0", "Read the first serial port", """
        import os, sys, select
        poll = select.poll()
        poll.register(sys.stdin, select.POLLIN)
        print(poll.poll(10))
        """, "[]"),
    _bus(
        "one-wire", "Find 1-wire thermometers", """
        import machine, onewire, ds18x20
        bus = ds18x20.DS18X20(onewire.OneWire(machine.Pin(12)))
        found = bus.scan()
        print(len(found), [rom[0] for rom in found])
        """, "2 [40, 40]", parts=lambda: [DS18B20("tank", 12), DS18B20("pool", 12)]),
    _bus(
        "ds18b20", "Read a DS18B20", """
        import machine, onewire, ds18x20, time
        bus = ds18x20.DS18X20(onewire.OneWire(machine.Pin(12)))
        rom = bus.scan()[0]
        bus.convert_temp()
        time.sleep_ms(750)
        print(bus.read_temp(rom))
        """, "-7.5", parts=lambda: [DS18B20("pool", 12, temperature=-7.5)]),
    _bus(
        "dht22", "Read a DHT22", """
        import dht, machine
        sensor = dht.DHT22(machine.Pin(4))
        sensor.measure()
        print(sensor.temperature(), sensor.humidity())
        """, "-3.5 55.5", parts=lambda: [DHT22("room", 4, temperature=-3.5, humidity=55.5)]),
    _bus(
        "dht11", "Read a DHT11", """
        import dht, machine
        sensor = dht.DHT11(machine.Pin(4))
        sensor.measure()
        print(sensor.temperature(), sensor.humidity())
        """, "23 41", parts=lambda: [DHT11("room", 4, temperature=23, humidity=41)]),
    _bus(
        "neopixel", "Colour a NeoPixel strip", """
        import machine, neopixel
        strip = neopixel.NeoPixel(machine.Pin(2), 3)
        strip[0] = (255, 0, 1)
        strip[1] = (0, 16, 0)
        strip[2] = (3, 4, 128)
        strip.write()
        """, "", parts=lambda: [NeoPixels("strip", 2)], evidence=_state("strip"),
        seen="#ff0001 #001000 #030480"),
    _bus(
        "apa102", "Colour an APA102 strip", """
        from machine import Pin
        from apa102 import APA102
        strip = APA102(Pin(14), Pin(13), 2)
        strip[0] = (255, 128, 0, 31)
        strip[1] = (0, 0, 7, 31)
        strip.write()
        """, "", parts=lambda: [APA102("strip", sck=14, mosi=13)], evidence=_state("strip"),
        seen="#ff8000 #000007"),
)
