"""One server of programs for each process that runs tests."""

from __future__ import annotations

import atexit
import functools
import os
import subprocess
import sys
import tempfile
from pathlib import Path

TERMINAL = "-t"
"""Before `-m`: the program is unbuffered, and the terminal of its standard input is its own."""


@functools.cache
def python() -> str:
    """A program to start in place of `sys.executable`, with `-m` and a module: it starts in a tenth of the time."""
    folder = tempfile.TemporaryDirectory(prefix="slotbench-")
    stub = Path(folder.name, "python")
    stub.write_text(f"#!{sys.executable} -IS\n{(Path(__file__).parent / 'client.py').read_text()}")
    stub.chmod(0o700)
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "120", "PYTHONPATH": os.pathsep.join(sys.path)}
    server = subprocess.Popen(
        [sys.executable, "-m", "support.programs.server", f"{folder.name}/socket"], env=environment,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)

    def end() -> None:
        server.communicate()
        folder.cleanup()

    atexit.register(end)
    assert server.stdout is not None and server.stdout.readline() == b"ready\n", "it does not start"
    return str(stub)
