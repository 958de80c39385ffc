"""A PostgreSQL of a test run: Debian's, in a folder of its own, over a Unix socket, with no safety for its disk."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

BINARIES = Path("/usr/lib/postgresql")
_USER = "postgres"


def programs() -> Path | None:
    """The folder of its programs; None where it is not installed."""
    found = sorted(BINARIES.glob("*/bin/initdb"))
    return found[-1].parent if found else None


class PostgresqlServer:
    """It runs until `stop`. Root may not run it: then Debian's user of it does."""

    def __init__(self) -> None:
        found = programs()
        assert found is not None
        self._programs = found
        self.folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
        self._as_user: list[str] = []
        if os.geteuid() == 0:
            shutil.chown(self.folder, _USER)
            self._as_user = ["setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--clear-groups"]
        self._run("initdb", "-D", "data", "-U", "fleet", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C")
        options = f"-c listen_addresses='' -c unix_socket_directories={self.folder} -c fsync=off -c max_connections=40"
        self._run("pg_ctl", "-D", "data", "-w", "-t", "60", "-l", "log", "-o", options, "start")
        self.url = f"postgresql+psycopg://fleet@/postgres?host={self.folder}"

    def cpu_s(self) -> float:
        """The CPU seconds of its processes, of those that ended too; in steps of 10 ms."""
        first = (self.folder / "data" / "postmaster.pid").read_text().split()[0]
        others = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        ticks = 0
        for process in (first, *others):
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """End it, and take its folder away."""
        self._run("pg_ctl", "-D", "data", "-w", "-m", "immediate", "stop")
        shutil.rmtree(self.folder)

    def _run(self, program: str, *arguments: str) -> None:
        ran = subprocess.run(
            [*self._as_user, self._programs / program, *arguments], cwd=self.folder, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True, timeout=120, check=False)
        assert ran.returncode == 0, ran.stderr


def require() -> None:
    """Skip a test where it is not installed; fail where nothing may be skipped."""
    if programs() is None:
        reason = "needs the Debian package postgresql (.ci/run installs it)"
        if os.environ.get("TWOSLOT_REQUIRE_TOOLS"):
            pytest.fail(reason)
        pytest.skip(reason)
