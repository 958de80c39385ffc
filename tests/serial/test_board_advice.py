"""Likely mistakes with a board: each refusal's advice is followed, to the letter, and the mistake is cured."""

from __future__ import annotations

import hashlib
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from slotbench import boards
from slotbench.boards.header import with_header
from slotbench.cli import run
from slotbench.repl.package import package_files
from slotbench.vboard.firmware import build
from support.live.bench import QUIET, make_folder
from support.serial.bench import SerialBench, plain_folder
from support.testbed import put_keys
from support.vboard.flash import image
from support.vboard.littlefs import filesystem

BOARD = boards.load("generic_4m")
FILES = {"/main.py": b"print('lamp')\n", "/notes.txt": random.Random(2).randbytes(5000)}
STOCK_BYTES = 0x3FB000 - 0x100000
OLD = "backup-5ccf7f2c1b0a-stock.bin"

Boards = Callable[..., SerialBench]


class ScratchUser:
    """Types commands in a scratch folder, and does what refusals say."""

    def __init__(self, capsys: pytest.CaptureFixture[str], more: tuple[str, ...] = ()) -> None:
        self._capsys = capsys
        self._more = more

    def type(self, *words: str | Path) -> tuple[int, str]:
        """A command's exit code, and what it printed. `flash` uses the loader of the test."""
        more = self._more if words[0] == "flash" else ()
        code = run([*map(str, words), *more])
        said = self._capsys.readouterr()
        return code, said.out + said.err

    def refused(self, *words: str | Path) -> str:
        """The refusal of a command."""
        code, said = self.type(*words)
        assert code, f"not refused: {said}"
        return said

    def succeeds(self, *words: str | Path) -> str:
        """What a command says that works."""
        code, said = self.type(*words)
        assert code == 0, said
        return said

    def obeys(self, refusal: str) -> str:
        """Type the command that a refusal names; what it says."""
        found = re.findall(r"slotbench ([^`;\n]+)", refusal.partition(";")[2])
        assert found, f"no command in: {refusal}"
        return self.succeeds(*found[-1].split())


@pytest.fixture
def person(tmp_path: Path, loader: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> ScratchUser:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "firmware.bin").write_bytes(image("1.2.3", size=90_000))
    return ScratchUser(capsys, ("--loader", str(loader)))


def stock_flash(version: int = 0x00020001) -> bytes:
    """A board with plain MicroPython and files."""
    content = bytearray(b"\xff" * BOARD.chip_bytes)
    plain = with_header(image("1.0.0", size=70_000), BOARD, BOARD.chip_bytes)
    content[: len(plain)] = plain
    content[0x100000 : 0x100000 + STOCK_BYTES] = filesystem(FILES, STOCK_BYTES, version)
    return bytes(content)


def test_files_that_flash_would_lose(boards_with: Boards, person: ScratchUser) -> None:
    port = boards_with(stock_flash()).port
    refusal = person.refused("flash", "--port", port, "--image", "firmware.bin")
    assert "its files would be lost" in refusal and "move its files with --from-stock" in refusal
    assert "2 files are moved" in person.succeeds("flash", "--port", port, "--image", "firmware.bin", "--from-stock")


def test_an_older_backup_in_the_way(boards_with: Boards, person: ScratchUser) -> None:
    port = boards_with(stock_flash()).port
    Path(OLD).write_bytes(b"last year's")
    refusal = person.refused("flash", "--port", port, "--from-stock")
    assert f"an older backup is there: {OLD}; move it away, or give another name with --backup" in refusal
    person.succeeds("flash", "--port", port, "--from-stock", "--backup", "today.bin")
    assert Path(OLD).read_bytes() == b"last year's"


def test_something_that_is_no_firmware(boards_with: Boards, person: ScratchUser) -> None:
    port = boards_with().port
    Path("main.py").write_text("print('lamp')\n")
    refusal = person.refused("flash", "--port", port, "--image", "main.py")
    assert "main.py" in refusal and "give a firmware .bin for the ESP8266" in refusal
    person.succeeds("flash", "--port", port, "--image", "firmware.bin")


def test_no_firmware_at_all(boards_with: Boards, person: ScratchUser) -> None:
    port = boards_with().port
    refusal = person.refused("flash", "--port", port)
    assert "slotbench flash firmware.bin" in refusal
    person.succeeds("flash", "--port", port, "--image", "firmware.bin")


def test_a_backup_that_exists(boards_with: Boards, person: ScratchUser) -> None:
    port = boards_with().port
    Path("lamp.bin").write_bytes(b"")
    assert "the file exists already: lamp.bin; choose another name" in person.refused("backup", "--port", port, "lamp.bin")
    person.succeeds("backup", "--port", port, "lamp2.bin")


def test_a_port_whose_board_does_not_run(person: ScratchUser, tmp_path: Path) -> None:
    folder = plain_folder(tmp_path / "board")
    (tmp_path / "tty").symlink_to("/dev/pts/99999")
    refusal = person.refused("backup", "--port", tmp_path / "tty", "all.bin")
    assert "start it with `slotbench board run`" in refusal
    with SerialBench(folder) as bench:
        person.succeeds("backup", "--port", bench.port, "all.bin")


def test_buttons_of_a_board_without_power_or_without_a_process(person: ScratchUser, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "board", QUIET)
    refusal = person.refused("board", "reset", folder.path)
    assert f"start it in another terminal: slotbench board run {folder.path}" in refusal
    with SerialBench(folder):
        person.succeeds("board", "power", folder.path, "off")
        person.obeys(person.refused("board", "reset", folder.path))
        person.succeeds("board", "reset", folder.path)


def test_a_folder_that_is_no_board_and_one_that_is_taken(person: ScratchUser) -> None:
    person.obeys(person.refused("board", "run", "lamp1"))
    assert "choose a new folder" in person.refused("board", "new", "lamp1")
    person.succeeds("board", "new", "lamp2")
    person.succeeds("board", "run", "lamp1", "--speed", "max", "--for", "1")


@pytest.mark.usefixtures("micropython")
def test_a_board_from_elsewhere(person: ScratchUser) -> None:
    person.succeeds("board", "new", "lamp1")
    shutil.copytree("lamp1", "copy")
    again = ("board", "run", "copy", "--speed", "max", "--for", "1")
    refusal = person.refused(*again)
    assert "confine it with --vm micropython" in refusal and "add --trust" in refusal
    person.succeeds(*again, "--vm", "micropython")
    person.succeeds(*again, "--trust")


def test_a_server_that_no_virtual_board_reaches(person: ScratchUser) -> None:
    refusal = person.refused("board", "new", "lamp1", "--server", "192.168.1.10:8266")
    assert "give it as http://192.168.1.10:8266" in refusal
    refusal = person.refused("board", "new", "lamp1", "--server", "http://198.51.100.7:8266")
    assert "give --server http://127.0.0.1:PORT" in refusal
    person.succeeds("board", "new", "lamp1", "--server", "http://127.0.0.1:8266")


def test_a_filesystem_that_an_old_firmware_cannot_mount(boards_with: Boards, person: ScratchUser, tmp_path: Path) -> None:
    content = bytearray(b"\xff" * BOARD.chip_bytes)
    content[BOARD.filesystem.start : BOARD.filesystem.end] = filesystem(FILES, BOARD.filesystem.size)
    old = tmp_path / "old.bin"
    old.write_bytes(old_firmware())
    port = boards_with(bytes(content)).port
    refusal = person.refused("flash", "--port", port, "--image", old)
    assert "give MicroPython 1.22 or later with --image, or --erase-filesystem" in refusal
    person.succeeds("flash", "--port", port, "--image", "firmware.bin")


def old_firmware() -> bytes:
    """One that says that it is MicroPython 1.20, which mounts littlefs 2.0 at most."""
    data = bytearray(build("1.2.3", size=90_000).replace(b"v1.28.0 on ", b"v1.20.0 on "))
    data[-16:] = hashlib.md5(data[4:-16], usedforsecurity=False).digest()
    return bytes(data)


@pytest.mark.usefixtures("micropython")
def test_a_board_without_twoslot_and_a_deploy_that_says_too_little(person: ScratchUser, tmp_path: Path) -> None:
    keys = put_keys(tmp_path / "keys") / "lamp.keys"
    with SerialBench(plain_folder(tmp_path / "board"), vm="micropython") as bench:
        bench.wait_for("boot: slot A")
        refusal = person.refused("status", "--port", bench.port)
        assert f"twoslot is not on the board: {bench.port}; slotbench deploy --port {bench.port}" in refusal
        refusal = person.refused("deploy", "--port", bench.port, "--keys", keys)
        assert "give --board, --server" in refusal
        bench.board.files.update({f"/{path}": data for path, data in package_files().items()})  # a cable is slow
        person.succeeds(
            "deploy", "--port", bench.port, "--keys", keys, "--board", "generic_4m", "--server", "http://127.0.0.1:8266")
        assert "the board says" in person.succeeds("status", "--port", bench.port)
        refusal = person.refused("deploy", "--port", bench.port, "--product", "sensor")
        assert "the board has the keys of the product lamp" in refusal and "--keys" in refusal
