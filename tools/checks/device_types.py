"""Gate `types`: mypy holds device/ against the published stubs of MicroPython's ESP8266 port.

What the stubs have and this port's builds switch off is the lint's.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

from checks.report import GateReport, device_files, name

_STUBS = ("micropython-esp8266-stubs", "micropython-stdlib-stubs")
_NOT_ASKED = (
    "union-attr", "var-annotated", "assignment", "has-type", "index", "import-untyped", "import-not-found")
"""Attributes begin as None and are filled in later: annotations for that would be for mypy alone. What can be
imported is the lint's: the stubs lack umqtt."""
_OF_NONE = '"None" has no attribute'
"""The same of a name of a module."""
_LINE = re.compile(r"(?P<path>.+?):(?P<line>\d+): error: (?P<what>.+)")


def run(root: Path, report: GateReport) -> None:
    """Check every file that runs on a board."""
    files = device_files(root)
    with tempfile.TemporaryDirectory() as folder:
        try:
            stubs = _gather(Path(folder) / "stubs")
        except metadata.PackageNotFoundError as e:
            report.add("setup.cfg", 0, f"{e.name} is not installed", "install the extra test")
            return
        command = [
            sys.executable, "-m", "mypy", "--config-file", os.devnull, "--python-version", "3.11",
            "--cache-dir", f"{folder}/cache", "--no-error-summary", "--check-untyped-defs",
            "--custom-typeshed-dir", str(stubs), "--namespace-packages", "--explicit-package-bases"]
        command += [f"--disable-error-code={code}" for code in _NOT_ASKED]
        run = subprocess.run(
            [*command, *(name(root / "device", path) for path in files)], cwd=root / "device",
            capture_output=True, text=True, check=False, env={**os.environ, "MYPYPATH": f"{stubs}:."})
    for line in run.stdout.splitlines():
        match = _LINE.match(line)
        # The stubs have mistakes of their own, which mypy would also tell.
        if match and not Path(match["path"]).is_absolute() and not match["what"].startswith(_OF_NONE):
            report.add(f"device/{match['path']}", int(match["line"]), match["what"])
    if run.returncode not in (0, 1):
        why = (run.stderr or run.stdout).strip()
        report.add("tools/checks/device_types.py", 0, f"mypy did not run: {why}", "mend that first")


def _gather(into: Path) -> Path:
    """The stubs alone: mypy takes no path that is a site-packages."""
    for distribution in _STUBS:
        for file in metadata.files(distribution) or ():
            if file.suffix == ".pyi" or file.name == "VERSIONS":
                link = into / file
                link.parent.mkdir(parents=True, exist_ok=True)
                if not link.exists():
                    link.symlink_to(file.locate())
    return into
