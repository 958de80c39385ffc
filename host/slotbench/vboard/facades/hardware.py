"""esp and machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from slotbench.vboard import clock
from slotbench.vboard.facades.timing import from_2000, since_2000
from slotbench.vboard.memory import DRAM
from slotbench.vboard.runtime import Runtime
from slotbench.vboard.signals import ChipReset, DeviceOSError

__all__ = ["MODULES"]

_FREE_SDK_HEAP = 13_000
_TIMER_US_MIN = 100
_DEEPSLEEP_ALARM = 4


def _esp(rt: Runtime) -> Mapping[str, Any]:
    soc = rt.soc

    def flash_read(offset: int, into: Any) -> bytes | None:
        rt.poll()
        return soc.flash_read(offset, into)

    def flash_write(offset: int, data: Any) -> None:
        rt.poll()
        soc.flash_write(offset, data)

    def flash_erase(sector: int) -> None:
        rt.poll()
        soc.flash_erase(sector)

    return {
        "flash_id": lambda: soc.flash_id,
        "flash_size": lambda: soc.chip_size,
        "flash_user_start": lambda: soc.user_start,
        "flash_read": flash_read,
        "flash_write": flash_write,
        "flash_erase": flash_erase,
        "freemem": lambda: _FREE_SDK_HEAP,
        "malloc": soc.sdk.malloc,
        "osdebug": lambda level: None,
        "deepsleep": lambda us=0, option=0: rt.deepsleep(us),
    }


def _machine(rt: Runtime) -> Mapping[str, Any]:
    frequency = [80_000_000]

    def freq(hz: int | None = None) -> int | None:
        if hz is None:
            return frequency[0]
        if hz not in (80_000_000, 160_000_000):
            raise ValueError("frequency can only be either 80Mhz or 160MHz")
        frequency[0] = hz
        return None

    def reset() -> None:
        rt.soc.require_power()
        raise ChipReset(4)

    def soft_reset() -> None:
        raise SystemExit

    def lightsleep(ms: int | None = None) -> None:
        rt.wait_us(ms * 1000 if ms is not None else None)

    timer = _bound(_MachineTimer, rt)
    rt.timer_at = timer.at
    return {
        "mem32": _WordAccess(rt),
        "reset": reset,
        "soft_reset": soft_reset,
        "reset_cause": lambda: rt.soc.reset_reason,
        "unique_id": lambda: rt.soc.unique_id,
        "freq": freq,
        "idle": rt.poll,
        "lightsleep": lightsleep,
        "deepsleep": lambda ms=None: rt.deepsleep(0 if ms is None else max(1, ms) * 1000),
        "disable_irq": lambda: 0,
        "enable_irq": lambda state: None,
        "RTC": lambda: _Rtc(rt),
        "Timer": timer,
        "WDT": lambda id=0, timeout=5000: _Watchdog(rt, id, timeout),
        "Pin": _bound(_MachinePin, rt),
        "DEEPSLEEP": _DEEPSLEEP_ALARM,
        "PWRON_RESET": 0,
        "WDT_RESET": 1,
        "SOFT_RESET": 4,
        "DEEPSLEEP_RESET": 5,
        "HARD_RESET": 6,
    }


def _bound(kind: type[Any], rt: Runtime) -> type[Any]:
    """A class of this boot, so that device code reaches its constants and its constructor alike."""
    return type(kind.__name__.removeprefix("_Machine"), (kind,), {"_rt": rt})


class _WordAccess:
    """machine.mem32: words only; RTC memory and DPORT take no other access."""

    __slots__ = ("_rt", "_soc")

    def __init__(self, rt: Runtime) -> None:
        self._rt = rt
        self._soc = rt.soc

    def __getitem__(self, addr: int) -> int:
        if addr & 3:
            self._misaligned(addr)
        return self._rt.objects.read(addr) if addr in DRAM else self._soc.read_word(addr)

    def __setitem__(self, addr: int, value: int) -> None:
        if addr & 3:
            self._misaligned(addr)
        if addr in DRAM:
            self._rt.objects.write(addr, value & 0xFFFFFFFF, self._rt.timer_at)
        else:
            self._soc.write_word(addr, value)

    @staticmethod
    def _misaligned(addr: int) -> None:
        raise ValueError(f"address {addr:08x} is not aligned to 4 bytes")


class _Rtc:
    """machine.RTC: a singleton on the port, so nothing is kept in the object."""

    ALARM0 = 0

    def __init__(self, rt: Runtime) -> None:
        self._rt = rt

    def memory(self, data: bytes | None = None) -> bytes | None:
        self._rt.poll()
        if data is None:
            return self._rt.rtc_memory()
        self._rt.set_rtc_memory(bytes(data))
        return None

    def datetime(self, value: tuple[int, ...] | None = None) -> tuple[int, ...] | None:
        """(year, month, day, weekday, hour, minute, second, millisecond)."""
        self._rt.poll()
        if value is None:
            seconds, us = divmod(self._rt.rtc_us(), 1_000_000)
            year, month, day, hour, minute, second, weekday, _ = from_2000(seconds)
            return year, month, day, weekday, hour, minute, second, us // 1000
        year, month, day, _, hour, minute, second, ms = value
        seconds = since_2000((year, month, day, hour, minute, second))
        self._rt.set_rtc_us((seconds * 1000 + ms) * 1000)
        return None


class _MachineTimer:
    """machine.Timer: the callback is scheduled, and runs between two bytecodes of the program.

    `place` is where it lies in the SDK's heap, 0 for MicroPython's.
    """

    ONE_SHOT = 0
    PERIODIC = 1
    _rt: Runtime

    def __init__(self, id: int) -> None:
        self.place = 0
        self._timer: clock.QueuedTimer | None = None

    @classmethod
    def at(cls, place: int) -> _MachineTimer:
        """The timer whose object lies at `place`."""
        timer = cls(-1)
        timer.place = place
        return timer

    def init(
        self,
        *,
        mode: int = PERIODIC,
        callback: Callable[[object], object] | None = None,
        period: int = 0xFFFFFFFF,
        tick_hz: int = 1000,
        freq: float | None = None,
    ) -> None:
        self.deinit()
        us = int(1_000_000 / freq) if freq is not None else period * 1_000_000 // tick_hz
        self._arm(max(us, _TIMER_US_MIN), mode, callback)

    def deinit(self) -> None:
        self._rt.disarm(self._timer, self.place)
        self._timer = None

    def _arm(self, us: int, mode: int, callback: Callable[[object], object] | None) -> None:
        def fire() -> None:
            self._rt.disarm(self._timer, self.place)
            if mode == self.PERIODIC:
                self._arm(us, mode, callback)
            if callback is not None:
                self._rt.schedule(callback, self)

        self._timer = self._rt.arm(self._rt.clock.us + us, fire, self.place)


class _Watchdog:
    """machine.WDT: from now on the program must feed the SDK's soft watchdog."""

    def __init__(self, rt: Runtime, id: int, timeout: int) -> None:
        if id != 0 or timeout != 5000:
            raise ValueError
        self._rt = rt
        rt.feed_watchdog()

    def feed(self) -> None:
        self._rt.poll()
        self._rt.feed_watchdog()


class _MachinePin:
    """machine.Pin, as far as a level and its edges go; pins are at reset state after a start.

    A handler is a soft one, as usual on the port: it is scheduled, and runs between two bytecodes.
    """

    IN, OUT, OPEN_DRAIN, PULL_UP = 0, 1, 2, 1
    IRQ_RISING, IRQ_FALLING = 1, 2
    _rt: Runtime

    def __init__(self, id: int, mode: int = -1, pull: int = -1, *, value: int | None = None) -> None:
        if not 0 <= id <= 16:
            raise ValueError("invalid pin")
        self._id = id
        if value is not None:
            self.value(value)

    def __call__(self, level: int | None = None) -> int | None:
        return self.value(level)

    def value(self, level: int | None = None) -> int | None:
        pins = self._rt.pins
        if level is None:
            return pins.get(self._id, 1)
        pins[self._id] = int(bool(level))
        return None

    def irq(
        self, handler: Callable[[object], object] | None = None, trigger: int = IRQ_RISING | IRQ_FALLING,
    ) -> None:
        """Call `handler` with this pin at the edges of `trigger`; GPIO16 has no interrupt."""
        if self._id == 16:
            raise DeviceOSError("IRQ not supported")
        self._rt.watched.pop(self._id, None)
        if handler is not None:
            self._rt.watched[self._id] = (trigger, handler, self)

    def on(self) -> None:
        self.value(1)

    def off(self) -> None:
        self.value(0)


MODULES = {"esp": _esp, "machine": _machine}
