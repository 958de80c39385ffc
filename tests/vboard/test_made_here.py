"""Boards from elsewhere: their Python does not run in the bench's process unless the user says so."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from slotbench.cli import run
from slotbench.vboard.live.folder import BoardFolder
from support.live.bench import make_folder
from support.vboard.littlefs import filesystem

ATTACK = """\
for c in ().__class__.__mro__[-1].__subclasses__():
    if c.__name__ == '_wrap_close':
        c.__init__.__globals__['system']('touch {owned}')
"""

Slotbench = Callable[..., str]


@pytest.fixture
def slotbench(capfd: pytest.CaptureFixture[str]) -> Slotbench:
    """`slotbench board run ... --speed max --for 1`; what it said. `code` is its exit code."""

    def command(*arguments: str | Path, code: int = 0) -> str:
        ended = run(["board", "run", *map(str, arguments), "--speed", "max", "--for", "1"])
        said = capfd.readouterr()
        assert ended == code, said.out + said.err
        return said.out + said.err

    return command


@pytest.fixture
def owned(tmp_path: Path) -> Path:
    """A file that an attack makes."""
    return tmp_path / "owned"


@pytest.fixture
def board(tmp_path: Path, owned: Path) -> BoardFolder:
    return make_folder(tmp_path / "board", ATTACK.format(owned=owned))


def test_a_board_that_was_made_here_runs(board: BoardFolder, slotbench: Slotbench, owned: Path) -> None:
    board.path.rename(board.path.with_name("renamed"))
    slotbench(board.path.with_name("renamed"))
    assert owned.exists(), "the CPython VM is no sandbox, or the attack is none"


def test_a_copy_from_elsewhere_runs_only_when_it_is_trusted(
    board: BoardFolder, slotbench: Slotbench, owned: Path,
) -> None:
    copy = board.path.with_name("copy")
    shutil.copytree(board.path, copy)
    said = slotbench(copy, code=2)
    assert "was not made here" in said and "--vm micropython or --vm chip, or add --trust" in said
    assert not owned.exists()
    slotbench(copy, "--trust")
    assert owned.exists()
    assert "was not made here" in slotbench(copy, code=2), "that was for once"


def test_a_forged_mark_is_none(board: BoardFolder, slotbench: Slotbench, owned: Path) -> None:
    facts = json.loads((board.path / "board.json").read_text())
    for token in ("", "00" * 16, None):
        facts["token"] = token
        (board.path / "board.json").write_text(json.dumps({key: it for key, it in facts.items() if it is not None}))
        assert "was not made here" in slotbench(board.path, code=2)
    assert not owned.exists()


@pytest.mark.usefixtures("micropython")
def test_a_copy_from_elsewhere_is_confined(board: BoardFolder, slotbench: Slotbench, owned: Path) -> None:
    copy = board.path.with_name("copy")
    shutil.copytree(board.path, copy)
    assert "boot: slot A" in slotbench(copy, "--vm", "micropython")
    assert not owned.exists()


def test_a_dump_from_elsewhere_runs_only_when_it_is_trusted(
    board: BoardFolder, slotbench: Slotbench, tmp_path: Path,
) -> None:
    own = tmp_path / "chip.bin"
    slotbench("--flash", own)
    slotbench("--flash", own)
    dump = tmp_path / "dump.bin"
    dump.write_bytes(board.flash_path.read_bytes())
    assert "was not made here" in slotbench("--flash", dump, code=2)
    assert "boot: slot A" in slotbench("--flash", dump, "--trust")
    assert "was not made here" in slotbench("--flash", dump, code=2)


@pytest.mark.usefixtures("micropython")
def test_a_damaged_filesystem_from_elsewhere_does_not_end_the_bench(
    board: BoardFolder, slotbench: Slotbench, tmp_path: Path,
) -> None:
    """littlefs ends the process by an assertion, or never returns."""
    place = board.profile.filesystem
    damaged = bytearray(filesystem({"/lib/a.py": bytes(9000), "/main.py": b"x = 1"}, place.size))
    for block in range(2, place.size // 4096):
        damaged[block * 4096 : block * 4096 + 64] = bytes(64)
    flash = bytearray(board.flash_path.read_bytes())
    flash[place.start : place.end] = damaged
    (tmp_path / "dump.bin").write_bytes(flash)
    said = slotbench("--flash", tmp_path / "dump.bin", "--vm", "micropython", code=1)
    assert "its filesystem is damaged" in said and f"slotbench inspect {tmp_path / 'dump.bin'}" in said


@pytest.mark.usefixtures("micropython")
def test_a_dump_of_a_stock_board_runs_with_its_longer_filesystem(
    board: BoardFolder, slotbench: Slotbench, tmp_path: Path,
) -> None:
    """Stock MicroPython's filesystem reaches to the end of a flash of 4 MB, the map's does not."""
    start = board.profile.filesystem.start
    flash = bytearray(board.flash_path.read_bytes())
    flash[start : 0x3FB000] = filesystem({"/main.py": b"x = 1"}, 0x3FB000 - start)
    (tmp_path / "dump.bin").write_bytes(flash)
    assert "] power on" in slotbench("--flash", tmp_path / "dump.bin", "--vm", "micropython")


@pytest.mark.parametrize("name", ["files/secret", "files/lib", "flash.bin"])
def test_a_board_from_elsewhere_leads_nowhere_by_links(
    board: BoardFolder, slotbench: Slotbench, tmp_path: Path, name: str,
) -> None:
    copy = board.path.with_name("copy")
    shutil.copytree(board.path, copy)
    (copy / name).unlink(missing_ok=True)
    target = tmp_path if name == "files/lib" else tmp_path / "target"
    if name != "files/lib":
        shutil.copy(board.flash_path, target)
    (copy / name).symlink_to(target)
    assert "holds a symbolic link" in slotbench(copy, "--trust", code=2)
