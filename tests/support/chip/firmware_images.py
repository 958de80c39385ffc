"""Official firmware that the tests find on this machine; none is part of the repository."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from slotbench.image_packages import image_folder
from slotbench.images import Family, identify
from slotbench.images.micropython import LINK_ADDRESS

VARIABLE: Final = "TWOSLOT_IMAGES"
WANTED: Final = {
    "MicroPython 1.22.1": "f727607fff05ff902efd363a3243e787215e337f0cbdbd4c6031166d2cf3a230",
    "MicroPython 1.24.0": "242521dc23bbbc1bef16203140483d5e9fc2f1ae9f22affeddccc62a0fa88e2d",
    "MicroPython 1.26.0": "b88638e3b7985f57582b0ac2c7d311cbf0435140e5c586f456d2b4b9e6843ac9",
}
"""What the chip is proved with: name and SHA-256."""
FROM_PYPI: Final = (
    "micropython-1.9.3.bin", "micropython-1.9.4.bin", "micropython-1.10.0.bin",
    "cloudmanager-micropython-1.9.70.bin", "cloudmanager-micropython-1.8.70.bin", "esp-linker-1.4.2.bin",
    "esp-linker-esp32-1.4.2.bin", "circuitpython-3.0.0-beta.1.bin", "nodemcu-1.5.4.1.bin",
    "espruino-1v99.bin", "punyforth-0.5.bin")
"""What tools/get-images fetches."""
TABLE_ONLY: Final = ("cloudmanager-micropython-1.8.70.bin",)
"""Identified only: the chip starts another build of the same version."""
ARDUINO: Final = "esp-linker-1.4.2.bin"
_SIZE_4_MB: Final = 0x40


def folder() -> Path:
    """Where images lie: TWOSLOT_IMAGES, or twoslot/images in the user's cache."""
    return image_folder()


def found() -> dict[str, Path]:
    """The MicroPython images there by name: those that are wanted by theirs, others by their file's."""
    names = {digest: name for name, digest in WANTED.items()}
    images = {}
    for path in sorted(folder().glob("*.bin")):
        data = path.read_bytes()
        image = identify(data)
        if path.name in TABLE_ONLY:
            continue
        if image.family is Family.MICROPYTHON and image.link_address == LINK_ADDRESS:
            images[names.get(hashlib.sha256(data).hexdigest(), path.name)] = path
    return images


def arduino() -> Path:
    """Where the Arduino program lies that tools/get-images fetches."""
    return folder() / ARDUINO


def missing(name: str) -> str:
    """Why a test of this image is skipped."""
    return f"{name} is not in {folder()} (or {VARIABLE})"


def flashed(path: Path) -> bytes:
    """What esptool writes to a flash of 4 MB: the size in byte 3."""
    data = bytearray(path.read_bytes())
    data[3] = data[3] & 0x0F | _SIZE_4_MB
    return bytes(data)
