"""ampy, unmodified, on the virtual board."""

from __future__ import annotations

from pathlib import Path

from support.live.bench import make_folder
from support.serial.bench import SerialBench
from support.serial.clients import ampy

FIRST = b"print('first')\n"


def test_files_and_code(micropython: None, tmp_path: Path) -> None:
    local = tmp_path / "local.py"
    local.write_bytes(FIRST + b"import sys\nprint(sys.platform)\n")
    with SerialBench(make_folder(tmp_path / "board"), vm="micropython") as bench:
        bench.wait_for("boot: slot A")
        ampy(bench.port, "put", local, "there.py")
        assert bench.board.files["/there.py"] == local.read_bytes()
        assert "/there.py" in ampy(bench.port, "ls").splitlines()
        assert ampy(bench.port, "get", "there.py").strip().encode() == local.read_bytes().strip()
        assert ampy(bench.port, "run", local) == "first\nesp8266\n"
        ampy(bench.port, "rm", "there.py")
        assert "/there.py" not in bench.board.files
        assert "RuntimeError" in ampy(bench.port, "get", "there.py", fails=True)
