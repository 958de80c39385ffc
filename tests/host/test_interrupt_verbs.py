"""Ctrl-C ends each verb that waits for somebody: exit code 130, one line that says how to go on."""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from support.samples import make_firmware
from support.started import start
from support.testbed import put_keys

ENDS_S = 30.0
"""A second on a computer that does nothing else."""
LIMIT_S = 120.0
WAITING = {
    "status": "status --port PORT",
    "check": "check --port PORT",
    "check --without-main": "check --without-main --port PORT",
    "log": "log --port PORT",
    "update": "update --port PORT",
    "rollback": "rollback --port PORT",
    "deploy": "deploy --port PORT --keys keys/lamp.keys --board d1_mini --server http://192.168.1.10:8266",
    "flash": "flash --port PORT --image firmware.bin",
    "unflash": "unflash --port PORT",
    "backup": "backup --port PORT backup.bin",
    "restore": "restore --port PORT flash.bin",
    "inspect": "inspect --port PORT",
    "push": "push PLACE firmware.bin --key keys/online.pem --secret secret",
}


class Peer:
    """A board that was reached, and that answers nothing; or one that prints for ever."""

    def __init__(self, chatters: bool) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._connected: list[socket.socket] = []
        self._chatters = chatters
        self.place = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self.heard = 0

    def serve(self, *others: int) -> list[int]:
        """Hear what comes for a moment; which of `others` have something."""
        ready, _, _ = select.select([self._listening, *self._connected, *others], [], [], 0.05)
        if self._listening in ready:
            self._connected.append(self._listening.accept()[0])
        for sock in list(self._connected):
            try:
                if sock in ready:
                    heard = len(sock.recv(4096))
                    self.heard += heard
                    if not heard:  # closed: it would be ready for ever
                        raise ConnectionResetError
                if self._chatters:
                    sock.send(b"temperature 20\r\n")
            except OSError:
                self._connected.remove(sock)
                sock.close()
        return [number for number in others if number in ready]

    def close(self) -> None:
        for sock in (self._listening, *self._connected):
            sock.close()


@pytest.mark.parametrize("chatters", [False, True], ids=["silent", "chattering"])
@pytest.mark.parametrize("verb", WAITING)
def test_ctrl_c_ends_a_verb_that_waits_for_a_board(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str, chatters: bool,
) -> None:
    monkeypatch.chdir(tmp_path)
    put_keys(tmp_path / "keys")
    (tmp_path / "firmware.bin").write_bytes(make_firmware())
    (tmp_path / "flash.bin").write_bytes(b"\xff" * 0x400000)
    (tmp_path / "secret").write_text("00" * 32)
    peer = Peer(chatters)
    places = {"PORT": f"socket://{peer.place}", "PLACE": peer.place}
    pid, reading = start([places.get(word, word) for word in WAITING[verb].split()])
    said, pressed_s, begun_s = b"", 0.0, time.monotonic()
    try:
        while time.monotonic() - begun_s < LIMIT_S:
            if peer.serve(reading):
                if not (new := os.read(reading, 65536)):
                    break
                said += new
            if peer.heard and not pressed_s:
                pressed_s = time.monotonic()
                os.killpg(pid, signal.SIGINT)
        seconds = time.monotonic() - pressed_s
        status: Any = os.waitpid(pid, 0)[1]
    except BaseException:
        os.killpg(pid, signal.SIGKILL)
        raise
    finally:
        peer.close()
        os.close(reading)
    assert pressed_s, said.decode()
    assert os.waitstatus_to_exitcode(status) == 130, said.decode()
    assert said.decode().splitlines()[-1] == (
        "slotbench: stopped; run the same command again: it continues, or starts anew"), said.decode()
    assert b"Traceback" not in said and seconds < ENDS_S, (seconds, said.decode())
