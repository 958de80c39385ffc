"""`release build --app`, `sign`, `publish`, `withdraw --app`: an application in single steps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.commands import CommandResult, RunCommand
from support.samples import PRODUCT, KeyRing, files_below, make_firmware

SMALL = make_firmware(48 * 1024)


@pytest.fixture
def folder(tmp_path: Path, ring: KeyRing, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a program, a firmware and keys, and the current one."""
    (tmp_path / "app" / "lib").mkdir(parents=True)
    (tmp_path / "app" / "main.py").write_text("import lamp\n")
    (tmp_path / "app" / "lib" / "lamp.py").write_text("n = 1\n")
    (tmp_path / "a.bin").write_bytes(SMALL)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def build(slotbench: RunCommand, *arguments: object) -> CommandResult:
    return slotbench(
        "release", "build", *arguments, "--product", PRODUCT, "--board", "generic_4m", "--no-preflight")


def sign(slotbench: RunCommand, path: str) -> CommandResult:
    return slotbench("release", "sign", path, "--key", "keys/offline.pem", "--keys", f"keys/{PRODUCT}.keys")


def publish(slotbench: RunCommand, *arguments: object) -> CommandResult:
    return slotbench(
        "release", "publish", *arguments, "--key", "keys/online.pem", "--keys", f"keys/{PRODUCT}.keys")


def test_an_application_in_single_steps(folder: Path, slotbench: RunCommand) -> None:
    ran = build(slotbench, "--app", "app", "--counter", "3", "--version", "1.4")
    assert (ran.code, ran.err) == (0, "")
    assert "sensor-app-3.application: sensor 1.4, application counter 3; sign it next" in ran.out
    assert files_below(folder / "sensor-app-3.files") == {"main.py", "lib/lamp.mpy"}
    assert sign(slotbench, "sensor-app-3.application").code == 0
    ran = publish(slotbench, "sensor-app-3.application", "site", "--percent", "10")
    assert ran.code == 0 and "site: sensor/stable is application 3 for 10 % of the boards" in ran.out
    ran = slotbench("release", "show", "sensor-app-3.application", "--keys", f"keys/{PRODUCT}.keys")
    assert "1.4, counter 3" in ran.out and "2, " in ran.out and "valid, by the offline key" in ran.out
    ran = slotbench("release", "list", "site", "--keys", f"keys/{PRODUCT}.keys")
    assert ran.out.startswith("application 3  1.4  stable: 10 % of the boards, head seq ")


def test_the_same_folder_is_the_same_application(folder: Path, slotbench: RunCommand) -> None:
    """Same clock, same bytes: also after the files were written, touched and built again."""
    build(slotbench, "--app", "app", "--counter", "3")
    before = (folder / "sensor-app-3.application").read_bytes()
    (folder / "app" / "lib" / "lamp.py").touch()
    (folder / "sensor-app-3.files" / "left.txt").write_text("of an earlier build")
    build(slotbench, "--app", "app", "--counter", "3")
    assert (folder / "sensor-app-3.application").read_bytes() == before
    assert files_below(folder / "sensor-app-3.files") == {"main.py", "lib/lamp.mpy"}


def test_both_together(folder: Path, slotbench: RunCommand) -> None:
    ran = build(slotbench, "a.bin", "--app", "app", "--counter", "7", "--app-counter", "3", "--version", "2")
    assert (ran.code, ran.err) == (0, "")
    made = json.loads((folder / "sensor-app-3.application").read_bytes())
    assert (made["version"], made["firmware_low"], made["mpy_abi"]) == ("2", 7, 6)
    for name in ("sensor-7.release", "sensor-app-3.application"):
        assert sign(slotbench, name).code == 0
    ran = publish(slotbench, "sensor-app-3.application", "site")
    assert ran.code == 0, "the channel has no firmware that could be too old"
    ran = publish(slotbench, "sensor-7.release", "sensor-app-3.application", "site", "--image", "a.bin")
    assert ran.code == 0 and "is counter 7 and application 3 for" in ran.out
    ran = slotbench(
        "release", "withdraw", "site", "--app", "--key", "keys/online.pem", "--keys", f"keys/{PRODUCT}.keys")
    assert ran.code == 1 and "there is no older release" in ran.err


@pytest.mark.parametrize(("arguments", "words"), [
    (("a.application", "b.application", "site"), "give one release, or one application, or one of each"),
    (("a.release", "b.application", "site"), "Missing option '--image'"),
    (("gone.application", "site"), "the folder with the files of the application is missing: gone.files"),
])
def test_what_publish_refuses(
    folder: Path, slotbench: RunCommand, arguments: tuple[str, ...], words: str,
) -> None:
    ran = publish(slotbench, *arguments)
    assert ran.code == 2 and words in ran.err


def test_changed_files_beside_it_are_refused(folder: Path, slotbench: RunCommand) -> None:
    build(slotbench, "--app", "app", "--counter", "3")
    sign(slotbench, "sensor-app-3.application")
    (folder / "sensor-app-3.files" / "main.py").write_text("import other\n")
    ran = publish(slotbench, "sensor-app-3.application", "site")
    assert ran.code == 1 and "the files are not those that the application app-3 was built from" in ran.err
    for path in sorted((folder / "sensor-app-3.files").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (folder / "sensor-app-3.files").rmdir()
    ran = publish(slotbench, "sensor-app-3.application", "site")
    assert ran.code == 2 and "keep it beside the application, or build it again" in ran.err


def test_nothing_to_build_is_said(folder: Path, slotbench: RunCommand) -> None:
    ran = build(slotbench, "--counter", "3")
    assert ran.code == 2 and "give a firmware .bin, or --app DIR with your program, or both" in ran.err
    (folder / "sensor-app-3.application").write_text("mine")
    ran = build(slotbench, "--app", "app", "--counter", "3")
    assert ran.code == 2 and "this file is no release and is not overwritten" in ran.err
