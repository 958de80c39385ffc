"""Firmware images that are named on the command line."""

from __future__ import annotations

from pathlib import Path

from slotbench.release.files import read_bytes

IMAGE_BYTES_MAX = 16 * 1024 * 1024


def read_image(path: Path) -> bytes:
    """The bytes of an image. Raises BenchError when it cannot be read or is longer than any flash.
    """
    return read_bytes(path, IMAGE_BYTES_MAX)
