"""Starts Python programs by a fork of a process that has their libraries: a tenth of the time of a start.

Run as `python -m support.programs.server SOCKET`. Each is a process of its own with streams, folder, arguments
and environment of its own, as client.py hands them over; what it runs is the module, unmodified, from its first
line. It is killed when client.py is.
"""

from __future__ import annotations

import atexit
import fcntl
import gc
import importlib
import io
import os
import random
import runpy
import selectors
import signal
import socket
import sys
import termios
import threading
import traceback
from contextlib import suppress
from pathlib import Path

_LIBRARIES = (
    "ampy.pyboard", "click", "cryptography.hazmat.primitives.asymmetric.rsa", "esptool.cmds", "filelock", "flask", "littlefs",
    "mpremote.main", "serial.tools.list_ports", "waitress.server")
_VERBS = Path(__file__).parents[3] / "host" / "slotbench" / "cli"
_INT = 4


def main(place: str) -> None:
    """Serve until what started this closes its standard input."""
    for name in _LIBRARIES:
        importlib.import_module(name)
    for path in sorted(_VERBS.glob("*.py")):
        importlib.import_module(f"slotbench.cli.{path.stem}")
    gc.collect()
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as selector:
        listener.bind(place)
        listener.listen(64)
        print("ready", flush=True)
        woken, wake = socket.socketpair()
        wake.setblocking(False)
        signal.set_wakeup_fd(wake.fileno())
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        for source in (listener, woken, sys.stdin):
            selector.register(source, selectors.EVENT_READ)
        running: dict[socket.socket, int] = {}
        while True:
            for key, _ in selector.select():
                if key.fileobj is sys.stdin:
                    for process in running.values():
                        os.kill(process, signal.SIGKILL)
                    return
                if key.fileobj is woken:
                    woken.recv(4096)
                    _tell_ends(running, selector)
                elif key.fileobj is listener:
                    link = listener.accept()[0]
                    process = _start(link, str(Path(place).parent / "python"))
                    running[link] = process
                    selector.register(link, selectors.EVENT_READ)
                elif key.fileobj in running and isinstance(key.fileobj, socket.socket):
                    os.kill(running[key.fileobj], signal.SIGKILL)
                    selector.unregister(key.fileobj)


def _tell_ends(running: dict[socket.socket, int], selector: selectors.BaseSelector) -> None:
    """Hand on how programs ended."""
    for link, process in list(running.items()):
        ended, status = os.waitpid(process, os.WNOHANG)
        if not ended:
            continue
        with suppress(KeyError):
            selector.unregister(link)
        with suppress(OSError), link:
            link.sendall(os.waitstatus_to_exitcode(status).to_bytes(_INT, "big", signed=True))
        del running[link]


def _start(link: socket.socket, python: str) -> int:
    """Fork the program that `link` asks for; its process. `python` is what it starts others with."""
    head, streams, _, _ = socket.recv_fds(link, _INT, 3)
    text = b""
    while len(text) < int.from_bytes(head, "big"):
        text += link.recv(1 << 20)
    if process := os.fork():
        for number in streams:
            os.close(number)
        link.sendall(process.to_bytes(_INT, "big"))
        return process
    code = 1
    try:
        words = [os.fsdecode(word) for word in text.split(b"\0")]
        end = 2 + int(words[1])
        os.environ.clear()
        os.environ.update(word.split("=", 1) for word in words[end:])  # type: ignore[misc]
        sys.executable = python
        code = _run(streams, words[0], words[2:end])
    finally:
        if code < 0:
            signal.signal(-code, signal.SIG_DFL)
            os.kill(os.getpid(), -code)
        os._exit(code)


def _run(streams: list[int], folder: str, arguments: list[str]) -> int:
    """Be the program; its exit code, or the signal that it ends by, below 0."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.closerange(3, 64)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.chdir(folder)
    random.seed()
    options = arguments[:arguments.index("-m")]
    if "-t" in options:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    module, *rest = arguments[len(options) + 1:]
    _open_streams(bool(options or os.environ.get("PYTHONUNBUFFERED")))
    sys.argv = [module, *rest]
    sys.modules.pop(module, None)
    sys.path[0] = folder
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        return 0
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return ended.code or 0
        print(ended.code, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        traceback.print_exc()
        return -signal.SIGINT
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()


def _open_streams(unbuffered: bool) -> None:
    """Streams as Python opens them at its start."""
    sys.stdin = sys.__stdin__ = io.TextIOWrapper(open(0, "rb", closefd=False))
    for number, name, errors in ((1, "stdout", "strict"), (2, "stderr", "backslashreplace")):
        raw = open(number, "wb", buffering=0, closefd=False)
        stream = io.TextIOWrapper(
            raw if unbuffered else io.BufferedWriter(raw), errors=errors, line_buffering=number == 2 or os.isatty(number),
            write_through=unbuffered)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


if __name__ == "__main__":
    main(sys.argv[1])
