"""mpfshell, unmodified, on a board with an emulated chip. It asks os.uname() who the board is."""

from __future__ import annotations

import os
from pathlib import Path

from support.chip.bench import ChipBench, need_slirp, plain_folder, recent_micropython
from support.serial.clients import mpfshell

FIRST = b"print('first')\n"


def test_files_and_code(core: Path, tmp_path: Path) -> None:
    need_slirp()
    local = tmp_path / "local.py"
    local.write_bytes(FIRST + b"import sys\nprint(sys.platform)\n")
    with ChipBench(plain_folder(tmp_path / "lamp1", recent_micropython()[0])) as bench:
        bench.until_shown(">>> ")
        # It takes what begins with /dev/ only.
        said = mpfshell(
            os.path.realpath(bench.tty), tmp_path, "put local.py there.py", "md new", "ls", "cat there.py",
            "get there.py back.py", "exec print(6 * 7)", "execfile there.py", "rm there.py", "ls")
    print(said)
    listed, _, after = said.partition("<dir> new")
    assert "Connected to esp8266" in listed and "print(sys.platform)" in after
    assert "42" in after and "first" in after
    assert (tmp_path / "back.py").read_bytes() == local.read_bytes()
    assert "there.py" not in after.rpartition("<dir> new")[2]
