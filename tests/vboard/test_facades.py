"""The port's modules on the virtual board: time, timers, RTC, network state, and their odds and ends."""

from __future__ import annotations

import pytest

from slotbench.vboard.network.wsgi import WsgiNetwork
from slotbench.vboard.signals import BenchViolation, ChipReset
from slotbench.vboard.soc import Soc
from slotbench.vboard.vm import CPythonVM
from support.vboard.flash import bare_flash
from support.vboard.first_boot import start


@pytest.fixture
def soc() -> Soc:
    return Soc(bare_flash(), sdk_save_every=0)


@pytest.fixture
def vm(soc: Soc) -> CPythonVM:
    return start(soc)


# time


def test_sleeping_takes_virtual_time_only(vm: CPythonVM, soc: Soc) -> None:
    start_us = soc.clock.us
    vm.exec("time.sleep(3600)\ntime.sleep_ms(5)\ntime.sleep_us(7)\ntime.sleep_ms(-5)")
    assert soc.clock.us - start_us == 3_600_005_007


def test_a_loop_that_only_looks_at_the_clock_comes_to_an_end(vm: CPythonVM) -> None:
    vm.exec("t = time.ticks_ms()\nwhile time.ticks_diff(time.ticks_ms(), t) < 50:\n    pass")


def test_ticks_wrap_at_2_to_the_30(vm: CPythonVM, soc: Soc) -> None:
    vm.exec("before = time.ticks_ms()")
    soc.clock.advance_ms((1 << 30) - 100)
    vm.exec("late = time.ticks_ms()\ntime.sleep_ms(500)\nafter = time.ticks_ms()")
    assert vm.eval("late") > 1 << 29 and vm.eval("after") < 1000
    assert vm.eval("time.ticks_diff(after, late)") == 500
    assert vm.eval("time.ticks_add(late, 500)") == vm.eval("after")
    with pytest.raises(OverflowError):
        vm.eval("time.ticks_add(0, 1 << 29)")


def test_an_unset_clock_counts_seconds_since_boot(vm: CPythonVM) -> None:
    vm.exec("time.sleep(100)")
    assert vm.eval("time.time()") == 100
    assert vm.eval("time.localtime(0)[:6]") == (2000, 1, 1, 0, 0, 0)
    assert vm.eval("time.mktime((2026, 1, 1, 0, 0, 0, 0, 0))") == 820540800


def test_a_set_clock_survives_a_restart_and_not_a_loss_of_power(vm: CPythonVM, soc: Soc) -> None:
    vm.exec("machine.RTC().datetime((2026, 5, 4, 0, 12, 0, 0, 0))")
    assert vm.eval("time.localtime()[:4]") == (2026, 5, 4, 12)
    assert vm.eval("machine.RTC().datetime()[:5]") == (2026, 5, 4, 0, 12)
    soc.start(4)
    assert start(soc).eval("time.localtime()[:3]") == (2026, 5, 4)
    soc.power_off()
    soc.power_on()
    assert start(soc).eval("time.time()") < 10


def test_time_goes_on_through_deep_sleep(vm: CPythonVM, soc: Soc) -> None:
    vm.exec("machine.RTC().datetime((2026, 5, 4, 0, 12, 0, 0, 0))\ntime.sleep(60)")
    with pytest.raises(ChipReset) as caught:
        vm.exec("machine.deepsleep(30000)")
    assert (caught.value.reason, caught.value.sleep_us) == (5, 30_000_000)
    soc.clock.advance_us(30_000_000)
    soc.start(5)
    woken = start(soc)
    assert woken.eval("time.localtime()[3:6]") == (12, 1, 30)
    assert woken.eval("machine.reset_cause() == machine.DEEPSLEEP_RESET")


# timers, callbacks, watchdog, Ctrl-C


def test_a_timer_fires_while_the_program_sleeps(vm: CPythonVM) -> None:
    vm.exec(
        "seen = []\n"
        "timer = machine.Timer(-1)\n"
        "def fired(t):\n    seen.append((t, time.ticks_ms()))\n"
        "timer.init(period=1000, mode=machine.Timer.ONE_SHOT, callback=fired)\n"
        "start = time.ticks_ms()\n"
        "time.sleep_ms(900)\n"
        "assert not seen\n"
        "time.sleep_ms(5000)\n"
        "assert seen[0][0] is timer and 1000 <= time.ticks_diff(seen[0][1], start) <= 1001\n"
        "assert len(seen) == 1\n"
    )


def test_periodic_timers_go_on_until_they_are_stopped(vm: CPythonVM) -> None:
    vm.exec(
        "count = 0\n"
        "def tick(t):\n    global count\n    count += 1\n"
        "timer = machine.Timer(-1)\n"
        "timer.init(period=100, callback=tick)\n"
        "time.sleep_ms(1050)\n"
        "timer.deinit()\n"
        "time.sleep_ms(1000)\n"
    )
    assert vm.eval("count") == 10


def test_the_timer_takes_its_number_only_as_on_the_port(vm: CPythonVM) -> None:
    with pytest.raises(TypeError):
        vm.exec("machine.Timer(-1, period=5)")
    with pytest.raises(TypeError):
        vm.exec("machine.Timer()")


def test_a_callback_that_fails_is_printed_and_the_program_goes_on(vm: CPythonVM) -> None:
    vm.exec("machine.Timer(-1).init(period=10, mode=0, callback=lambda t: 1 / 0)")
    vm.exec("time.sleep_ms(20)\nprint('on')")
    assert "ZeroDivisionError" in vm.output and vm.output.endswith("on\n")


def test_a_callback_that_resets_ends_the_program(vm: CPythonVM) -> None:
    vm.exec("machine.Timer(-1).init(period=10, mode=0, callback=lambda t: machine.reset())")
    with pytest.raises(ChipReset):
        vm.exec("while True:\n    time.sleep_ms(1)")


def test_callbacks_do_not_nest(vm: CPythonVM) -> None:
    vm.exec(
        "depth = most = 0\n"
        "def tick(t):\n"
        "    global depth, most\n"
        "    depth += 1\n    most = max(most, depth)\n    time.sleep_ms(50)\n    depth -= 1\n"
        "machine.Timer(-1).init(period=10, callback=tick)\n"
        "time.sleep_ms(500)\n"
    )
    assert vm.eval("most") == 1


def test_micropython_schedule(vm: CPythonVM) -> None:
    vm.exec("import micropython\nseen = []\nmicropython.schedule(seen.append, 7)\ntime.sleep_ms(1)")
    assert vm.eval("seen") == [7]
    with pytest.raises(RuntimeError, match="queue full"):
        vm.exec("for i in range(5):\n    micropython.schedule(seen.append, i)")


def test_an_unfed_watchdog_resets(vm: CPythonVM, soc: Soc) -> None:
    vm.exec("dog = machine.WDT()\nfor _ in range(10):\n    time.sleep_ms(3000)\n    dog.feed()")
    fed_ms = soc.clock.ms
    with pytest.raises(ChipReset) as caught:
        vm.exec("time.sleep_ms(60000)")
    assert caught.value.reason == 3 and soc.clock.ms - fed_ms == 3200


def test_ctrl_c_comes_at_its_virtual_time(vm: CPythonVM, soc: Soc) -> None:
    due = soc.clock.ms + 5000
    vm.interrupt_at(due)
    with pytest.raises(KeyboardInterrupt):
        vm.exec("while True:\n    time.sleep(60)")
    assert soc.clock.ms == due
    with pytest.raises(KeyboardInterrupt):
        vm.exec("try:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    time.sleep(60)")
    assert soc.clock.ms == due + 2000, "a person who is not heard presses again every second"


def test_waiting_for_ever_is_noticed(vm: CPythonVM) -> None:
    with pytest.raises(BenchViolation, match="waits for ever"):
        vm.exec("machine.lightsleep()")


# memory words and RTC memory


def test_mem32(vm: CPythonVM) -> None:
    vm.exec("machine.mem32[0x600013E0] = 0x80000000")
    assert vm.eval("machine.mem32[0x600013E0]") == -0x80000000
    with pytest.raises(ValueError, match="not aligned"):
        vm.eval("machine.mem32[0x600013E1]")


def test_rtc_memory_of_the_user_lies_before_the_tail_unless_it_is_too_long(vm: CPythonVM) -> None:
    vm.exec("machine.mem32[0x600013E0] = 0x31525332\nmachine.RTC().memory(bytes(460))")
    assert vm.eval("machine.mem32[0x600013E0]") == 0x31525332
    vm.exec("machine.RTC().memory(b'x' * 461)")
    assert vm.eval("machine.mem32[0x600013E0] & 0xFF") == ord("x")
    assert vm.eval("machine.RTC().memory()") == b"x" * 461
    with pytest.raises(ValueError, match="buffer too long"):
        vm.exec("machine.RTC().memory(bytes(493))")


def test_pins_are_at_reset_state_after_a_start(vm: CPythonVM, soc: Soc) -> None:
    vm.exec("led = machine.Pin(2, machine.Pin.OUT)\nled.off()")
    assert vm.eval("(led(), led.value())") == (0, 0)
    soc.start(4)
    assert start(soc).eval("machine.Pin(2).value()") == 1


# network state


def test_the_station_associates_by_itself_after_a_while(soc: Soc) -> None:
    vm = start(soc, WsgiNetwork(lambda environ, respond: []))
    vm.exec("wlan = network.WLAN(network.STA_IF)")
    assert vm.eval("wlan.active(), wlan.isconnected(), wlan.status()") == (True, False, 1)
    vm.exec("time.sleep(4)")
    assert vm.eval("wlan.isconnected(), wlan.status(), wlan.ifconfig()[0]") == (True, 5, "192.168.100.3")
    vm.exec("wlan.active(False)")
    assert vm.eval("wlan.isconnected()") is False
    vm.exec("wlan.active(True)\nwlan.connect('ssid', 'key')")
    assert vm.eval("wlan.isconnected()") is False
    vm.exec("time.sleep(4)")
    assert vm.eval("wlan.isconnected()") is True
    assert vm.eval("network.WLAN(network.AP_IF).active()") is False
    assert len(vm.eval("wlan.config('mac')")) == 6


def test_out_of_reach_of_the_access_point(vm: CPythonVM) -> None:
    vm.exec("time.sleep(60)\nwlan = network.WLAN(network.STA_IF)")
    assert vm.eval("wlan.isconnected(), wlan.status(), wlan.ifconfig()[0]") == (False, 3, "0.0.0.0")
    with pytest.raises(OSError) as caught:
        vm.exec("socket.getaddrinfo('server', 80)")
    assert caught.value.errno == -2


def test_asyncio_runs_tasks_in_virtual_time(vm: CPythonVM, soc: Soc) -> None:
    start_ms = soc.clock.ms
    vm.exec(
        "import asyncio\nseen = []\n"
        "async def beat(name, ms):\n"
        "    for _ in range(3):\n        await asyncio.sleep_ms(ms)\n        seen.append(name)\n"
        "async def main():\n"
        "    task = asyncio.create_task(beat('b', 300))\n"
        "    endless = asyncio.create_task(beat('never', 5000))\n"
        "    await beat('a', 200)\n"
        "    await task\n"
        "    endless.cancel()\n"
        "    await asyncio.sleep(1)\n"
        "    return 'done'\n"
        "result = asyncio.run(main())\n"
    )
    assert vm.eval("result, ''.join(seen)") == ("done", "ababab")
    assert 1900 <= soc.clock.ms - start_ms <= 1910


def test_a_task_that_fails_is_printed_and_the_others_go_on(vm: CPythonVM, soc: Soc) -> None:
    vm.exec(
        "import asyncio\n"
        "async def fails():\n    1 / 0\n"
        "async def main():\n"
        "    task = asyncio.create_task(fails())\n"
        "    await asyncio.sleep_ms(10)\n"
        "    return task.done()\n"
        "result = asyncio.run(main())\n"
        "loop = asyncio.get_event_loop()\n"
    )
    assert vm.eval("result") and vm.output.startswith("Task exception wasn't retrieved\nTraceback")
    with pytest.raises(ZeroDivisionError):
        vm.exec("asyncio.run(fails())")
    vm.interrupt_at(soc.clock.ms + 1000)
    with pytest.raises(KeyboardInterrupt):
        vm.exec("loop.run_forever()")


# what is left of the smaller modules


def test_machine_and_esp_odds(vm: CPythonVM, soc: Soc) -> None:
    vm.exec("machine.freq(160000000)\nmachine.enable_irq(machine.disable_irq())\nmachine.idle()")
    assert vm.eval("machine.freq(), machine.unique_id()") == (160_000_000, soc.unique_id)
    with pytest.raises(ValueError):
        vm.exec("machine.freq(1)")
    for bad in ("machine.Pin(17)", "machine.WDT(timeout=1000)", "network.WLAN(2)"):
        with pytest.raises(ValueError):
            vm.exec(bad)
    assert vm.eval("esp.flash_size(), esp.flash_user_start()") == (0x400000, 0x100000)
    with pytest.raises(ChipReset) as caught:
        vm.exec("esp.deepsleep(0)")
    assert (caught.value.reason, caught.value.sleep_us) == (5, None)


def test_esp_flash_calls_are_the_chips(vm: CPythonVM, soc: Soc) -> None:
    vm.exec("esp.flash_erase(0x100)\nesp.flash_write(0x100000, b'abcd')\nb = bytearray(4)")
    vm.exec("esp.flash_read(0x100000, b)")
    assert vm.eval("bytes(b), esp.flash_read(0x100000, 4)") == (b"abcd", b"abcd")
    assert [op.actor for op in soc.flash.log or []] == ["python", "python"]


def test_network_odds(vm: CPythonVM) -> None:
    vm.exec("import micropython\nap = network.WLAN(network.AP_IF)\nnetwork.hostname('lamp')")
    assert vm.eval("ap.status(), network.hostname(), ap.config('mac')[:3]") == (-1, "lamp", b"\x5c\xcf\x7f")
    assert vm.eval("network.WLAN(0).status('rssi')") == -60
    with pytest.raises(OSError):
        vm.exec("ap.connect('x')")
    with pytest.raises(ValueError):
        vm.exec("ap.config('colour')")


def test_heap_locks_are_counted(vm: CPythonVM) -> None:
    vm.exec("import micropython\nmicropython.heap_lock()\nlocked = micropython.heap_locked()\n"
            "left = micropython.heap_unlock()\ngc.collect()\ngc.disable()\non = gc.isenabled()\ngc.enable()")
    assert vm.eval("locked, left, on, gc.isenabled(), gc.mem_free() > 0") == (1, 0, False, True, True)
    assert vm.runtime.heap_locks == 1
    assert vm.eval("micropython.const(5)") == 5


# os


def test_a_filesystem_that_is_mounted_lists_itself(vm: CPythonVM) -> None:
    vm.exec(
        "import os\n"
        "class Names:\n"
        "    def mount(self, readonly, mkfs): pass\n"
        "    def ilistdir(self, path): return iter([(path[1:] + 'x.mpy', 0x8000, 0)])\n"
        "os.mount(Names(), '/m')\n")
    assert vm.eval("os.listdir('/m/a-')") == ["a-x.mpy"]
    assert vm.eval("list(os.ilistdir('/m'))") == [("x.mpy", 0x8000, 0)]


def test_a_filesystem_is_told_that_it_is_unmounted(vm: CPythonVM) -> None:
    """As MicroPython does: device/twoslot/modules.py gives its imports back there."""
    vm.exec(
        "import os\n"
        "told = []\n"
        "class Names:\n"
        "    def mount(self, readonly, mkfs): pass\n"
        "    def umount(self): told.append('m' in os.listdir('/'))\n"
        "os.mount(Names(), '/m')\n"
        "os.umount('/m')\n")
    assert vm.eval("told") == [False]
