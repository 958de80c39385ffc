"""The servers that are compared: each is a process of its own, at a free port of this computer."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import slotbench
from slotbench.errors import BenchError

__all__ = ["CONTESTANTS", "RunningServer", "available", "run_server"]

_HOST: Final = "127.0.0.1"
_SAYS_PORT = re.compile(rb"(?:port |http://[0-9.]+:)([0-9]{2,5})")
_FLASK: Final = """
import sys
from flask import Flask, send_from_directory
from werkzeug.serving import make_server
app = Flask("bare")
@app.get("/<path:name>")
def get(name):
    return send_from_directory(sys.argv[1], name)
server = make_server("127.0.0.1", 0, app, threaded=True)
print("port", server.port, flush=True)
server.serve_forever()
"""
_NGINX: Final = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error;
events {{ worker_connections 1024; }}
http {{ access_log off; sendfile on;
{folders}
server {{ listen 127.0.0.1:{port}; {place} }} }}
"""


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that answers at `port`; `pids` are its processes."""

    port: int
    pids: Sequence[int]

    def cpu_s(self) -> float:
        """Seconds of CPU that its processes took so far."""
        ticks = 0
        for pid in self.pids:
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


@contextmanager
def _process(command: Sequence[str | Path], port: int = 0) -> Iterator[RunningServer]:
    """A server's process, once it accepts connections: at `port`, or at the one that it says."""
    environment = {**os.environ, "PYTHONPATH": str(Path(slotbench.__file__).parents[1])}
    with tempfile.TemporaryFile() as errors, subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=errors, cwd=tempfile.gettempdir(), env=environment,
    ) as run:
        try:
            assert run.stdout is not None
            while not port:
                line = run.stdout.readline()
                if not line:
                    errors.seek(0)
                    raise BenchError(
                        "a server did not start", where=str(command[0]),
                        cure=errors.read().decode(errors="replace").strip()[-200:] or "run it by hand")
                if match := _SAYS_PORT.search(line):
                    port = int(match[1])
            while True:
                with suppress(ConnectionRefusedError), socket.create_connection((_HOST, port), 10):
                    break
                if run.poll() is not None:
                    raise BenchError("a server ended at once", where=str(command[0]), cure="run it by hand")
            yield RunningServer(port, [run.pid])
        finally:
            run.kill()


def _ours(site: Path) -> list[str | Path]:
    return [sys.executable, "-u", "-m", "slotbench", "serve", site, "--host", _HOST, "--port", "0"]


@contextmanager
def _nginx(place: str) -> Iterator[RunningServer]:
    program = _nginx_program()
    assert program is not None
    with tempfile.TemporaryDirectory(prefix="slotbench-nginx-") as name, socket.socket() as free:
        folder = Path(name)
        free.bind((_HOST, 0))
        port = free.getsockname()[1]
        free.close()
        folders = "".join(
            f"{each}_temp_path {folder}/{each}; "
            for each in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (folder / "nginx.conf").write_text(
            _NGINX.format(folder=folder, folders=folders, port=port, place=place), encoding="utf-8")
        command: list[str | Path] = [
            program, "-p", folder, "-e", folder / "error", "-c", folder / "nginx.conf"]
        with _process(command, port) as server:
            yield server


@contextmanager
def _nginx_alone(site: Path) -> Iterator[RunningServer]:
    with _nginx(f"root {site};") as server:
        yield server


@contextmanager
def _behind_nginx(site: Path) -> Iterator[RunningServer]:
    """As the guide has it: nginx sends the bytes, ours answers heads and keys."""
    with _process(_ours(site)) as ours:
        place = (
            f"root {site}; location ~ ^/(heads|keys)/ {{ proxy_pass http://{_HOST}:{ours.port}; "
            "proxy_set_header Host $http_host; }")
        with _nginx(place) as front:
            yield RunningServer(front.port, [*front.pids, *ours.pids])


@contextmanager
def _slotbench(site: Path) -> Iterator[RunningServer]:
    with _process(_ours(site)) as server:
        yield server


@contextmanager
def _http_server(site: Path) -> Iterator[RunningServer]:
    with _process(
        [sys.executable, "-u", "-m", "http.server", "0", "--bind", _HOST, "--directory", site],
    ) as server:
        yield server


@contextmanager
def _bare_flask(site: Path) -> Iterator[RunningServer]:
    with _process([sys.executable, "-u", "-c", _FLASK, site]) as server:
        yield server


CONTESTANTS: Final[Mapping[str, Callable[[Path], AbstractContextManager[RunningServer]]]] = {
    "slotbench serve": _slotbench,
    "nginx": _nginx_alone,
    "slotbench behind nginx": _behind_nginx,
    "http.server": _http_server,
    "bare Flask": _bare_flask,
}
"""What is compared, by name: each makes a context with a running server of the site in a folder."""


def available(name: str) -> bool:
    """Whether a contestant can run here."""
    return "nginx" not in name or _nginx_program() is not None


def run_server(name: str, site: Path) -> AbstractContextManager[RunningServer]:
    """Run a contestant while the context is entered. Raises BenchError if it does not start."""
    return CONTESTANTS[name](site)


def _nginx_program() -> str | None:
    return shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))
