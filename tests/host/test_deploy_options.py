"""What `slotbench deploy` refuses before it opens a port."""

from __future__ import annotations

import pytest

from slotbench.cli import run


@pytest.mark.parametrize(("server", "words"), [
    ("192.168.1.10:8266", "has no scheme"),
    ("updates.lan", "has no scheme"),
    ("https://updates.lan", "a board speaks plain HTTP"),
    ("http://updates.lan ", "holds a blank"),
    ("http://192.168.1.10:82660", "the port is no number from 1 to 65535"),
    ("http://192.168.1.10:", "the port is no number from 1 to 65535"),
    ("http://192.168.1.10:0", "the port is no number from 1 to 65535"),
    ("http://192.168.1.10:http", "the port is no number from 1 to 65535"),
    ("http://:8266", "more or less than host, port and path"),
    ("http://me:secret@updates.lan", "more or less than host, port and path"),
    ("http://updates.lan/?x=1", "more or less than host, port and path"),
])
def test_a_server_that_no_board_can_use(server: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["deploy", "--port", "/dev/ttyNOWHERE", "--server", server]) == 2
    said = capsys.readouterr().err
    assert words in said and "http://192.168.1.10:8266" in said


@pytest.mark.parametrize("server", ["http://updates.lan", "http://192.168.1.10:8266/lamps", "http://[fe80::1]:80"])
def test_a_server_that_a_board_can_use(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["deploy", "--port", "/dev/ttyNOWHERE", "--server", server]) == 2
    assert "no such serial port" in capsys.readouterr().err


@pytest.mark.parametrize("server", ["", "http://time.lan", "time.lan:", "time.lan:0", "time.lan:x", "time lan", ":123"])
def test_an_ntp_server_that_is_none(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["deploy", "--port", "/dev/ttyNOWHERE", "--ntp", server]) == 2
    assert "is not the address of an NTP server; give a host, or host:port" in capsys.readouterr().err


@pytest.mark.parametrize("server", ["pool.ntp.org", "192.168.1.1", "time.lan:12345"])
def test_an_ntp_server_that_a_board_can_ask(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["deploy", "--port", "/dev/ttyNOWHERE", "--ntp", server]) == 2
    assert "no such serial port" in capsys.readouterr().err
