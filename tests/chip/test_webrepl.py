"""`slotbench deploy --webrepl` over the real WebREPL of an official firmware, on the emulated chip.

With TWOSLOT_WEBREPL=all the whole package is deployed: some minutes. Without it the steps are tried with few files.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from slotbench import boards
from slotbench.errors import BenchError
from slotbench.flashing.plan import Firmware, factory_writes
from slotbench.repl.board_content import read_board
from slotbench.repl.deploy import install_files, remove_boot_line
from slotbench.repl.webrepl import WebRepl
from slotbench.vboard.factory import factory_flash
from slotbench.vboard.flash.littlefs import FlashFiles
from slotbench.vboard.live.folder import BoardFolder
from support.chip.bench import ChipBench, need_slirp, recent_micropython
from support.serial.clients import slotbench
from support.testbed import put_keys

BOOT = b"import webrepl\nwebrepl.start(password='secret')\n"
MAIN = b"import time\nprint('lamp on')\nwhile True:\n    time.sleep_ms(50)\n"


@pytest.fixture
def bench(core: Path, tmp_path: Path) -> Iterator[ChipBench]:
    """A board in a wall: its boot.py starts WebREPL, its main.py never ends."""
    need_slirp()
    profile = boards.load("generic_4m")
    first = Firmware(data=recent_micropython()[0], product="lamp", version="1.0", counter=1)
    flash = factory_flash(profile, [(write.offset, write.data) for write in factory_writes(profile, first)])
    flash.poke(profile.filesystem.start, b"\xff" * profile.filesystem.size)
    files = FlashFiles(flash, profile.filesystem)
    files.start({"/boot.py": BOOT, "/main.py": MAIN})
    files.mount()
    folder = BoardFolder.create(tmp_path / "lamp1", profile.name, flash, {}, unique_id=b"\x0a\x1b\x2c\0")
    with ChipBench(folder, grace_s=0.05) as made:
        made.until_shown("lamp on")
        yield made


def test_each_step_on_the_real_webrepl(bench: ChipBench) -> None:
    host, port = "127.0.0.1", bench.wire.forward(8266)
    board = WebRepl(host, port, "wrong")
    with pytest.raises(BenchError, match="the board refuses the password"):
        board.open()
    board = WebRepl(host, port, "secret")
    board.open()
    with pytest.raises(BenchError, match="another client has its WebREPL"):
        WebRepl(host, port, "secret").open()
    board.stop_program()
    found = read_board(board, board.name)
    assert found.version == (1, 26, 0) or found.version >= (1, 20)
    assert found.has_loader and found.block_bytes == 4096 and found.boot is not None
    assert remove_boot_line(found.boot) == found.boot and BOOT in found.boot
    files = {"note.txt": b"", "pack/a.txt": bytes(range(256)) * 9, "boot.py": found.boot + b"print('new')\n"}
    assert install_files(board, found, files, board.name) == 3
    assert bench.shown.count("lamp on") == 1
    board.restart()
    bench.until_shown("new")
    bench.until_shown("lamp on", bench.shown.index("new"))
    board.open_again()
    board.stop_program()
    again = read_board(board, board.name)
    assert again.boot == files["boot.py"] and not again.interrupted
    assert board.run_script("import os\nprint(os.stat('pack/a.txt')[6], os.stat('note.txt')[6])").split() == ["2304", "0"]
    board.start_program()


@pytest.mark.skipif(os.environ.get("TWOSLOT_WEBREPL") != "all", reason="some minutes; TWOSLOT_WEBREPL=all")
def test_deploy_as_a_whole(bench: ChipBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLOTBENCH_WEBREPL_PASSWORD", "secret")
    monkeypatch.setattr("support.serial.clients.LIMIT_S", 900)
    keys = put_keys(tmp_path / "keys") / "lamp.keys"
    said = slotbench(
        "deploy", "--webrepl", f"127.0.0.1:{bench.wire.forward(8266)}", "--keys", keys, "--board", "generic_4m",
        "--server", "http://192.168.4.2:8266")
    assert "compared by hash; the board was restarted, and runs its boot hook" in said
    bench.until_shown("lamp on", bench.shown.rindex("soft reboot"))
