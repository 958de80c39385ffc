"""`slotbench get-micropython`: what it has is used again, and why it cannot have it is said in a line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from slotbench import micropython_vm
from slotbench.cli import run
from slotbench.errors import BenchError
from slotbench.vboard.micropython import installation

ROOT = Path(__file__).resolve().parents[2]


def cache_like_the_real_one(folder: Path) -> Path:
    cache = folder / "micropython"
    cache.mkdir()
    (cache / "root").symlink_to(installation.find_installation().root)
    (cache / "sha256").write_text(f"{micropython_vm._SHA256}  micropython.deb\n")
    return cache


@pytest.mark.usefixtures("micropython")
def test_what_is_there_and_runs_is_not_fetched_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cache = cache_like_the_real_one(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert micropython_vm.get_vm(cache) is False


@pytest.mark.usefixtures("micropython")
def test_an_installed_slotbench_has_it_in_the_users_cache(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path,
) -> None:
    """And finds it there again for --vm micropython."""
    (tmp_path / "twoslot").mkdir()
    cache = cache_like_the_real_one(tmp_path / "twoslot")
    monkeypatch.setattr(micropython_vm, "__file__", str(tmp_path / "lib" / "slotbench" / "micropython_vm.py"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(installation.VARIABLE, raising=False)
    assert run(["get-micropython"]) == 0
    assert f"already in {cache}" in capsys.readouterr().out
    assert installation.find_installation().root == cache / "root"


@pytest.mark.usefixtures("micropython")
def test_the_tool_of_a_checkout_needs_nothing_installed() -> None:
    said = subprocess.run(
        [sys.executable, "-I", "-S", ROOT / "tools" / "get-micropython"], capture_output=True, text=True, check=True)
    assert said.stdout == "MicroPython 1.25.0+ds-1 (i386) is in .cache/micropython\n"


def test_a_machine_without_apt(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path,
) -> None:
    monkeypatch.setattr("slotbench.cli.get_micropython.vm_cache", lambda: tmp_path / "cache" / "micropython")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run(["get-micropython"]) == 1
    assert "apt-get is not here; run on Debian" in capsys.readouterr().err
    assert not (tmp_path / "cache").exists(), "nothing half-made is left"


def test_another_package_than_the_pinned_one(tmp_path: Path) -> None:
    package = tmp_path / "micropython_9.9_i386.deb"
    package.write_bytes(b"not that one")
    with pytest.raises(BenchError, match="another micropython"):
        micropython_vm._unpack([package], tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_folder_that_holds_no_vm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(installation.VARIABLE, str(tmp_path))
    with pytest.raises(BenchError, match="no MicroPython VM here.*get-micropython"):
        installation.find_installation()
