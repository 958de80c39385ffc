"""`slotbench push` from the host's side: what it says before anything is sent, and development keys."""

from __future__ import annotations

import base64
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from slotbench import boards, cli
from slotbench.cli.push import _secrets
from slotbench.errors import BenchError
from slotbench.formats import FormatError
from slotbench.push import client
from slotbench.push.client import ListenerStatus, PushClient, read_secret
from slotbench.release import development
from slotbench.release.identities import Identities
from slotbench.release.keys import SigningKey
from slotbench.vboard import firmware

GREETING = {
    "device": "a1", "product": "lamp", "board": "d1_mini_dev", "channel": "stable", "version": "1.0.0", "counter": 1,
    "slot": "A", "confirmed": True, "trial": False, "development": 1, "nonce": "0" * 32}


def test_a_new_development_key_and_its_public_part(tmp_path: Path) -> None:
    private, public = development.create_development_key(tmp_path)
    assert private.stat().st_mode & 0o777 == 0o600
    modulus = base64.b64decode(json.loads(development.read_public_part(public))["modulus"])
    assert modulus == SigningKey.load(private).modulus
    with pytest.raises(BenchError, match="there already|exists"):
        development.create_development_key(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"modulus": "AAAA"}', b'{"modulus": 5}', b"\xff"])
def test_what_is_no_public_part_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "development.pub"
    path.write_bytes(content)
    with pytest.raises(BenchError, match="not the public part of a development key"):
        development.read_public_part(path)


def test_only_a_marked_board_gets_a_development_key() -> None:
    development.require_marked(boards.load("d1_mini_dev"))
    with pytest.raises(BenchError, match="does not have `development = true`: d1_mini;"):
        development.require_marked(boards.load("d1_mini"))


def test_a_board_that_is_not_marked_is_not_made_with_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:
    _, public = development.create_development_key(tmp_path)
    made = tmp_path / "lamp1"
    assert cli.run(["board", "new", str(made), "--development-key", str(public)]) == 2
    assert "development = true" in capsys.readouterr().err and not made.exists()


@pytest.mark.parametrize("text", ["00" * 32, json.dumps({"secret": "00" * 32}), "00" * 32 + "\n"])
def test_the_forms_of_a_secret(text: str) -> None:
    assert read_secret(text.encode(), "x") == bytes(32)


@pytest.mark.parametrize("text", ["", "00", "[" * 2000, "{}", '{"secret": 5}', "[]", "zz" * 32, "\xff"])
def test_what_is_no_secret_is_refused(text: str) -> None:
    with pytest.raises(BenchError, match="not the secret of a board"):
        read_secret(text.encode("latin-1"), "x")


@pytest.mark.parametrize(("change", "field"), [
    ({"nonce": "0"}, "nonce"), ({"slot": "C"}, "slot"), ({"counter": -1}, "counter"), ({"trial": 1}, "trial"),
    ({"product": "L"}, "product")])
def test_a_greeting_that_is_none_is_refused(change: dict[str, object], field: str) -> None:
    assert ListenerStatus.parse(json.dumps(GREETING).encode()).board == "d1_mini_dev"
    with pytest.raises(FormatError, match=field):
        ListenerStatus.parse(json.dumps({**GREETING, **change}).encode())


def test_a_firmware_is_not_pushed_to_a_board_without_the_loader(
    tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "secret").write_text("00" * 32)
    (tmp_path / "firmware.bin").write_bytes(firmware.build("2.0.0", size=64 * 1024))
    text = json.dumps({**GREETING, "board": "esp01s_1m", "slot": None}).encode()
    response = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text)

    def answer(listening: socket.socket) -> None:
        for _ in range(2):  # without the secret, then with it
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(response)

    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as pool:
        pool.submit(answer, listening)
        code = cli.run([
            "push", f"127.0.0.1:{listening.getsockname()[1]}", str(tmp_path / "firmware.bin"),
            "--key", "none.pem", "--secret", str(tmp_path / "secret")])
    said = capsys.readouterr().err
    assert code == 2 and "esp01s_1m has no loader, and no firmware is pushed to it" in said and "--app DIR" in said


DEEP = b"[" * 4000


@pytest.mark.parametrize("text", [b"", b"[]", b"<html>", b"5", DEEP, b"[[1]]", b'{"a":' * 800])
def test_what_is_no_object_is_no_greeting(text: bytes) -> None:
    with pytest.raises(FormatError):
        ListenerStatus.parse(text)


@pytest.mark.parametrize("response", [
    b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n" + DEEP,
    b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 4000 + b"\r\n\r\n" + DEEP,
    b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000,
    b"HTTP/1.1 500 No\r\nContent-Length: 4000\r\n\r\n" + b"9" * 3000 + b" at 0\n",
    b"\x1b[2J" * 1000, b"\n" * 100, b"HTTP/1.1 999 \r\n\r\n",
], ids=["nested", "length", "headers", "code", "escapes", "lines", "status"])
def test_whatever_answers_is_one_line(response: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "secret").write_text("00" * 32)
    (tmp_path / "firmware.bin").write_bytes(firmware.build("2.0.0", size=64 * 1024))

    def answer(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection, suppress(OSError):
            connection.recv(4096)
            connection.sendall(response)
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as pool:
        pool.submit(answer, listening)
        code = cli.run([
            "push", f"127.0.0.1:{listening.getsockname()[1]}", str(tmp_path / "firmware.bin"),
            "--key", "none.pem", "--secret", str(tmp_path / "secret")])
    said = capsys.readouterr()
    assert code == 1 and said.err.count("\n") == 1 and len(said.err) < 300, said.err


def test_nobody_listens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        (tmp_path / "secret").write_text("00" * 32)
        (tmp_path / "firmware.bin").write_bytes(firmware.build("2.0.0", size=64 * 1024))
        code = cli.run([
            "push", f"127.0.0.1:{bound.getsockname()[1]}", str(tmp_path / "firmware.bin"),
            "--key", "none.pem", "--secret", str(tmp_path / "secret")])
    assert code == 2 and "no board listens there" in capsys.readouterr().err


def test_the_port_of_webrepl_is_named_as_such(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Port 8266 belongs to WebREPL on the board; pushes have their own."""
    (tmp_path / "secret").write_text("00" * 32)
    (tmp_path / "firmware.bin").write_bytes(firmware.build("2.0.0", size=64 * 1024))
    assert (client.PORT, client._WEBREPL_PORT) == (8267, 8266)
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        monkeypatch.setattr(client, "_WEBREPL_PORT", port)
        code = cli.run([
            "push", f"127.0.0.1:{port}", str(tmp_path / "firmware.bin"), "--key", "none.pem",
            "--secret", str(tmp_path / "secret")])
    assert code == 2
    assert f"{port} is WebREPL's port; a board listens on 8267: slotbench push 127.0.0.1" in capsys.readouterr().err


@pytest.mark.parametrize(("host", "words"), [("", "not HOST"), ("a:b", "not HOST"), ("a:0", "not HOST")])
def test_an_address_that_is_none(
    host: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("firmware.bin", "secret"):
        (tmp_path / name).write_text("00" * 32)
    assert cli.run([
        "push", host, str(tmp_path / "firmware.bin"), "--key", "k", "--secret", str(tmp_path / "secret")]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("given", [(), ("--secret", "secret", "--identities", "known.json")])
def test_the_secret_comes_from_one_place(
    given: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("firmware.bin", "secret", "known.json"):
        (tmp_path / name).write_text("00" * 32)
    assert cli.run(["push", "127.0.0.1", "firmware.bin", "--key", "k", *given]) == 2
    assert "give --identities FILE or --secret FILE, one of them" in capsys.readouterr().err


def test_a_board_that_the_file_does_not_know_is_named(tmp_path: Path) -> None:
    known = tmp_path / "identities.json"
    Identities({"desk": bytes(range(32))}).save(known)
    find = _secrets(known, None)
    assert find("desk") == bytes(range(32))
    with pytest.raises(BenchError, match="no secret for the board shelf"):
        find("shelf")


def test_the_board_does_not_come_back() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        seconds = iter(range(1000))
        pusher = PushClient(
            "127.0.0.1", bound.getsockname()[1], lambda device_id: bytes(32), now=lambda: float(next(seconds)),
            sleep=lambda seconds: None)
        with pytest.raises(BenchError, match="did not come back within 20 s"):
            pusher.wait_for_board(20)
