"""Run command lines on a system without what only POSIX has, in a process of its own.

`python other_system.py '[["keys", "--help"], ...]'` prints a JSON list of [exit code, what was said]. The
libraries that have a Windows branch of their own are imported before; what is taken away then is missing for
slotbench. A `serve` is interrupted once it has served a request.
"""

from __future__ import annotations

import _thread
import contextlib
import importlib.abc
import io
import json
import os
import re
import select
import selectors
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
import warnings
from collections.abc import Sequence
from pathlib import Path

MODULES = frozenset({"fcntl", "grp", "pty", "pwd", "resource", "termios", "tty"})
NAMES = {
    os: ("environb", "fork", "geteuid", "getuid", "killpg", "O_DIRECTORY", "openpty", "fchmod"),
    signal: ("SIGALRM", "SIGHUP", "SIGKILL", "SIGUSR1", "setitimer"),
    socket: ("AF_UNIX",),
    select: ("poll", "epoll"),
}


class Refusing(importlib.abc.MetaPathFinder):
    """Finds none of MODULES."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name in MODULES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def take_away() -> None:
    """Make this process one of such a system, for what is imported from now on."""
    import cryptography.x509  # noqa: F401
    import esptool.cmds  # noqa: F401
    import serial.rfc2217  # noqa: F401
    import serial.tools.list_ports  # noqa: F401
    import serial.tools.miniterm  # noqa: F401
    import serial.urlhandler.protocol_rfc2217  # noqa: F401
    import serial.urlhandler.protocol_socket  # noqa: F401
    import waitress.server  # noqa: F401
    import werkzeug.serving  # noqa: F401

    for name in MODULES:
        sys.modules.pop(name, None)
    sys.meta_path.insert(0, Refusing())
    for module, names in NAMES.items():
        for name in names:
            if hasattr(module, name):
                delattr(module, name)
    socket.socketpair = tcp_pair  # type: ignore[assignment]
    selectors.DefaultSelector = selectors.SelectSelector  # type: ignore[misc]
    warnings.simplefilter("ignore")  # filelock says that it has no fcntl


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """What socketpair() is where there are no Unix sockets."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        return one, listener.accept()[0]


class Said(io.StringIO):
    """What a command says. A server that says where it is gets a request, and Ctrl-C after it."""

    def write(self, text: str) -> int:
        if found := re.search(r"Serving .* at (http://\S+)", text):
            threading.Thread(target=visit, args=(found[1],)).start()
        return super().write(text)


def visit(url: str) -> None:
    with contextlib.suppress(OSError):  # 404 is an answer
        urllib.request.urlopen(f"{url}/heads/lamp/stable.head", timeout=60).read()
    _thread.interrupt_main()


def main(commands: Sequence[Sequence[str]]) -> None:
    """Run the commands, one after another, and print how they ended."""
    take_away()
    from slotbench.cli import run

    ends = []
    for command in commands:
        said = Said()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = run(command)
        ends.append([code, said.getvalue()])
    print(json.dumps(ends))


def on_other_system(folder: Path, *commands: Sequence[str | Path], code: int | None = 0) -> list[str]:
    """Run command lines there, in `folder`; what each one said. Each has to end with `code`, if one is given, and a
    `serve` with that of Ctrl-C.
    """
    words = [[str(word) for word in command] for command in commands]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "SLOTBENCH_PASSPHRASE": ""}
    run = subprocess.run(
        [sys.executable, __file__, json.dumps(words)], cwd=folder, env=environment, capture_output=True,
        text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    ends = json.loads(run.stdout)
    for command, (ended, said) in zip(commands, ends):
        wanted = 130 if command[0] == "serve" else code
        assert "defect in slotbench" not in said and (wanted is None or ended == wanted), (command, said)
    return [said for _, said in ends]


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
