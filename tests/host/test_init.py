"""`slotbench init`: what it makes, what it refuses, and what it makes of a half-made folder."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TypeAlias

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from slotbench.project import PROJECT_FILE, load_project
from slotbench.release import documents
from slotbench.release.keys import SigningKey
from support.commands import CommandResult, RunCommand
from support.killed import changes_of, killed_at
from support.samples import VECTOR_KEYS, files_below
from support.sampling import Sampler

Init: TypeAlias = Callable[..., CommandResult]
KEYS = [VECTOR_KEYS / f"test-only-{name}.pem" for name in ("offline", "online", "stranger")]


def next_key() -> SigningKey:
    """One of three keys, in turn."""
    KEYS.append(KEYS.pop(0))
    return loaded(KEYS[-1])


@cache
def loaded(path: Path) -> SigningKey:
    private = serialization.load_pem_private_key(path.read_bytes(), None)
    assert isinstance(private, rsa.RSAPrivateKey)
    return SigningKey(private, "new key")


@pytest.fixture
def init(tmp_path: Path, slotbench: RunCommand, monkeypatch: pytest.MonkeyPatch) -> Init:
    """Run `slotbench init` in an empty folder. New keys take a second each: these are the committed ones."""
    monkeypatch.setattr(SigningKey, "generate", next_key)
    monkeypatch.setattr("slotbench.cli.init.usb_ports", lambda: ["/dev/ttyUSB7"])
    monkeypatch.setattr("slotbench.cli.init.own_address", lambda: "192.0.2.7")
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: slotbench("init", *arguments)


def test_it_makes_a_project_and_says_what_is_next(init: Init, tmp_path: Path) -> None:
    ran = init("lamp")
    assert (ran.code, ran.err) == (0, "")
    project = load_project(tmp_path / PROJECT_FILE)
    assert (project.product, project.board, project.channel) == ("lamp", "d1_mini", "stable")
    assert (project.server, project.port) == ("http://192.0.2.7:8266", "/dev/ttyUSB7")
    assert documents.read_keys(project.keys)[1].product == "lamp"
    assert list(project.site.iterdir()) == []
    for path in (project.offline_key, project.online_key):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(project.keys.parent.stat().st_mode) == 0o700
    assert "*.pem" in (tmp_path / "keys" / ".gitignore").read_text()
    for verb in ("flash", "deploy --wifi", "ship", "update", "status"):
        assert f"\n  slotbench {verb}" in ran.out


def test_nothing_secret_is_in_the_file(init: Init, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLOTBENCH_PASSPHRASE", "only-for-me")
    assert init("lamp").code == 0
    text = (tmp_path / PROJECT_FILE).read_text()
    assert "only-for-me" not in text and "PRIVATE" not in text
    assert b"ENCRYPTED" in (tmp_path / "keys" / "offline.pem").read_bytes()


def test_typed_again_it_changes_nothing(init: Init, tmp_path: Path) -> None:
    assert init("lamp").code == 0
    before = files_below(tmp_path)
    for arguments in ((), ("--board", "d1_mini"), ("--channel", "stable", "--port", "/dev/ttyUSB7")):
        ran = init("lamp", *arguments)
        assert ran.code == 0 and "lamp is a project already; nothing was changed" in ran.out
    assert files_below(tmp_path) == before


@pytest.mark.parametrize(("arguments", "what"), [
    (("bell",), "this folder is the project lamp: slotbench.toml:4; give bell a folder of its own: --folder ../bell"),
    (("lamp", "--board", "nodemcu"), "board is d1_mini in this project, not nodemcu: slotbench.toml:5; change it there"),
    (("lamp", "--server", "http://10.0.0.5"), "server is http://192.0.2.7:8266 in this project"),
    (("bell", "--folder", "below"), "this folder belongs to the project lamp"),
])
def test_another_project_is_not_mixed_with_it(
    init: Init, tmp_path: Path, arguments: tuple[str, ...], what: str,
) -> None:
    assert init("lamp").code == 0
    before = files_below(tmp_path)
    ran = init(*arguments)
    assert ran.code == 2 and what in ran.err
    assert files_below(tmp_path) == before


@pytest.mark.parametrize(("words", "better"), [
    (("my", "lamp"), "my-lamp"), (("my lamp",), "my-lamp"), (("Lamp",), "lamp"), (("lamp!",), "lamp"),
    (("Gr\u00fcne Stra\u00dfe",), "grune-strasse"),
    (("-lamp-",), None), (("x" * 40,), "x" * 32), (("???",), None)])
def test_a_name_that_is_none_gets_a_better_one(
    init: Init, tmp_path: Path, words: tuple[str, ...], better: str | None,
) -> None:
    ran = init("--", *words)
    assert ran.code == 2 and " is not a name, and boards and releases carry it; " in ran.err
    assert better is None or ran.err.endswith(f"; slotbench init {better}\n")
    assert list(tmp_path.iterdir()) == []


def test_a_board_that_is_not_known_is_refused_with_the_known_ones(init: Init, tmp_path: Path) -> None:
    ran = init("lamp", "--board", "d1mini")
    assert ran.code == 2 and "no such board: d1mini; use one of d1_mini" in ran.err
    assert list(tmp_path.iterdir()) == []


def test_a_board_of_ones_own_is_named_as_seen_from_the_project(init: Init, tmp_path: Path) -> None:
    mine = tmp_path / "boards" / "mine.toml"
    mine.parent.mkdir()
    mine.write_text('based_on = "generic_4m"\ntitle = "mine"\ndevelopment = false\nverified_on_hardware = false\n')
    ran = init("lamp", "--board", "boards/mine.toml", "--folder", "lamp")
    assert ran.code == 0, ran.err
    assert 'board = "../boards/mine.toml"' in (tmp_path / "lamp" / PROJECT_FILE).read_text()


@pytest.mark.parametrize("ports", [[], ["/dev/ttyUSB0", "/dev/ttyUSB1"]])
def test_without_one_port_that_is_said(init: Init, monkeypatch: pytest.MonkeyPatch, ports: list[str]) -> None:
    monkeypatch.setattr("slotbench.cli.init.usb_ports", lambda: ports)
    ran = init("lamp")
    words = "several ports are there (/dev/ttyUSB0, /dev/ttyUSB1)" if ports else "no board is plugged in"
    assert ran.code == 0 and f"  port is not set: {words}; write it there" in ran.out


def test_a_folder_that_cannot_be_written_is_named(init: Init, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ran = init("lamp", "--folder", "file/below")
    assert ran.code == 2 and "folder cannot be made (Not a directory): file/below" in ran.err


def test_a_read_only_folder_is_named_before_a_key_is_made(
    init: Init, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(self: Path, *arguments: object, **settings: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "touch", refuse)
    ran = init("lamp")
    assert (ran.code, ran.err) == (
        2, "slotbench: cannot write (Read-only file system): slotbench.toml; choose a folder that can be written\n")
    assert list(tmp_path.iterdir()) == []


def test_a_computer_without_a_clock_makes_no_keys(
    init: Init, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("time.time", lambda: 100.0)
    ran = init("lamp")
    assert ran.code == 2 and "this computer's clock says 1970-01-01 00:01:40 UTC; set the clock" in ran.err
    assert list(tmp_path.iterdir()) == []


def test_keys_that_are_there_are_taken(init: Init, tmp_path: Path, slotbench: RunCommand) -> None:
    assert slotbench("keys", "new", "keys", "--product", "lamp").code == 0
    before = files_below(tmp_path / "keys")
    assert init("lamp").code == 0
    assert files_below(tmp_path / "keys") == before | {".gitignore", ".lock"}
    (tmp_path / PROJECT_FILE).unlink()
    ran = init("bell", "--folder", ".")
    assert ran.code == 0, "its keys have another name"


def test_a_lost_key_is_named(init: Init, tmp_path: Path) -> None:
    assert init("lamp").code == 0
    (tmp_path / "keys" / "offline.pem").unlink()
    ran = init("lamp")
    assert ran.code == 2 and "a private key is missing: keys/offline.pem; bring it back from a backup" in ran.err


@pytest.mark.parametrize(("kept", "cure"), [
    ("keys/lamp.1.keys", "copy keys/lamp.1.keys there"),
    ("site/keys/lamp.keys", "copy site/keys/lamp.keys there"),
    ("keys/lamp.published", "bring it back from a backup"),
])
def test_a_lost_keys_file_is_not_made_anew(init: Init, tmp_path: Path, kept: str, cure: str) -> None:
    """Boards trust the lost one: another of epoch 1 would be refused by all of them."""
    assert init("lamp").code == 0
    lost = tmp_path / "keys" / "lamp.keys"
    (tmp_path / kept).parent.mkdir(exist_ok=True)
    lost.rename(tmp_path / kept)
    for _ in range(2):
        ran = init("lamp")
        assert ran.code == 2 and "the keys file is missing: keys/lamp.keys; " in ran.err and cure in ran.err
        (tmp_path / PROJECT_FILE).unlink(missing_ok=True)
    assert not lost.exists()


def test_what_a_project_lacks_is_made_and_said(init: Init, tmp_path: Path) -> None:
    assert init("lamp").code == 0
    (tmp_path / "keys" / "lamp.keys").unlink()
    ran = init("lamp")
    assert ran.code == 0 and "keys/lamp.keys: public" in ran.out
    assert "lamp is a project already; what was missing was made" in ran.out


def test_killed_at_any_step_it_can_be_typed_again(
    init: Init, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sampler: Sampler,
) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    (tmp_path / "whole").mkdir()
    monkeypatch.chdir(tmp_path / "whole")
    changes = changes_of(["init", "lamp"])
    assert len(changes) > 10
    for step, change in sampler.draw("changes of init", enumerate(changes, 1), 5, kind=lambda each: each[1]):
        folder = tmp_path / str(step)
        folder.mkdir()
        monkeypatch.chdir(folder)
        assert killed_at(step, ["init", "lamp"]), change
        next_key(), next_key()  # those that the other process had
        assert init("lamp").code == 0, step
        project = load_project(folder / PROJECT_FILE)
        keys = documents.read_keys(project.keys)[1]
        found = [SigningKey.load(path).modulus for path in (project.offline_key, project.online_key)]
        assert found == [keys.offline[0], keys.online], step
        assert not list((folder / "keys").glob("*.tmp")), step


def test_a_half_made_key_keeps_its_passphrase(
    init: Init, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SLOTBENCH_PASSPHRASE", "first")
    assert init("lamp").code == 0
    for name in (PROJECT_FILE, "keys/lamp.keys", "keys/online.pem"):
        (tmp_path / name).unlink()
    monkeypatch.setenv("SLOTBENCH_PASSPHRASE", "second")
    ran = init("lamp")
    assert ran.code == 2 and "wrong passphrase: keys/offline.pem; type the one that this key got" in ran.err
    monkeypatch.setenv("SLOTBENCH_PASSPHRASE", "first")
    assert init("lamp").code == 0
