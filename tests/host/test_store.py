"""Files of a site (`release.files`, `release.store`): written whole or not at all, under names that stay inside it."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import Mock

import pytest

from slotbench import cli
from slotbench.errors import BenchError
from slotbench.locks import LOCK_NAME, LockedElsewhere, hold_lock, lock_folders
from slotbench.release import store
from slotbench.release.files import read_bytes, write_atomic, write_new_files
from slotbench.release.identities import Identities
from slotbench.release.store import Store
from support.samples import files_below


def test_a_write_replaces_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    write_atomic(path, b"one")
    write_atomic(path, b"two", mode=0o600)

    assert path.read_bytes() == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert files_below(tmp_path) == {"a/b/file"}


def test_a_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr("os.fsync", Mock(side_effect=OSError(28, "No space")))

    with pytest.raises(BenchError, match=r"cannot write \(No space\): .*file; make room") as caught:
        write_atomic(path, b"new")

    assert caught.value.exit_code == 2
    assert path.read_bytes() == b"old"
    assert files_below(tmp_path) == {"file"}


def test_a_file_in_place_of_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(BenchError, match="cannot write"):
        write_atomic(tmp_path / "file" / "below", b"x")


def test_new_files_are_written_all_or_none(tmp_path: Path) -> None:
    (tmp_path / "block").write_bytes(b"")
    files = {tmp_path / "one": (b"1", 0o600), tmp_path / "block" / "two": (b"2", 0o600)}

    with pytest.raises(BenchError, match="cannot write"):
        write_new_files(files)

    assert files_below(tmp_path) == {"block"}


def test_reading_has_a_limit(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"1234")

    assert read_bytes(tmp_path / "file") == read_bytes(tmp_path / "file", 4) == b"1234"
    with pytest.raises(BenchError, match="longer than 3 bytes") as caught:
        read_bytes(tmp_path / "file", 3)
    assert caught.value.exit_code == 1
    with pytest.raises(BenchError, match=r"cannot read \(No such file or directory\)") as caught:
        read_bytes(tmp_path / "none")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(("name", "digest"), [
    (store.head_name("sensor", "stable"), None),
    (store.keys_name("sensor"), None),
    (store.release_name("ab" * 32), "ab" * 32),
    (store.image_name("cd" * 32), "cd" * 32),
    (store.blocks_name("ef" * 32), "ef" * 32),
])
def test_the_names_of_files(name: str, digest: str | None) -> None:
    assert store.is_name(name)
    assert store.digest_in(name) == digest


@pytest.mark.parametrize("name", [
    "", "/", "heads", "heads/sensor", "heads/sensor/stable", "heads/../stable.head", "heads/a/b/c.head",
    "../keys/sensor.keys", "/keys/sensor.keys", "keys//sensor.keys", "keys/sensor.keys/", "keys/.keys",
    "keys/Sensor.keys", "keys/sensor.keys\n", "keys/sensor.keys\0", "keys/sensor%2e.keys",
    "keys/\u0131.keys", "keys/\u0661.keys",
    f"images/{'ab' * 32}.blocks", f"images/{'AB' * 32}.bin", f"images/{'ab' * 31}.bin", "images/../x.bin",
    f"heads/sensor/.stable.head.{'ab' * 4}.tmp", "heads/sensor/stable.headx",
])
def test_any_other_path_is_not_a_name(name: str, tmp_path: Path) -> None:
    assert not store.is_name(name)
    with pytest.raises(ValueError, match="not a name"):
        Store(tmp_path).path(name)


def test_content_must_match_its_name(site: Store) -> None:
    name = store.image_name(hashlib.sha256(b"image").hexdigest())

    with pytest.raises(ValueError, match="does not match"):
        site.write(name, b"other")
    assert site.write(name, b"image") and not site.write(name, b"image")
    site.path(name).write_bytes(b"rotten")
    with pytest.raises(BenchError, match="content does not match its name: .*; publish the rel"):
        site.read(name)
    assert site.write(name, b"image")
    assert site.read(name) == b"image"


def test_an_empty_store(site: Store) -> None:
    assert site.read("keys/sensor.keys") is None
    assert site.channels("sensor") == []


def test_a_file_in_place_of_the_store_is_an_error(site: Store) -> None:
    site.root.write_bytes(b"")

    with pytest.raises(BenchError, match=r"folder cannot be written \(File exists\): .*www") as caught:
        with site.locked():
            pass
    assert caught.value.exit_code == 2


def test_a_second_writer_waits(site: Store) -> None:
    def take() -> None:
        with hold_lock(site.root / LOCK_NAME, wait=False):
            pass

    with site.locked():
        with pytest.raises(LockedElsewhere):
            take()
    take()


def test_a_killed_process_lets_go_of_its_locks(tmp_path: Path) -> None:
    """Its lock file stays, and stops nobody."""
    code = f"""
import os, pathlib
from slotbench.locks import lock_folders
with lock_folders(pathlib.Path({str(tmp_path)!r})):
    os.kill(os.getpid(), 9)
"""
    ran = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}, check=False)
    assert ran.returncode == -9 and (tmp_path / LOCK_NAME).exists()
    with hold_lock(tmp_path / LOCK_NAME, wait=False):
        pass


def test_new_files_never_take_the_place_of_one_that_was_made_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two `keys new` at once: one of them fails, and no key is lost."""
    mine, theirs = tmp_path / "offline.pem", tmp_path / "online.pem"
    real = os.link

    def link(temporary: Path, path: Path) -> None:
        if path == theirs:
            theirs.write_bytes(b"theirs")
        real(temporary, path)

    monkeypatch.setattr("os.link", link)
    with pytest.raises(BenchError, match="file exists and is not overwritten: .*online.pem"):
        write_new_files({mine: (b"mine", 0o600), theirs: (b"mine", 0o600)})
    assert theirs.read_bytes() == b"theirs" and files_below(tmp_path) == {"online.pem"}


def test_new_files_where_a_file_has_one_name_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.link", Mock(side_effect=OSError(1, "Operation not permitted")))
    write_new_files({tmp_path / "one": (b"1", 0o600)})
    assert (tmp_path / "one").read_bytes() == b"1" and files_below(tmp_path) == {"one"}


def test_a_write_removes_what_a_killed_one_left_of_this_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    old, young, other = (tmp_path / name for name in (
        ".file.0a1b2c3d.tmp", ".file.11111111.tmp", ".other.0a1b2c3d.tmp"))
    for leftover in (old, young, other):
        leftover.write_bytes(b"half")
    for leftover in (old, other):
        os.utime(leftover, (0, 0))
    write_atomic(path, b"new")
    assert files_below(tmp_path) == {"file", young.name, other.name}


def test_locks_of_one_folder_under_two_names_are_one(tmp_path: Path) -> None:
    """As of `release publish lamp.release . --keys lamp.keys`."""
    (tmp_path / "link").symlink_to(tmp_path)
    with lock_folders(tmp_path, tmp_path / "link", tmp_path / "."):
        pass


def test_two_boards_at_once_are_both_in_the_file_of_identities(tmp_path: Path) -> None:
    path = tmp_path / "boards.json"

    def add(number: int) -> None:
        Identities.add_board(path, f"board{number}", f"{number:x}", None)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(1, 9)))
    assert sorted(Identities.load(path).secrets) == [f"board{number}" for number in range(1, 9)]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_new_board_is_private(tmp_path: Path) -> None:
    """Its flash and its files hold its secret, whatever the umask says."""
    before = os.umask(0)
    try:
        assert cli.run(["board", "new", str(tmp_path / "lamp1")]) == 0
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "lamp1").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "lamp1" / "flash.bin").stat().st_mode) == 0o600
