"""A board's `files/` and the filesystem in its flash: import, export, and the verbs for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from slotbench.cli.board import board as verbs
from slotbench.errors import BenchError
from slotbench.vboard.clock import Clock
from slotbench.vboard.flash.littlefs import FlashFiles
from slotbench.vboard.live.folder import BoardFolder
from support.live.bench import LiveBench, make_folder

PRINTS = "print('runs', open('note').read())\n"


@pytest.fixture
def folder(tmp_path: Path) -> BoardFolder:
    return make_folder(tmp_path / "lamp1", PRINTS, note="1")


def run(folder: BoardFolder) -> str:
    bench = LiveBench(folder, speed=None)
    bench.run(5)
    return bench.text


def write_flash(folder: BoardFolder, **texts: str) -> None:
    """What esptool or a programmer does: the filesystem has another content, and nobody told the folder."""
    flash = folder.load_flash(Clock())
    stored = FlashFiles(flash, folder.profile.filesystem)
    stored.start({})
    stored.mount()
    stored.files.update({f"/{name}": text.encode() for name, text in texts.items()})
    stored.sync()
    flash.save()


def typed(*words: object) -> str:
    ran = CliRunner().invoke(verbs, ["files", *map(str, words)], catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    return ran.output


def blank(folder: BoardFolder) -> None:
    flash = folder.load_flash(Clock())
    flash.poke(folder.profile.filesystem.start, b"\xff" * folder.profile.filesystem.size)
    flash.save()


def test_a_folder_without_a_record_is_imported_whole(folder: BoardFolder) -> None:
    blank(folder)
    (folder.files_path / "note").write_text("of a person")
    assert "runs of a person" in run(folder)
    assert (folder.files_path / "note").read_text() == "of a person"
    assert folder.exported.is_whole(folder.load_files(), folder.load_flash(Clock()))


def test_what_only_the_flash_got_is_kept_and_exported(folder: BoardFolder) -> None:
    blank(folder)
    (folder.files_path / "note").write_text("1")
    run(folder)
    write_flash(folder, note="of esptool", more="x")
    assert "runs of esptool" in run(folder)
    assert (folder.files_path / "note").read_text() == "of esptool"
    assert (folder.files_path / "more").read_text() == "x"


def test_what_a_person_changed_wins(folder: BoardFolder) -> None:
    blank(folder)
    (folder.files_path / "note").write_text("1")
    run(folder)
    write_flash(folder, note="of esptool")
    (folder.files_path / "note").write_text("of a person")
    assert "runs of a person" in run(folder)


def test_files_are_put_listed_and_got(folder: BoardFolder, tmp_path: Path) -> None:
    blank(folder)
    (folder.files_path / "note").write_text("1")
    run(folder)
    source = tmp_path / "sensors"
    source.mkdir()
    (source / "dht.py").write_text("x = 1\n")
    (tmp_path / "note").write_text("put there")
    assert typed("put", folder.path, source, "--to", "/lib") == "/lib/sensors/dht.py: 6 bytes\n"
    typed("put", folder.path, tmp_path / "note")
    listed = typed("list", folder.path)
    assert "       6  /lib/sensors/dht.py\n" in listed and "  folder  /lib/sensors\n" in listed
    assert "blocks of 4096 bytes are in use" in listed
    assert "runs put there" in run(folder)
    typed("get", folder.path, "/lib", "note", "--to", tmp_path / "out")
    out = tmp_path / "out"
    assert {path.relative_to(out).as_posix(): path.read_text() for path in out.rglob("*") if path.is_file()} == {
        "lib/sensors/dht.py": "x = 1\n", "note": "put there"}


def test_refusals_tell_what_to_do(folder: BoardFolder, tmp_path: Path) -> None:
    blank(folder)
    with pytest.raises(BenchError, match="no LittleFS in its flash yet") as caught:
        typed("list", folder.path)
    assert "board run" in str(caught.value.cure)
    (folder.files_path / "note").write_text("1")
    run(folder)
    with pytest.raises(BenchError, match="the board has no /nothing"):
        typed("get", folder.path, "nothing")
    (tmp_path / "big").write_bytes(bytes(folder.profile.filesystem.size))
    with pytest.raises(BenchError, match="do not go into its filesystem"):
        typed("put", folder.path, tmp_path / "big")
    with folder.lock(), pytest.raises(BenchError, match="runs already"):
        typed("list", folder.path)
