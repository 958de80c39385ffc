"""tools/get-micropython: what it has is used again, and why it cannot have it is said in a line."""

from __future__ import annotations

from pathlib import Path

import micropython_vm
import pytest

from slotbench.errors import BenchError
from slotbench.vboard.micropython import installation


@pytest.mark.usefixtures("micropython")
def test_what_is_there_and_runs_is_not_fetched_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "micropython").mkdir()
    (tmp_path / "micropython" / "root").symlink_to(installation.find_installation().root)
    (tmp_path / "micropython" / "sha256").write_text(f"{micropython_vm._SHA256}  micropython.deb\n")
    monkeypatch.setattr(micropython_vm, "CACHE", tmp_path / "micropython")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert micropython_vm.main(["--quiet"]) == 0
    assert capsys.readouterr().out == ""


def test_a_machine_without_apt(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(micropython_vm, "CACHE", tmp_path / "cache" / "micropython")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert micropython_vm.main([]) == 1
    assert "apt-get is not here" in capsys.readouterr().err
    assert not (tmp_path / "cache").exists(), "nothing half-made is left"


def test_another_package_than_the_pinned_one(tmp_path: Path) -> None:
    package = tmp_path / "micropython_9.9_i386.deb"
    package.write_bytes(b"not that one")
    with pytest.raises(micropython_vm.NoVM, match="another micropython"):
        micropython_vm._unpack([package], tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_folder_that_holds_no_vm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(installation.VARIABLE, str(tmp_path))
    with pytest.raises(BenchError, match="no MicroPython VM here.*get-micropython"):
        installation.find_installation()
