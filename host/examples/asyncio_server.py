# An asyncio server says how long it runs, and a lamp blinks beside it.
import asyncio
import time
from machine import Pin

import twoslot


async def served(reader, writer):
    await reader.readline()
    writer.write(b"up for %d s\n" % (time.ticks_ms() // 1000))
    await writer.drain()
    writer.close()
    await writer.wait_closed()


async def blink(lamp):
    while True:
        lamp(not lamp())
        await asyncio.sleep_ms(500)


async def main():
    asyncio.create_task(blink(Pin(5, Pin.OUT, value=0)))
    await asyncio.start_server(served, "0.0.0.0", 80)
    await twoslot.task()


asyncio.run(main())
