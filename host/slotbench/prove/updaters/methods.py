"""How updaters for MicroPython replace a program's files: documented methods, as programs of our own.

Each is the boot.py of a board. It downloads the files of the new version, and main.py follows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["METHODS", "Method", "program"]

_MODULES: Final = ("lamp", "wires", "words")

_BEFORE: Final = """\
import os, socket, time
time.sleep_ms(10000)
def fetch(path):
    s = socket.socket()
    try:
        s.connect(socket.getaddrinfo("updates.lan", 80)[0][-1])
        s.write(b"GET /%s HTTP/1.1\\r\\nHost: updates.lan\\r\\n\\r\\n" % path.encode())
        data = b""
        while b"\\r\\n\\r\\n" not in data:
            data += s.recv(512)
        head, _, data = data.partition(b"\\r\\n\\r\\n") if hasattr(data, "partition") else parted(data)
        size = int(head[head.lower().find(b"content-length:") + 15:].split()[0])
        while len(data) < size:
            data += s.recv(512)
        return data
    finally:
        s.close()
def parted(data):
    at = data.find(b"\\r\\n\\r\\n")
    return data[:at], None, data[at + 4:]
def read(name):
    try:
        with open(name, "rb") as f:
            return f.read()
    except OSError:
        return b""
def write(name, data):
    with open(name, "wb") as f:
        f.write(data)
def update():
"""
_AFTER: Final = """
try:
    version = fetch("version")
    if version != read("/version"):
        names = fetch("names").decode().split()
        update()
        write("/version", version)
except OSError:
    pass
del update
"""


@dataclass(frozen=True, slots=True)
class Method:
    """A way to replace the files of a program in `folder` ("" is the root). `update` is its Python."""

    name: str
    update: str
    folder: str = ""

    @property
    def boot(self) -> str:
        """The boot.py of a board that is updated so."""
        path = f"import sys\nsys.path.append('/{self.folder}')\n" if self.folder else ""
        body = "".join(f"    {line}\n" for line in self.update.strip().splitlines())
        return _BEFORE + body + _AFTER + path


METHODS: Final = (
    Method("each file is opened for writing, then downloaded", """
for name in names:
    if fetch(name) != read(name):
        with open(name, "wb") as f:
            f.write(fetch(name))
"""),
    Method("all files are removed, then downloaded", """
for name in names:
    try:
        os.remove(name)
    except OSError:
        pass
for name in names:
    write(name, fetch(name))
"""),
    Method("all are downloaded to a folder, then copied", """
os.mkdir("tmp")
for name in names:
    write("tmp/" + name, fetch(name))
for name in names:
    write(name, read("tmp/" + name))
    os.remove("tmp/" + name)
os.rmdir("tmp")
"""),
    Method("the old folder is deleted, the new one renamed", """
os.mkdir("next")
for name in names:
    write("next/" + name, fetch(name))
for name in os.listdir("app"):
    os.remove("app/" + name)
os.rmdir("app")
os.rename("next", "app")
""", folder="app"),
    Method("each file is downloaded, then renamed", """
for name in names:
    write(name + ".new", fetch(name))
for name in names:
    os.rename(name + ".new", name)
"""),
)
"""The methods of updaters that are in use, from how their authors describe them."""


def program(version: int, *, in_one_line: bool = False) -> dict[str, bytes]:
    """A program of four modules, by their names. A version changes one line of one module, or of two that
    have to fit each other.
    """
    lines = "".join(f"line_{n:02d} = 'what a program says, number {n:02d}'\n" for n in range(24))
    made = {f"{name}.py": lines for name in _MODULES}
    made["lamp.py"] += f"VERSION = {version}\n"
    made["wires.py"] += f"VERSION = {1 if in_one_line else version}\n"
    made["start.py"] = "import lamp, wires, words\n"
    return {name: text.encode() for name, text in sorted(made.items())}
