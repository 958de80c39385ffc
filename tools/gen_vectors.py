#!/usr/bin/env python3
"""Make the golden files in tests/vectors, or with --check say whether they are what this would make.

Deterministic: no clock, no randomness, signatures of PKCS#1 v1.5 by the test keys in tests/vectors/keys.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "host"))

from golden import (  # noqa: E402
    application_patches, applications, heads, native, offers, pages, patches, reports, served,
)
from golden.common import VECTORS  # noqa: E402

from slotbench.formats import (  # noqa: E402
    application, application_patch, application_record, descriptor, head, journal, maptable, patch, release,
    rtc,
)

PARTS = (
    pages.map_files, pages.cell_files, pages.region_files, pages.descriptor_files,
    pages.windowlog_files, pages.rtc_files, served.image_files, served.document_files, served.tampered_files,
    served.rollout_files, heads.head_files, native.native_files,
    offers.offer_files, reports.report_files, reports.identity_files,
    applications.list_files, applications.record_files, patches.patch_files,
    application_patches.patch_files,
)
LOCK = "locked.json"
KEPT = ("README.md", "keys/", LOCK)
"""What is made by hand, or from the rest."""
FORMATS = {
    "maps": maptable.MAGIC.decode(), "cells": journal.MAGIC.decode(), "regions": journal.MAGIC.decode(),
    "descriptors": descriptor.MAGIC.decode(), "rtc": rtc.MAGIC.decode(),
    "applications": application_record.MAGIC.decode(), "lists": str(application.FORMAT),
    "patches": patch.MAGIC.decode(), "application_patches": application_patch.MAGIC.decode(),
    "documents": str(release.FORMAT), "heads": str(head.FORMAT), "releases": str(release.FORMAT),
    "programs": str(application.FORMAT), "tampered": str(release.FORMAT),
}
"""The format number that speaks for a folder; the others have none and never change."""


def broken_locks(
    lock: Mapping[str, list[str]], files: Mapping[str, bytes], formats: Mapping[str, str],
) -> list[str]:
    """One line for each locked golden file that changed or went away while its format number stayed.

    `lock` maps a file to the format number and SHA-256 (hex) that it had when it was locked.
    """
    lines = []
    for name, (number, digest) in sorted(lock.items()):
        same_number = formats.get(name.split("/")[0], "") == number
        if same_number and (name not in files or hashlib.sha256(files[name]).hexdigest() != digest):
            still = number or "none"
            lines.append(f"tests/vectors/{name}: changed without a new format number (still {still})")
    return lines


def locked(files: Mapping[str, bytes]) -> bytes:
    """The lock of these files."""
    lock = {
        name: [FORMATS.get(name.split("/")[0], ""), hashlib.sha256(data).hexdigest()]
        for name, data in sorted(files.items())
    }
    return (json.dumps(lock, indent=0) + "\n").encode()


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
    there = VECTORS / LOCK
    broken = broken_locks(json.loads(there.read_bytes()) if there.exists() else {}, files, FORMATS)
    if broken:
        print("\n".join(broken))
        return 1
    if only_check and (not there.exists() or there.read_bytes() != locked(files)):
        lines.append(f"tests/vectors/{LOCK}: is not of these files")
    if only_check:
        print("\n".join(lines) or f"{len(files)} golden files are what they should be")
        return 1 if lines else 0
    for name, data in files.items():
        path = VECTORS / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    for name in (line.split(":")[0] for line in lines if line.endswith("nothing")):
        (ROOT / name).unlink()
    there.write_bytes(locked(files))
    print(f"{len(files)} golden files, {len(lines)} changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
