"""Thonny's back-end, unmodified, on the virtual board: connect, run, list, upload, download, interrupt."""

from __future__ import annotations

from pathlib import Path

from support.live.bench import make_folder
from support.serial.bench import SerialBench
from support.serial.thonny_backend import ThonnyBackend


def test_it_runs_lists_copies_and_stops(micropython: None, tmp_path: Path) -> None:
    local, back = tmp_path / "local.py", tmp_path / "back.py"
    local.write_bytes(b"print('first')\n" * 40)
    with SerialBench(make_folder(tmp_path / "board", "print('lamp on')\n"), vm="micropython") as bench:
        bench.wait_for("lamp on")
        with ThonnyBackend(bench.port, tmp_path) as thonny:
            assert thonny.run("print(6 * 7)\n") == "42\n"
            assert "ZeroDivisionError" in thonny.run("1 // 0\n")
            put = thonny.ask("upload", items=[{
                "source_path": str(local), "target_path": "/there.py", "kind": "file",
                "size": local.stat().st_size}], allow_overwrite=True,
                make_shebang_scripts_executable=False)
            assert not put.get("error"), put
            assert bench.board.files["/there.py"] == local.read_bytes()
            listed = thonny.ask("get_dirs_children_info", paths=["/"], include_hidden=False, node_id="")
            assert listed["data"]["/"]["there.py"]["size"] == local.stat().st_size
            got = thonny.ask("download", items=[{
                "source_path": "/there.py", "target_path": str(back), "kind": "file",
                "size": local.stat().st_size}], allow_overwrite=True,
                make_shebang_scripts_executable=False)
            assert not got.get("error") and back.read_bytes() == local.read_bytes()
            thonny.run("import time\nprint('on')\nwhile True:\n    time.sleep(1)\n", wait=False)
            thonny.until_printed("on")
            assert "KeyboardInterrupt" in thonny.interrupt()
