"""Files that were made to harm: a command ends soon, with one line."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from support.commands import RunCommand
from support.samples import make_firmware

TEXTS = {
    "one long number": "MicroPython v1." + "1" * 250_000,
    "many numbers": "MicroPython v1.1." * 15_000,
    "many words": "v1.1.1-a." * 30_000,
    "many dots": "." * 250_000,
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=list(TEXTS))
def test_release_show_takes_no_longer_for_a_hostile_banner(slotbench: RunCommand, tmp_path: Path, text: str) -> None:
    """It took hours: each digit began a search through all that follow."""
    path = tmp_path / "firmware.bin"
    path.write_bytes(make_firmware(300_000, banner=f"{text}!v1.25.0"))
    begun = time.process_time()
    ran = slotbench("release", "show", path)
    assert ran.code == 0 and "an image of the bench" in ran.out
    assert time.process_time() - begun < 20


@pytest.mark.parametrize("data", [b"{" * 4000, b'{"kind":' * 400, b"[" * 4000 + b"\n", b"\xff" * 4000, b'{"a":1e999}\n'])
def test_release_show_of_a_hostile_document_is_one_line(slotbench: RunCommand, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.release"
    path.write_bytes(data)
    ran = slotbench("release", "show", path)
    assert ran.code == 1 and ran.err.count("\n") == 1
