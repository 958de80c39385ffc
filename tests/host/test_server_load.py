"""Polls do not starve beside slow readers, though the server has fewer descriptors than there are connections."""

from __future__ import annotations

import hashlib
import os
import re
import selectors
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from slotbench.release.publish import publish_release
from slotbench.release.store import Store
from support.commands import MakeRelease
from support.samples import NOW, KeyRing

DESCRIPTORS = 256
SLOW = 400
POLLS = 40
LIMIT_S = 90
SERVE = (f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({DESCRIPTORS}, {DESCRIPTORS})); "
         "from slotbench.cli import main; main()")
HEAD = b"GET /heads/sensor/stable.head HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


class Served:
    """`slotbench serve` in a process of its own, with few descriptors."""

    def __init__(self, root: Path, log: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        with log.open("wb") as lines:
            self.process = subprocess.Popen(
                [sys.executable, "-c", SERVE, "serve", str(root), "--port", "0"], env=environment,
                stdout=subprocess.PIPE, stderr=lines, text=True)
        assert self.process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:(\d+)", self.process.stdout.readline())
        assert found is not None
        self.port = int(found[1])

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), LIMIT_S)

    def poll_ms(self) -> float:
        """How long it takes to get a head over a new connection."""
        begun = time.perf_counter()
        with self.connect() as board:
            board.sendall(HEAD)
            assert b"".join(iter(lambda: board.recv(65536), b"")).startswith(b"HTTP/1.1 200 ")
        return (time.perf_counter() - begun) * 1000

    def connections(self) -> int:
        """How many sockets it has open."""
        folder = Path(f"/proc/{self.process.pid}/fd")
        return sum(os.readlink(entry).startswith("socket:") for entry in folder.iterdir())

    def cpu_s(self) -> float:
        """What it has used of a processor."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.fixture
def image_url(firmware: bytes) -> str:
    """The image's URL."""
    return f"/images/{hashlib.sha256(firmware).hexdigest()}.bin"


@pytest.fixture
def served(
    site: Store, make_release: MakeRelease, ring: KeyRing, firmware: bytes, tmp_path: Path,
) -> Iterator[Served]:
    publish_release(site, make_release(), ring.document, [firmware], ring.load("online"), NOW)
    started = Served(site.root, tmp_path / "log")
    yield started
    started.process.terminate()
    started.process.wait(LIMIT_S)
    assert started.process.stdout is not None
    started.process.stdout.close()


class SlowReaders:
    """Connections that asked for an image and read a byte of it now and then."""

    def __init__(self, served: Served, image_url: str) -> None:
        self._selector = selectors.DefaultSelector()
        for _ in range(SLOW):
            reader = socket.socket()
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            reader.settimeout(LIMIT_S)
            reader.connect(("127.0.0.1", served.port))
            reader.sendall(f"GET {image_url} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            reader.setblocking(False)
            self._selector.register(reader, selectors.EVENT_READ)

    def read(self) -> None:
        """A byte from each that has one."""
        for key, _ in self._selector.select(0):
            reader = key.fileobj
            assert isinstance(reader, socket.socket)
            try:
                is_open = bool(reader.recv(1))
            except BlockingIOError:
                continue
            except OSError:
                is_open = False
            if not is_open:
                self._selector.unregister(reader)
                reader.close()

    def close(self) -> None:
        for key in list(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._selector.close()


def test_polls_do_not_starve_beside_slow_readers(served: Served, image_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    alone = [served.poll_ms() for _ in range(POLLS)]
    readers = SlowReaders(served, image_url)
    served.poll_ms()  # all have been answered then
    beside, before_s, begun = [], served.cpu_s(), time.perf_counter()
    for _ in range(POLLS):
        readers.read()
        beside.append(served.poll_ms())
    used = (served.cpu_s() - before_s) / (time.perf_counter() - begun)
    kept = served.connections()
    ratio = statistics.median(beside) / statistics.median(alone)
    with capsys.disabled():
        print(f"\n{SLOW} slow readers at {DESCRIPTORS} descriptors: a poll takes {ratio:.1f} times as long "
              f"({statistics.median(beside):.1f} ms, the longest {max(beside):.0f} ms), {kept} of them are kept")
    assert max(beside) < 5000
    assert DESCRIPTORS // 2 < kept < DESCRIPTORS, "as many stay as there may be"
    begun, before_s = time.perf_counter(), served.cpu_s()
    while time.perf_counter() < begun + 0.5:
        readers.read()
        time.sleep(0.1)
    assert served.cpu_s() - before_s < 0.2, "it spins"
    readers.close()
    assert used < 1.5
