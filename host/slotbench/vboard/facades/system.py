"""sys, gc, micropython, os and random."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from types import SimpleNamespace
from typing import Any, Final, NoReturn

from slotbench.vboard.facades.files import FileTable
from slotbench.vboard.runtime import Runtime

__all__ = ["MODULES"]

_HEAP_FREE: Final = 30_000
_HEAP_USED: Final = 8_912

_VERSION: Final = (1, 28, 0, "")
_MACHINE: Final = "ESP module with ESP8266"


def _sys(rt: Runtime) -> Mapping[str, Any]:
    def print_exception(error: BaseException, file: Any = None) -> None:
        text = rt.format_exception(error)
        if file is None:
            rt.console(text)
        else:
            file.write(text)

    def leave(code: object = 0) -> NoReturn:
        raise SystemExit(code)

    return {
        "modules": rt.modules,
        "path": rt.path,
        "argv": [],
        "platform": "esp8266",
        "version": "3.4.0; MicroPython v1.28.0",
        "version_info": (3, 4, 0),
        "implementation": SimpleNamespace(
            name="micropython", version=_VERSION, _machine=_MACHINE, _mpy=rt.mpy
        ),
        "byteorder": "little",
        "maxsize": 0x7FFFFFFF,
        "stdin": _StandardInput(rt, text=True),
        "stdout": _ConsoleStream(rt),
        "stderr": _ConsoleStream(rt),
        "print_exception": print_exception,
        "exit": leave,
    }


class _ConsoleStream:
    """sys.stdout: the UART."""

    def __init__(self, rt: Runtime) -> None:
        self._rt = rt

    def write(self, text: str | bytes) -> int:
        self._rt.console(text if isinstance(text, str) else bytes(text).decode("utf-8", "replace"))
        return len(text)


class _StandardInput:
    """sys.stdin and its `buffer`: the UART. Reads wait for all that was asked for, as on the port.
    """

    def __init__(self, rt: Runtime, *, text: bool) -> None:
        self._rt = rt
        self._text = text

    @property
    def buffer(self) -> _StandardInput:
        return _StandardInput(self._rt, text=False)

    def read(self, size: int = -1) -> str | bytes:
        data = self._bytes(1 if size < 0 else size)
        return data.replace(b"\r", b"\n").decode("utf-8", "replace") if self._text else data

    def readinto(self, buffer: Any, size: int = -1) -> int:
        data = self._bytes(len(buffer) if size < 0 else size)
        buffer[: len(data)] = data
        return len(data)

    def readline(self) -> str | bytes:
        line = b""
        while line[-1:] not in (b"\r", b"\n"):
            line += self._bytes(1)
        return line.replace(b"\r", b"\n").decode("utf-8", "replace") if self._text else line

    def poll(self) -> int:
        """What select.poll sees: POLLIN is 1."""
        return int(self._rt.terminal is not None and self._rt.terminal.readable)

    def wait(self, us: int | None) -> None:
        """What select.poll waits for."""
        if self._rt.terminal is not None:
            self._rt.terminal.wait(us)
        else:
            self._rt.wait_us(us)

    def _bytes(self, size: int) -> bytes:
        while self._rt.terminal is None:
            self._rt.wait_us(None)
        return self._rt.terminal.read(size)


def _gc(rt: Runtime) -> Mapping[str, Any]:
    """No heap is modelled here: the numbers stand for a board's, the real VM measures."""
    enabled = [True]

    def switch(on: bool) -> Callable[[], None]:
        def switched() -> None:
            enabled[0] = on

        return switched

    return {
        "collect": lambda: None,
        "mem_free": lambda: _HEAP_FREE,
        "mem_alloc": lambda: _HEAP_USED,
        "threshold": lambda amount=-1: None if amount >= 0 else -1,
        "enable": switch(True),
        "disable": switch(False),
        "isenabled": lambda: enabled[0],
    }


def _micropython(rt: Runtime) -> Mapping[str, Any]:
    locked = [0]

    def heap_lock() -> None:
        locked[0] += 1
        rt.heap_locks += 1
        rt.is_heap_locked = True

    def heap_unlock() -> int:
        locked[0] -= 1
        rt.is_heap_locked = locked[0] > 0
        return locked[0]

    def schedule(callback: Callable[[object], object], argument: object) -> None:
        if not rt.schedule(callback, argument):
            raise RuntimeError("schedule queue full")

    return {
        "const": lambda value: value,
        "heap_lock": heap_lock,
        "heap_unlock": heap_unlock,
        "heap_locked": lambda: locked[0],
        "schedule": schedule,
        "alloc_emergency_exception_buf": lambda size: None,
        "opt_level": lambda level=None: 0 if level is None else None,
        "mem_info": lambda verbose=None: None,
        "stack_use": lambda: rt.stack_used,
        "kbd_intr": lambda character: rt.terminal.kbd_intr(character) if rt.terminal is not None else None,
    }


def _os(rt: Runtime) -> Mapping[str, Any]:
    table = FileTable(rt.files, rt.soc.flash.commit, rt.folders, rt.where)

    def dupterm(stream: Any, index: int = 0) -> Any:
        before, rt.second_terminal = rt.second_terminal, stream
        return before

    def stat(path: str) -> tuple[int, ...]:
        name = table.absolute(path)
        return rt.mounts.stat(name) if rt.mounts.has(name) else table.stat(path)

    def ilistdir(path: str = "") -> list[tuple[Any, ...]]:
        name = table.absolute(path)
        return [*rt.mounts.ilistdir(name)] if rt.mounts.has(name) else [*table.ilistdir(path)]

    return {
        "dupterm": dupterm,
        "mount": rt.mounts.mount,
        "umount": rt.mounts.umount,
        "urandom": rt.soc.random.randbytes,
        "listdir": lambda path="": [entry[0] for entry in ilistdir(path)],
        "ilistdir": ilistdir,
        "stat": stat,
        "statvfs": table.statvfs,
        "remove": table.remove,
        "rename": table.rename,
        "mkdir": table.mkdir,
        "rmdir": table.rmdir,
        "chdir": table.chdir,
        "getcwd": table.getcwd,
        "uname": lambda: ("esp8266", "esp8266", "2.2.0-dev(9422289)", "v1.28.0", _MACHINE),
    }


def _random(rt: Runtime) -> Mapping[str, Any]:
    """Without randint and its like: the port leaves them out (MICROPY_PY_RANDOM_EXTRA_FUNCS 0)."""
    generator = Random(rt.soc.random.getrandbits(32))

    def getrandbits(count: int) -> int:
        if count > 32:
            raise ValueError("bits must be 32 or less")
        return generator.getrandbits(count)

    return {"getrandbits": getrandbits, "seed": lambda value=None: generator.seed(value)}


MODULES = {"sys": _sys, "gc": _gc, "micropython": _micropython, "os": _os, "random": _random}
