"""Keys in practice: a project is backed up, the computer is lost, and another one goes on; passphrases change."""

from __future__ import annotations

import io
import os
import shutil
import stat
import tarfile
from pathlib import Path

import pytest

from slotbench.errors import BenchError
from slotbench.project import project_text
from slotbench.release import documents
from slotbench.release.heads import last_head
from slotbench.release.identities import Identities
from slotbench.release.keys import SigningKey
from slotbench.release.project_archive import read_archive
from slotbench.release.store import Store
from support.commands import RunCommand
from support.samples import NOW, PRODUCT, KeyRing, files_below, make_firmware


@pytest.fixture
def project(tmp_path: Path, ring: KeyRing, firmware_file: Path, slotbench: RunCommand, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one release offered, and two boards that have secrets."""
    folder = tmp_path / "lamp"
    folder.mkdir()
    shutil.move(tmp_path / "keys", folder / "keys")
    values = {
        "product": PRODUCT, "board": "generic_4m", "site": "www", "keys": f"keys/{PRODUCT}.keys",
        "identities": "identities.json"}
    (folder / "slotbench.toml").write_text(project_text(values))
    monkeypatch.chdir(folder)
    shipped = slotbench("ship", firmware_file, "--yes", "--no-preflight")
    assert shipped.code == 0, shipped.err
    for number in (1, 2):
        Identities.add_board(folder / "identities.json", f"lamp{number}", f"{number:08x}", None)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files_below(folder) if not name.endswith(".lock")}


def test_the_drill(project: Path, tmp_path: Path, slotbench: RunCommand, monkeypatch: pytest.MonkeyPatch, firmware_file: Path) -> None:
    """One command saves all of it, one makes it anew elsewhere; the next release is above all that were signed."""
    saved = tmp_path / "lamp.tar.gz"
    said = slotbench("keys", "backup", saved)
    assert said.code == 0, said.err
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    before = contents(project)
    last = last_head(Store(project / "www"), documents.read_keys(project / "keys" / f"{PRODUCT}.keys")[1], "stable")
    monkeypatch.chdir(tmp_path)
    shutil.rmtree(project)

    new = tmp_path / "new computer" / "lamp"
    new.parent.mkdir()
    said = slotbench("keys", "restore", saved, new)
    assert said.code == 0, said.err
    assert contents(new) == before and last is not None
    assert f"head seq {last.seq}" in said.out and "slotbench doctor" in said.out
    for name in before:
        private = not name.startswith("www/")
        assert stat.S_IMODE((new / name).stat().st_mode) == (0o600 if private else 0o644), name

    monkeypatch.chdir(new)
    assert slotbench("doctor", "--no-server").code == 0
    monkeypatch.setattr("time.time", lambda: NOW + 3600)
    firmware_file.write_bytes(make_firmware(seed=2))
    assert slotbench("ship", firmware_file, "--yes", "--no-preflight").code == 0
    head = last_head(Store(new / "www"), documents.read_keys(new / "keys" / f"{PRODUCT}.keys")[1], "stable")
    assert head is not None and head.seq > last.seq and head.counter == last.counter + 1


def test_a_restore_overwrites_nothing(project: Path, tmp_path: Path, slotbench: RunCommand) -> None:
    slotbench("keys", "backup", tmp_path / "saved.tar.gz")
    said = slotbench("keys", "restore", tmp_path / "saved.tar.gz", project)
    assert said.code == 2 and "the folder exists already" in said.err
    assert slotbench("keys", "backup", tmp_path / "nowhere" / "saved.tar.gz").code == 2


def test_keys_elsewhere_are_not_left_out_in_silence(project: Path, tmp_path: Path, slotbench: RunCommand) -> None:
    shutil.move(project / "keys" / "offline.pem", tmp_path / "offline.pem")
    said = slotbench("keys", "backup", tmp_path / "saved.tar.gz")
    assert said.code == 0 and "not in it, because it is not here: keys/offline.pem" in said.err
    with (project / "slotbench.toml").open("a") as file:
        file.write('offline_key = "../offline.pem"\n')
    said = slotbench("keys", "backup", tmp_path / "other.tar.gz")
    assert said.code == 2 and "this is not in the project's folder: ../offline.pem" in said.err


def archive(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as file:
        for member in members:
            member.size = 1 if member.isfile() else 0
            file.addfile(member, io.BytesIO(b"x"))
    return path


def link(name: str, kind: bytes) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, "/etc/passwd"
    return made


@pytest.mark.parametrize("member", [
    *map(tarfile.TarInfo, ("../outside", "/outside", "a/../../outside", "a\\..\\outside", "C:outside", "./a", "a//b", "")),
    link("a", tarfile.SYMTYPE), link("a", tarfile.LNKTYPE), link("a", tarfile.CHRTYPE), link("a", tarfile.FIFOTYPE),
], ids=lambda member: f"{member.name}-{member.type.decode()}")
def test_an_archive_that_leads_out_is_refused_whole(tmp_path: Path, member: tarfile.TarInfo) -> None:
    saved = archive(tmp_path / "saved.tar.gz", tarfile.TarInfo("slotbench.toml"), member)
    with pytest.raises(BenchError, match="no whole backup of a project") as refused:
        read_archive(saved, tmp_path / "new")
    assert refused.value.exit_code == 2
    assert files_below(tmp_path) == {"saved.tar.gz"}


@pytest.mark.parametrize("cut", [0, 10, -4])
def test_a_damaged_archive(tmp_path: Path, cut: int) -> None:
    saved = archive(tmp_path / "saved.tar.gz", *(tarfile.TarInfo(f"file{number}") for number in range(20)))
    saved.write_bytes(saved.read_bytes()[:cut])
    with pytest.raises(BenchError, match="no whole backup"):
        read_archive(saved, tmp_path / "new")
    assert files_below(tmp_path) == {"saved.tar.gz"}


def test_a_passphrase_is_given_changed_and_taken_away(ring: KeyRing, tmp_path: Path, slotbench: RunCommand, monkeypatch: pytest.MonkeyPatch) -> None:
    key_id = ring.load("offline").key_id
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(b"one\n")
    second.write_bytes("zwei ä\n".encode())
    change = ("keys", "passphrase", ring.offline)
    said = slotbench(*change, "--new-passphrase-file", first)
    assert said.code == 0 and "has another passphrase now" in said.out
    assert SigningKey.load(ring.offline, lambda: b"one").key_id == key_id
    assert stat.S_IMODE(ring.offline.stat().st_mode) == 0o600
    assert slotbench(*change, "--new-passphrase-file", second).code == 2, "the old one is needed"
    monkeypatch.setenv("SLOTBENCH_NEW_PASSPHRASE", "zwei ä")
    assert slotbench(*change, "--passphrase-file", first).code == 0
    assert SigningKey.load(ring.offline, lambda: "zwei ä".encode()).key_id == key_id
    monkeypatch.delenv("SLOTBENCH_NEW_PASSPHRASE")
    said = slotbench(*change, "--passphrase-file", second)
    assert said.code == 2 and "no new passphrase, and no terminal to ask on" in said.err
    assert slotbench(*change, "--passphrase-file", second, "--remove").code == 0
    assert SigningKey.load(ring.offline).key_id == key_id


def test_a_passphrase_from_a_file_descriptor(ring: KeyRing, tmp_path: Path, slotbench: RunCommand) -> None:
    """For a CI: the secret is in no file and on no command line."""
    slotbench("keys", "passphrase", ring.offline, "--new-passphrase-file", _file(tmp_path / "new", b"secret"))
    reader, writer = os.pipe()
    os.write(writer, b"secret\n")
    os.close(writer)
    assert slotbench("keys", "passphrase", ring.offline, "--passphrase-file", f"/dev/fd/{reader}", "--remove").code == 0
    os.close(reader)


def _file(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
