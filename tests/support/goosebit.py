"""goosebit: a server of others that speaks hawkBit's DDI. It takes 150 MB: a test runs it where it is there."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest

from support.mqtt.brokers import free_port

PYTHON = "TWOSLOT_GOOSEBIT"
"""The variable with the Python of an environment that has it."""
_START = """
import asyncio, sys, uvicorn
from tortoise import Tortoise
from goosebit.db.config import TORTOISE_CONF

async def make_tables():
    await Tortoise.init(config=TORTOISE_CONF)
    await Tortoise.generate_schemas()
    await Tortoise.close_connections()

asyncio.run(make_tables())
from goosebit import app
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]))
"""


class Goosebit:
    """A running server; an operator's requests to it."""

    def __init__(self, url: str) -> None:
        self.url = url
        form = urlencode({"username": "anna@example.org", "password": "secret123"}).encode()
        with urlopen(Request(f"{url}/setup", form)) as answer:
            self._token = json.load(answer)["access_token"]

    def ask(self, method: str, path: str, body: bytes | None = None, kind: str = "application/json") -> Any:
        """A request of the operator; the answer."""
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": kind}
        with urlopen(Request(f"{self.url}/api/v1/{path}", body, headers, method=method)) as answer:
            return json.load(answer)

    def assign(self, name: str, data: bytes) -> None:
        """Upload a file, and roll it out to all devices."""
        edge = "------------------------twoslot"
        body = (f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
                "Content-Type: application/octet-stream\r\n\r\n").encode() + data + f"\r\n--{edge}--\r\n".encode()
        number = self.ask("PUT", "software", body, f"multipart/form-data; boundary={edge}")["id"]
        rollout = {"name": "all", "feed": "default", "software_id": number}
        self.ask("PUT", "rollouts", json.dumps(rollout).encode())


@contextmanager
def running_goosebit(folder: Path) -> Iterator[Goosebit]:
    """Run it in a folder. Without it the test is skipped."""
    python = os.environ.get(PYTHON) or (sys.executable if find_spec("goosebit") else None)
    if python is None:
        pytest.skip(f"needs goosebit: pip install goosebit into an environment of its own, and set {PYTHON} to its Python")
    port, log = free_port(), folder / "goosebit.log"
    environment = {
        **os.environ, "GOOSEBIT_DB_URI": f"sqlite://{folder}/goosebit.sqlite",
        "GOOSEBIT_ARTIFACTS_DIR": str(folder / "artifacts")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [python, "-c", _START, str(port)], cwd=folder, env=environment, stdout=output, stderr=output)
    try:
        while True:
            assert process.poll() is None, log.read_text(errors="replace")
            with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), 5):
                break
        yield Goosebit(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait()
