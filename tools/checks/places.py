"""Gate `places`: no path of one machine and no registry's host name in any file of the project.

Guides name the folders of a server (its sites, its configuration): those are the same on every server.
"""

from __future__ import annotations

import re
from pathlib import Path

from checks.report import GateReport, name, project_files

_PATH = re.compile(r"(?<![\w.$}>~/-])/(?:home|root|tmp|work|farm|Users|mnt|srv|var/tmp)/\w?")
_SERVER = "/" + "srv/"
_REGISTRIES = "anaconda|crates|debian|npmjs|pypi|pythonhosted|rubygems|ubuntu"
_HOST = re.compile(rf"\b(?:[\w-]+\.)*(?:{_REGISTRIES})\.(?:com|io|net|org)\b", re.IGNORECASE)


def run(root: Path, report: GateReport) -> None:
    """Look through every text file."""
    for path in project_files(root):
        data = path.read_bytes()
        if b"\0" in data:
            continue
        for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
            if (match := _path(path, line)) is not None:
                report.add(name(root, path), number, f"names a folder of one machine ({match[0]})",
                           "take it from an argument, the environment or tempfile")
            if match := _HOST.search(line):
                report.add(name(root, path), number, f"names a registry's host ({match[0]})",
                           "leave it to the machine's own pip and apt configuration")


def _path(path: Path, line: str) -> re.Match[str] | None:
    """The folder of one machine that a line names first."""
    found = _PATH.finditer(line)
    return next((match for match in found if path.suffix != ".md" or not match[0].startswith(_SERVER)), None)
