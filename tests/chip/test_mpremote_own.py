"""mpremote's own tests, of MicroPython's source, on a board with an emulated chip; one of them without --whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from slotbench.micropython_vm import CLIENT_TESTS, suite_cache
from support.chip.bench import ChipBench, need_slirp, plain_folder, recent_micropython
from support.sampling import Sampler

PASSES = ("test_eval_exec_run", "test_mip_local_install", "test_recursive_cp")
FAILS = {
    "test_filesystem": "three minutes of copying in one heap: at times it has no 704 bytes in one piece left",
    "test_mount": "mpremote 1.29 says that it has mounted before the program prints, that of 1.25 behind it",
    "test_resume": "after `disconnect` it lets mpremote search for a port, and that of a test is a pty",
}
LIMIT_S = 400


def test_its_scripts_say_what_they_say_on_a_board(core: Path, tmp_path: Path, sampler: Sampler) -> None:
    need_slirp()
    scripts = suite_cache() / CLIENT_TESTS
    if not scripts.is_dir():
        pytest.skip("tools/get-micropython --tests fetches them")
    assert {path.stem for path in scripts.glob("test_*.sh")} == {*PASSES, *FAILS}, "the table is of another version"
    with ChipBench(plain_folder(tmp_path / "lamp1", recent_micropython()[0])) as bench:
        bench.until_shown(">>> ")
        for name in sampler.draw("mpremote's own tests", PASSES, 1):
            folder = tmp_path / name
            folder.mkdir()
            program = tmp_path / f"{name}.mpremote"
            program.write_text(f'#!/bin/sh\nexec {sys.executable} -m mpremote connect {bench.tty} "$@"\n')
            program.chmod(0o755)
            run = subprocess.run(
                ["bash", scripts / f"{name}.sh"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=LIMIT_S,
                env={**os.environ, "MPREMOTE": str(program), "TMP": str(folder), "PYTHONUNBUFFERED": "1"}, check=False)
            said = run.stdout.decode().replace("\r", "").replace(str(folder), "${TMP}")
            assert said == (scripts / f"{name}.sh.exp").read_text(encoding="utf-8"), name
