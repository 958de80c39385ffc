"""What the program in the VM asks of the board: answered by the same facades as under CPython."""

from __future__ import annotations

import functools
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

from slotbench.vboard.facades import build
from slotbench.vboard.micropython.filesystem import BoardFilesystem
from slotbench.vboard.micropython.wire import VM_ERRORS, Inside, failed, parse, plain_request, told
from slotbench.vboard.flash.nor import SECTOR
from slotbench.vboard.runtime import Runtime
from slotbench.vboard.signals import BenchViolation

__all__ = ["IDLE_REQUESTS", "WITH_BYTES", "HostCalls", "VmRequest", "far"]

_FAR: Final = ("machine", "esp", "network", "socket", "select", "time", "random", "os.urandom",
               "micropython.kbd_intr", "sys.stdin", "sys.stdin.buffer")


class VmRequest(IntEnum):
    """The first word of a request in numbers (inside/bench.py)."""

    DONE = 1
    WORD_GET = 2
    WORD_SET = 3
    FLASH_READ = 4
    FLASH_WRITE = 5
    FLASH_ERASE = 6
    SOCKET_READ = 7
    SOCKET_WRITE = 8
    TICKS = 9
    SLEEP = 10
    DISK_READ = 11
    DISK_WRITE = 12
    DISK_ERASE = 13


WITH_BYTES: Final = frozenset({VmRequest.FLASH_WRITE, VmRequest.SOCKET_WRITE, VmRequest.DISK_WRITE})
"""Behind these come the bytes that are written."""


IDLE_REQUESTS: Final = frozenset({VmRequest.TICKS, VmRequest.SLEEP, VmRequest.WORD_GET, VmRequest.WORD_SET})
"""A program that asks for nothing else has begun no update."""

_LOOP: Final = (Path(__file__).parent / "inside" / "loop.py").read_text()

_PIN: Final = """\
class Pin(Far):
    IN, OUT, OPEN_DRAIN, PULL_UP, IRQ_RISING, IRQ_FALLING = 0, 1, 2, 1, 1, 2
    def __init__(self, *a, **k):
        self._n = call(-4, a, k)
    def irq(self, handler=None, trigger=3):
        self.cb = handler
        timers[self._n] = self
        self.watch(handler is not None, trigger)
sys.modules["machine"].Pin = Pin
"""
"""machine.Pin inside the VM. It takes its bytes from the heap only of a program that asks for it.
"""

_MALLOC: Final = """\
class PlacedTimer(Timer):
    def __init__(self, n):
        self._n = n
held = []
def id(o):
    held.append(o)
    return call(-5, (len(held) - 1, (o[0] if isinstance(o, list) else o)._n, isinstance(o, list)), {})
__import__("builtins").id = id
"""
"""id() inside the VM, with addresses of the chip's DRAM, for a program that asks for esp.malloc. It takes
its bytes from the heap of that program only.
"""

_POLL: Final = """\
class Poll(Far):
    def __init__(self):
        self._n = call(-6, (), {})
        self.all = {}
    def register(self, s, *events):
        if not isinstance(s, Far):
            return  # a stream of this computer, which no board has
        self.all[call(-7, (self._n, "register", s) + events, {})] = s
    def modify(self, s, events):
        call(-7, (self._n, "modify", s, events), {})
    def unregister(self, s):
        self.all.pop(call(-7, (self._n, "unregister", s), {}), None)
    def poll(self, *ms):
        return [(self.all[n], events) for n, events in call(-8, (self._n,) + ms, {})]
    ipoll = poll
def poll():
    core = sys.modules.get("asyncio.core")
    if core and core.Task is not LoopTask:
        core.Task, core.TaskQueue, core._task_queue = LoopTask, LoopQueue, LoopQueue()
    return Poll()
"""
"""select.poll() inside the VM, which gives back the objects that it was given. asyncio asks for one when it
makes its loop, and gets its tasks (loop.py) then.
"""

_FIRST_FAR: Final = -9


def far(path: str) -> int:
    """The number by which the VM asks for a module or for `module.name`."""
    return _FIRST_FAR - _FAR.index(path)


class HostCalls:
    """Answers requests. `fire` calls the callback of the VM's timer or pin with this number;
    `inside` runs text in the bench's module there; `filesystem` is that of the flash.
    """

    def __init__(
        self, runtime: Runtime, fire: Callable[[int], object], inside: Callable[[str], object],
        filesystem: BoardFilesystem,
    ) -> None:
        self._runtime = runtime
        self._fire = fire
        self._inside = inside
        self._filesystem = filesystem
        self._modules: dict[str, Any] = {}
        self._objects: dict[int, Any] = {}
        self._methods: dict[tuple[int, str], Any] = {}
        self._defined: set[str] = set()
        self.result: Any = None
        """What the VM handed over with Far(0)."""

    def answer_text(self, line: str) -> bytes:
        """Answer `(number, name)`: an attribute; or `(number, args, kwargs)`: a call."""
        try:
            number, *rest = plain_request(line) or parse(line, self._find)
        except (ValueError, SyntaxError):
            raise BenchViolation(f"an argument that the bench cannot pass on: {line.strip()}") from None
        if len(rest) == 1:
            return self._answer(lambda: self._attribute(number, *rest))
        return self._answer(lambda: self._call(number, *rest))

    def answer_numbers(self, what: int, a: int, b: int, take: Callable[[int], bytes]) -> bytes:
        """Answer a request in numbers; `take` reads the bytes that belong to it."""
        if what == VmRequest.FLASH_READ:
            return self._filled(b, lambda buffer: self._module("esp").flash_read(a, buffer) or b)
        if what == VmRequest.SOCKET_READ:
            return self._filled(b, lambda buffer: self._find(a).readinto(buffer))
        if what == VmRequest.DISK_READ:
            return self._filled(b, lambda buffer: self._read_disk(a, buffer))
        data = take(b) if what in WITH_BYTES else b""
        return self._answer(lambda: self._number(what, a, b, data))

    def _number(self, what: int, a: int, b: int, data: bytes) -> Any:
        match what:
            case VmRequest.WORD_GET:
                return self._module("machine").mem32[a & 0xFFFFFFFF]
            case VmRequest.WORD_SET:
                self._module("machine").mem32[a & 0xFFFFFFFF] = b
                return None
            case VmRequest.FLASH_WRITE:
                self._module("esp").flash_write(a, data)
                return self._filesystem.note_flash(a, len(data))
            case VmRequest.FLASH_ERASE:
                self._module("esp").flash_erase(a)
                return self._filesystem.note_flash(a * SECTOR, SECTOR)
            case VmRequest.DISK_WRITE:
                return self._filesystem.write_block(a, data)
            case VmRequest.DISK_ERASE:
                return self._filesystem.erase_block(a)
            case VmRequest.SOCKET_WRITE:
                return self._objects[a].write(data)
            case VmRequest.TICKS:
                return self._module("time").ticks_ms()
            case VmRequest.SLEEP:
                return self._module("time").sleep_ms(a)
        raise BenchViolation(f"the VM asks for {what}, which is nothing")

    def _read_disk(self, offset: int, buffer: bytearray) -> int:
        buffer[:] = self._filesystem.read_block(offset, len(buffer))
        return len(buffer)

    def _filled(self, length: int, fill: Callable[[bytearray], int | None]) -> bytes:
        """Answer with the number of bytes, and with those bytes behind it."""
        buffer = bytearray(length)
        count = 0

        def read() -> int | None:
            nonlocal count
            got = fill(buffer)
            count = got or 0
            return got

        return self._answer(read) + bytes(buffer[:count])

    def _attribute(self, number: int, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name == "Pin" and number == far("machine"):
            self._inside(_PIN)
            return Inside("Pin")
        if name == "poll" and number == far("select"):
            if "Poll" not in self._defined:
                self._defined.add("Poll")
                self._inside(_LOOP)
                self._inside(_POLL)
            return Inside("poll")
        if name == "malloc" and number == far("esp") and (number, name) not in self._methods:
            self._inside(_MALLOC)
        if (number, name) not in self._methods:
            value = getattr(self._find(number), name)
            if not callable(value):
                return value
            self._methods[number, name] = value
        return self._methods[number, name]

    def _call(self, number: int, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        match number:
            case 0:
                (self.result,) = args
                return None
            case -1:
                return self._handle(self._module("socket").socket(*args))
            case -2:
                return self._handle(_VmTimer(self._module("machine").Timer(*args), self._handle, self._fire))
            case -3:
                return self._module("esp").flash_read(*args)
            case -4:
                pin = self._module("machine").Pin(*args, **named)
                return self._handle(_VmPin(pin, self._handle, self._fire))
            case -5:
                return self._address_of(*args)
            case -6:
                return self._handle(self._module("select").poll())
            case -7:
                getattr(self._find(args[0]), args[1])(*args[2:])
                return self._handle(args[2])
            case -8:
                return [(self._handle(it), events) for it, events in self._find(args[0]).poll(*args[1:])]
        return self._find(number)(*args, **named)

    def _address_of(self, held: int, number: int, in_list: bool) -> int:
        """What id() returns for the VM's object `held`: a timer with this number, or a list that has it."""
        timer = self._objects[number].timer
        if not in_list:
            return self._runtime.objects.address_of(timer)
        return self._runtime.objects.address_of(_VmList(timer, functools.partial(self._refer, held)))

    def _refer(self, held: int, timer: Any) -> None:
        """Put a timer of the facade into the VM's list `held`."""
        number = self._handle(_VmTimer(timer, self._handle, self._fire))
        self._inside(f"held[{held}][0] = PlacedTimer({number})")

    def names_of(self, number: int) -> list[str]:
        """The names of the object with this number."""
        return [name for name in dir(self._find(number)) if not name.startswith("_")]

    def _find(self, number: int) -> Any:
        """The object with this number."""
        if number > 0:
            return self._objects[number]
        module, *names = _FAR[_FIRST_FAR - number].split(".")
        return functools.reduce(getattr, names, self._module(module))

    def _module(self, name: str) -> Any:
        if name not in self._modules:
            self._modules[name] = build(name, self._runtime)
        return self._modules[name]

    def _handle(self, value: object) -> int:
        for number, known in self._objects.items():
            if known is value:
                return number
        self._objects[len(self._objects) + 1] = value
        return len(self._objects)

    def _answer(self, action: Callable[[], Any]) -> bytes:
        try:
            return told(action(), self._handle)
        except (*VM_ERRORS, KeyboardInterrupt) as error:
            return failed(error)


class _VmTimer:
    """machine.Timer of the facade, whose callback lies in the VM."""

    def __init__(
        self, timer: Any, handle: Callable[[object], int], fire: Callable[[int], object]
    ) -> None:
        self.timer = timer
        number = handle(self)
        self._callback = lambda _: fire(number)

    def start(self, calls_back: bool, **settings: Any) -> None:
        self.timer.init(callback=self._callback if calls_back else None, **settings)

    def deinit(self) -> None:
        self.timer.deinit()


class _VmList(list[Any]):
    """A list of the VM with a timer in it; `refer` sets that item there."""

    def __init__(self, timer: Any, refer: Callable[[Any], None]) -> None:
        super().__init__([timer])
        self._refer = refer

    def __setitem__(self, index: Any, timer: Any) -> None:
        super().__setitem__(index, timer)
        self._refer(timer)


class _VmPin:
    """machine.Pin of the facade, whose handler lies in the VM."""

    def __init__(self, pin: Any, handle: Callable[[object], int], fire: Callable[[int], object]) -> None:
        self._pin = pin
        number = handle(self)
        self._handler = lambda _: fire(number)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pin, name)

    def __call__(self, *level: int) -> int | None:
        return self._pin.value(*level)  # type: ignore[no-any-return]

    def watch(self, calls_back: bool, trigger: int) -> None:
        self._pin.irq(handler=self._handler if calls_back else None, trigger=trigger)
