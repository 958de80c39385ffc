"""Gate `vectors`: the golden files are what tools/gen_vectors.py makes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from checks.report import GateReport

_GENERATOR = "tools/gen_vectors.py"


def run(root: Path, report: GateReport) -> None:
    """Ask the generator."""
    if not (root / _GENERATOR).is_file():
        report.add(_GENERATOR, 0, "is missing", "the golden files need their generator")
        return
    env = {**os.environ, "PYTHONPATH": str(root / "host"), "PYTHONDONTWRITEBYTECODE": "1"}
    run = subprocess.run(
        [sys.executable, _GENERATOR, "--check"],
        cwd=root, env=env, capture_output=True, text=True, check=False)
    if run.returncode:
        why = (run.stderr or run.stdout).strip().splitlines() or ["no reason given"]
        for line in why:
            report.add("tests/vectors", 0, line)
        report.add("tests/vectors", 0, "not what the generator makes",
                   "if the format was meant to change, give it a new number and run tools/gen_vectors.py")
