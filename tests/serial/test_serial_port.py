"""Opening a serial port: what is wrong is said, with a cure that works."""

from __future__ import annotations

import os
import subprocess
import sys
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from slotbench.cli import run
from slotbench.errors import BenchError
from slotbench.serial_port import open_port, open_quiet_port

NOBODY = 65534
HOLDER = "import serial, sys; s = serial.serial_for_url(sys.argv[1], exclusive=True); print('open', flush=True); input()"


@pytest.fixture
def port() -> Iterator[str]:
    """A terminal with nobody at its other end."""
    master, slave = os.openpty()
    tty.setraw(slave)
    yield os.ttyname(slave)
    os.close(master)
    os.close(slave)


def refusal(port: str) -> str:
    with pytest.raises(BenchError) as caught:
        open_port(port, 115200).close()
    assert caught.value.exit_code == 2
    return str(caught.value)


def as_nobody(action: Callable[[], str]) -> str:
    """What `action` returns for a user who may do nothing; here itself where this user is no root."""
    if os.getuid() != 0:
        return action()
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        os.write(writer, action().encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader, "rb") as said:
        return said.read().decode()


def test_a_port_that_another_program_holds_is_named_with_that_program(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-c", HOLDER, port]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdin is not None and holder.stdout.readline() == "open\n"
        said = refusal(port)
        assert "another program has the serial port open: " in said and f"(process {holder.pid})" in said
        for verb in (["status"], ["check"], ["inspect"], ["deploy", "--product", "lamp"]):
            assert run([*verb, "--port", port]) == 2
            assert f"(process {holder.pid})" in capsys.readouterr().err
        holder.stdin.close()
    open_port(port, 115200).close()


@pytest.mark.parametrize("opened", [open_port, open_quiet_port])
def test_a_port_that_was_closed_is_free_while_a_child_still_starts(port: str, opened: Callable[[str, int], Any]) -> None:
    """A child has copies of all descriptors until it runs its program."""
    line = opened(port, 115200)
    asks, end = os.pipe()
    child = os.fork()
    if not child:
        os.close(end)
        os.read(asks, 1)
        os._exit(0)
    os.close(asks)
    try:
        line.close()
        open_port(port, 115200).close()
    finally:
        os.close(end)
        os.waitpid(child, 0)
    line.close()


def test_without_permission_the_group_is_named(port: str) -> None:
    os.chmod(port, 0)
    said = as_nobody(lambda: refusal(port))
    assert "no permission to open the serial port" in said and "sudo usermod -aG " in said
    os.chmod(port, 0o666)
    assert as_nobody(lambda: str(open_port(port, 115200).close())) == "None"


def test_a_link_to_a_board_that_does_not_run_is_no_cable(tmp_path: Path) -> None:
    (tmp_path / "lamp.tty").symlink_to("/dev/pts/99999")
    assert "start it with `slotbench board run`" in refusal(str(tmp_path / "lamp.tty"))


@pytest.mark.parametrize(("port", "words"), [
    ("/dev/ttyNOWHERE", "no such serial port: /dev/ttyNOWHERE; check the cable"),
    ("/dev/null", "the serial port cannot be opened (Inappropriate ioctl for device): /dev/null"),
    ("socket://127.0.0.1:1", "nothing answers there"),
    ("tcp://127.0.0.1:1", "this is no serial port"),
])
def test_other_mistakes(port: str, words: str) -> None:
    assert words in refusal(port)
