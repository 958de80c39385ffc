#!/usr/bin/env python3
"""Make the golden files in tests/vectors, or with --check say whether they are what this would make.

Deterministic: no clock, no randomness, signatures of PKCS#1 v1.5 by the test keys in tests/vectors/keys.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "host"))

from golden import native, pages, served  # noqa: E402
from golden.common import VECTORS  # noqa: E402

PARTS = (
    pages.cell_files, pages.region_files, pages.descriptor_files, pages.windowlog_files,
    pages.rtc_files, served.image_files, served.document_files, served.tampered_files,
    served.rollout_files, native.native_files,
)
KEPT = ("README.md", "keys/")
"""What is made by hand."""


def differences(files: Mapping[str, bytes]) -> list[str]:
    """One line for each file that is missing, different or not of this generator."""
    there = {path.relative_to(VECTORS).as_posix() for path in VECTORS.rglob("*") if path.is_file()}
    strange = {name for name in there - files.keys() if not name.startswith(KEPT)}
    lines = [f"tests/vectors/{name}: is made by nothing" for name in sorted(strange)]
    for name in sorted(files):
        if name not in there:
            lines.append(f"tests/vectors/{name}: is missing")
        elif (VECTORS / name).read_bytes() != files[name]:
            lines.append(f"tests/vectors/{name}: would change")
    return lines


def main() -> int:
    """Write the files, or compare them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 when anything would change")
    only_check = parser.parse_args().check
    # The committed keys are for all to read; what SigningKey says of that is right and of no use here.
    logging.getLogger("slotbench").setLevel(logging.ERROR)
    files = {name: data for part in PARTS for name, data in part().items()}
    lines = differences(files)
    if only_check:
        print("\n".join(lines) or f"{len(files)} golden files are what they should be")
        return 1 if lines else 0
    for name, data in files.items():
        path = VECTORS / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    for name in (line.split(":")[0] for line in lines if line.endswith("nothing")):
        (ROOT / name).unlink()
    print(f"{len(files)} golden files, {len(lines)} changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
