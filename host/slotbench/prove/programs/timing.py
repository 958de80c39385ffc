"""Programs about time: clocks, timers, sleep, restarts, asyncio."""

from __future__ import annotations

from typing import Final

from slotbench.prove.programs.program import Program, program

__all__ = ["PROGRAMS"]

_time = program("Time and restarts")
_asyncio = program("asyncio")

PROGRAMS: Final[tuple[Program, ...]] = (
    _time(
        "sleep", "Sleep, and measure it", """
        import time
        start = time.ticks_ms()
        time.sleep(0.25)
        time.sleep_ms(50)
        print(299 <= time.ticks_diff(time.ticks_ms(), start) <= 303)
        """, "True"),
    _time(
        "microseconds", "Measure microseconds", """
        import time
        start = time.ticks_us()
        time.sleep_us(500)
        print(500 <= time.ticks_diff(time.ticks_us(), start) < 700)
        """, "True"),
    _time(
        "calendar", "Convert dates", """
        import time
        print(time.mktime((2026, 11, 29, 10, 0, 0, 0, 0)))
        print(time.gmtime(0)[:3], time.localtime(849261600)[:6])
        """, "849261600\n(2000, 1, 1) (2026, 11, 29, 10, 0, 0)"),
    _time(
        "rtc", "Set the clock", """
        from machine import RTC
        import time
        rtc = RTC()
        rtc.datetime((2026, 11, 29, 6, 10, 0, 0, 0))
        time.sleep_ms(1100)
        print(rtc.datetime()[:7], time.localtime()[:6])
        """, "(2026, 11, 29, 6, 10, 0, 1) (2026, 11, 29, 10, 0, 1)"),
    _time(
        "rtc-memory", "Keep bytes over a restart", """
        import machine
        machine.RTC().memory(b'count 7')
        machine.reset()
        """, "b'count 7' True", then="""
        import machine
        print(machine.RTC().memory(), machine.reset_cause() == machine.SOFT_RESET)
        """),
    _time(
        "timer", "Repeat with a timer", """
        from machine import Timer
        import time
        count = 0
        def tick(timer):
            global count
            count += 1
        timer = Timer(-1)
        timer.init(period=50, mode=Timer.PERIODIC, callback=tick)
        time.sleep_ms(275)
        timer.deinit()
        print(count)
        """, "5"),
    _time(
        "one-shot", "Do something later, once", """
        from machine import Timer
        import time
        done = []
        timer = Timer(-1)
        timer.init(period=30, mode=Timer.ONE_SHOT, callback=done.append)
        time.sleep_ms(200)
        timer.deinit()
        print(len(done))
        """, "1"),
    _time(
        "deepsleep", "Sleep deeply, and wake", """
        import machine
        rtc = machine.RTC()
        rtc.irq(trigger=rtc.ALARM0, wake=machine.DEEPSLEEP)
        rtc.alarm(rtc.ALARM0, 5000)
        machine.deepsleep()
        """, "True", then="""
        import machine
        print(machine.reset_cause() == machine.DEEPSLEEP_RESET)
        """),
    _time(
        "deepsleep-ms", "Sleep deeply for so long", """
        import machine
        machine.RTC().memory(b'x')
        machine.deepsleep(3000)
        """, "True b'x'", then="""
        import machine
        print(machine.reset_cause() == machine.DEEPSLEEP_RESET, machine.RTC().memory())
        """),
    _time(
        "lightsleep", "Sleep lightly", """
        import machine, time
        start = time.ticks_ms()
        machine.lightsleep(200)
        print(195 <= time.ticks_diff(time.ticks_ms(), start) <= 215)
        """, "True"),
    _time(
        "watchdog", "Be restarted by the watchdog", """
        from machine import WDT
        import time
        dog = WDT()
        dog.feed()
        while True:
            time.sleep_ms(100)
        """, "True", then="""
        import machine
        print(machine.reset_cause() in (1, 3))
        """, limit_s=30.0),
    _time(
        "soft-reset", "Restart Python", """
        import machine
        kept = 1
        machine.soft_reset()
        """, "gone", then="""
        print('there' if 'kept' in globals() else 'gone')
        """),
    _time(
        "frequency", "Run at 160 MHz", """
        import machine
        machine.freq(160000000)
        print(machine.freq())
        machine.freq(80000000)
        print(machine.freq())
        """, "160000000\n80000000"),
    _time(
        "irq-off", "Switch interrupts off for a moment", """
        import machine
        state = machine.disable_irq()
        machine.enable_irq(state)
        print(type(state))
        """, "<class 'int'>"),
    _time(
        "schedule", "Schedule a call", """
        import micropython, time
        micropython.schedule(print, 'later')
        time.sleep_ms(1)
        """, "later"),
    _asyncio(
        "tasks", "Run two tasks", """
        import asyncio
        async def say(word, ms):
            for i in range(2):
                await asyncio.sleep_ms(ms)
                print(word, i)
        async def main():
            await asyncio.gather(say('a', 20), say('b', 50))
        asyncio.run(main())
        """, "a 0\na 1\nb 0\nb 1"),
    _asyncio(
        "timeout", "Give up after a while", """
        import asyncio
        async def slow():
            await asyncio.sleep(5)
        async def main():
            try:
                await asyncio.wait_for_ms(slow(), 100)
            except asyncio.TimeoutError:
                print('too late')
        asyncio.run(main())
        """, "too late"),
    _asyncio(
        "event", "Wait for an event under a lock", """
        import asyncio
        async def main():
            event, lock = asyncio.Event(), asyncio.Lock()
            async def waits():
                async with lock:
                    await event.wait()
                    print('seen')
            task = asyncio.create_task(waits())
            await asyncio.sleep_ms(10)
            print(lock.locked())
            event.set()
            await task
        asyncio.run(main())
        """, "True\nseen"),
)
