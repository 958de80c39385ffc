"""The device package and the board files travel with slotbench, however it is installed."""

from __future__ import annotations

import configparser
import importlib.metadata
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from gates.bare import ROOT, copy_tree, make_venv

OFFLINE = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check"]
LIST = """
import json, slotbench
def files(folder):
    base = slotbench.data_path(folder)
    paths = [path for path in base.rglob("*") if path.suffix in (".py", ".toml") and path.parent.name != "slotboot"]
    return {path.relative_to(base).as_posix(): path.read_text() for path in paths}
print(json.dumps([slotbench.__file__, files("device"), files("boards")]))
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_tree(tmp_path_factory.mktemp("source") / "twoslot")


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "pip", "wheel", *OFFLINE, "--wheel-dir", out, source], check=True)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def sdist(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sdist")
    run = subprocess.run(
        [sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", out, source],
        capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return next(out.glob("*.tar.gz"))


def wanted() -> tuple[dict[str, str], dict[str, str]]:
    device = ROOT / "device"
    modules = [*device.glob("twoslot/**/*.py"), *device.glob("twoslot_stock/**/*.py"), *device.glob("twoslot_*.py")]
    return (
        {path.relative_to(device).as_posix(): path.read_text() for path in modules},
        {path.name: path.read_text() for path in (ROOT / "boards").glob("*.toml")},
    )


def install_and_list(python: Path, *what: str | Path) -> tuple[Path, dict[str, str], dict[str, str]]:
    subprocess.run([python, "-m", "pip", "install", "--no-compile", *OFFLINE, *what], check=True)
    run = subprocess.run([python, "-I", "-c", LIST], capture_output=True, text=True, check=False)
    assert not run.returncode, run.stderr
    package, device, boards = json.loads(run.stdout)
    return Path(package), device, boards


def without_list(files: dict[str, str]) -> dict[str, str]:
    """The checkout's device folder has one Python file more, the freeze list: no board imports it."""
    return {name: text for name, text in files.items() if name != "manifest.py"}


def test_there_is_something_to_find() -> None:
    device, boards = wanted()
    assert {"twoslot/__init__.py", "twoslot_boot.py"} <= device.keys()
    assert "generic_4m.toml" in boards


@pytest.mark.parametrize("form", ["wheel", "sdist"])
def test_installed_copy(form: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    artifact: Path = request.getfixturevalue(form)

    package, device, boards = install_and_list(make_venv(tmp_path / "venv"), artifact)

    assert package.is_relative_to(tmp_path / "venv")
    assert (device, boards) == wanted()
    for command in (["--version"], ["get-micropython", "--help"], ["keys", "--help"]):
        subprocess.run([tmp_path / "venv" / "bin" / "slotbench", *command], stdout=subprocess.DEVNULL, check=True)


def test_editable_install_reads_the_checkout(source: Path, tmp_path: Path) -> None:
    python = make_venv(tmp_path / "venv")

    package, device, boards = install_and_list(python, "--editable", source)

    assert package == source / "host" / "slotbench" / "__init__.py"
    assert (without_list(device), boards) == wanted()
    where = subprocess.run(
        [python, "-I", "-c", "import slotbench; print(slotbench.data_path('device', 'twoslot'))"],
        capture_output=True, text=True, check=True).stdout.strip()
    assert where == str(source / "device" / "twoslot")


def test_wheel_carries_what_belongs_and_nothing_else(wheel: Path) -> None:
    device, boards = wanted()
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
        metadata = archive.read(next(n for n in archive.namelist() if n.endswith("/METADATA"))).decode()
        licences = [n.split("/licenses/")[1] for n in archive.namelist() if "/licenses/" in n]
    data = {name.removeprefix("slotbench/data/") for name in names if name.startswith("slotbench/data/")}

    code = {f"device/slotboot/{name}" for name in ("rom.txt", "slotboot.bin", "slotboot.sym")}
    code |= {"device/native/patch.bin", "device/native/patch.sym"}
    assert data == {f"device/{name}" for name in device} | {f"boards/{name}" for name in boards} | code
    assert all(name.startswith("slotbench/") for name in names)
    assert "License-Expression: GPL-2.0-or-later AND MIT" in metadata
    assert sorted(licences) == ["LICENSE", "device/LICENSE"]


def test_metadata_tells_types_places_and_systems(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert "slotbench/py.typed" in archive.namelist()
        metadata = archive.read(next(n for n in archive.namelist() if n.endswith("/METADATA"))).decode()
    for line in ("Project-URL: Documentation, ", "Project-URL: Changes, ", "Project-URL: Security, ",
                 "Classifier: Operating System :: Microsoft :: Windows", "Classifier: Typing :: Typed"):
        assert f"\n{line}" in metadata


def requirements() -> list[str]:
    """What an installation needs, as setup.cfg has it."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    return [line.strip() for line in config["options"]["install_requires"].splitlines() if line.strip()]


def test_bounds_block_no_shared_environment() -> None:
    for line in requirements():
        name, _, bounds = line.partition(" ")
        assert bounds.startswith(">= ") and "==" not in bounds, line
        assert "<" not in bounds or name == "esptool", f"{line}: why may it not be newer?"


def stand_in(name: str, folder: Path) -> None:
    """A wheel of a library that has none, with the metadata of the one that is installed here."""
    found = importlib.metadata.distribution(name)
    inside = f"{name}-{found.version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{found.version}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{inside}/METADATA", found.read_text("METADATA") or "")
        archive.writestr(f"{inside}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{inside}/RECORD", "")


@pytest.mark.sampled(2, kind=lambda python, platform: platform != "")
@pytest.mark.parametrize(("python", "platform"), [
    ("3.11", ""), ("3.12", "win_amd64"), ("3.13", "macosx_11_0_arm64"), ("3.14", "")])
def test_dependencies_resolve(python: str, platform: str, tmp_path: Path) -> None:
    """With wheels alone, so that no compiler is needed; esptool comes as source of Python only."""
    stand_in("esptool", tmp_path)
    command = [
        sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet",
        "--disable-pip-version-check", "--no-input", "--target", tmp_path / "there", "--only-binary=:all:",
        "--find-links", tmp_path, "--python-version", python, *(("--platform", platform) if platform else ())]
    environment = {name: value for name, value in os.environ.items() if name != "PIP_NO_INDEX"}
    run = subprocess.run(
        [*command, *requirements()], env=environment, capture_output=True, text=True, check=False)
    if run.returncode and "from versions: none" in run.stderr and not os.environ.get("TWOSLOT_REQUIRE_TOOLS"):
        pytest.skip("pip reaches no index")
    assert run.returncode == 0, run.stdout + run.stderr


def test_sdist_holds_files_not_links(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        links = [member.name for member in archive if member.issym() or member.islnk()]
        names = [member.name.split("/", 1)[1] for member in archive if member.isfile()]

    assert links == []
    assert "host/slotbench/data/device/twoslot_boot.py" in names
    assert {"LICENSE", "device/LICENSE", "setup.cfg", "pyproject.toml"} <= set(names)


def test_checkout_without_links_says_so(tmp_path: Path) -> None:
    tree = copy_tree(tmp_path / "twoslot")
    link = tree / "host" / "slotbench" / "data" / "device"
    link.unlink()
    link.write_text("../../../device", encoding="utf-8")

    run = subprocess.run(
        [sys.executable, "-c", "import slotbench; slotbench.data_path('device')"],
        cwd=tree / "host", capture_output=True, text=True, check=False)

    assert run.returncode
    assert "BenchError: the package came without its data" in run.stderr
    assert "core.symlinks" in run.stderr
