"""The manifest that `deploy --to-folder` writes, read as MicroPython reads it, inside of a user's own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from slotbench import __version__
from slotbench.images.frozen import version_module
from slotbench.mpy import built, compile_mpy, sources
from slotbench.mpy.native import ARCHITECTURE, native_modules
from support.commands import RunCommand
from support.manifest import TREE, ManifestError, frozen_by

_REAL = """\
import json, sys
sys.path.insert(0, sys.argv[1])
import manifestfile
manifest = manifestfile.ManifestFile(manifestfile.MODE_FREEZE, {"MPY_LIB_DIR": ""})
manifest.execute(sys.argv[2])
json.dump({f.target_path: f.full_path for f in manifest.files()}, sys.stdout)
"""


@pytest.fixture
def users(slotbench: RunCommand, tmp_path: Path) -> Path:
    """A manifest of a user: a version of its own, twoslot, and main.py."""
    ran = slotbench("deploy", "--to-folder", tmp_path / "package")
    assert ran.code == 0 and "manifest.py" in ran.out
    (tmp_path / "lamp").mkdir()
    (tmp_path / "lamp" / "main.py").write_text("import twoslot\n")
    manifest = tmp_path / "manifest.py"
    manifest.write_text(
        'metadata(version="7.1")\ninclude("package/frozen/manifest.py")\nmodule("main.py", base_path="lamp")\n')
    return manifest


def test_it_freezes_the_package_as_it_is_built_and_no_hook(users: Path) -> None:
    found = frozen_by(users)
    modules = built(sources())
    package = {f"twoslot/{name}": source for name, source in {**modules, **native_modules(modules)}.items()}
    assert set(found) == {*package, version_module(__version__), "main.py"}
    assert all(found[name][0].read_bytes() == source for name, source in package.items())
    assert not any("constants" in name or "codes" in name for name in found), "they are in the code by value"


def test_a_manifest_with_metadata_of_its_own_would_end_the_users_build(users: Path) -> None:
    """As ours did: it would also have put `__version__` into each of the user's modules."""
    ours = users.parent / "package" / "frozen" / "manifest.py"
    ours.write_text('metadata(version="0.1.0")\n' + ours.read_text())
    with pytest.raises(ManifestError, match="Duplicate call"):
        frozen_by(users)


def test_every_name_becomes_an_identifier_of_c(users: Path) -> None:
    """MicroPython's mpy-tool.py writes `frozen_module_NAME`, with _ for each slash."""
    for name in frozen_by(users):
        assert re.fullmatch(r"\w+", name.removesuffix(".py").replace("/", "_")), name


def test_every_module_compiles_with_its_names_and_lines(users: Path) -> None:
    for name, (path, _) in frozen_by(users).items():
        assert compile_mpy(name, path.read_bytes(), architecture=ARCHITECTURE)[:2] == b"M\x06"


def test_modules_of_an_older_twoslot_are_taken_out_of_the_folder(
    users: Path, slotbench: RunCommand,
) -> None:
    package = users.parent / "package" / "frozen"
    for name in ("twoslot/gone.py", "twoslot/old/gone.py", version_module("0.0.9"), "twoslot_boot.py"):
        (package / name).parent.mkdir(exist_ok=True)
        (package / name).write_text("1\n")
    (package / "mine.txt").write_text("not of twoslot\n")
    assert slotbench("deploy", "--to-folder", users.parent / "package").code == 0
    found = frozen_by(users)
    assert "twoslot/gone.py" not in found and "twoslot/old/gone.py" not in found
    assert [name for name in found if "/version_" in name] == [version_module(__version__)]
    assert not (package / "twoslot_boot.py").exists() and (package / "mine.txt").exists()


def test_micropython_reads_it_alike(users: Path) -> None:
    if not (tree := os.environ.get(TREE)):
        pytest.skip(f"no tree of MicroPython is here ({TREE})")
    ran = subprocess.run(
        [sys.executable, "-c", _REAL, str(Path(tree, "tools")), str(users)], capture_output=True, text=True, check=True)
    real = {name: Path(path).resolve() for name, path in json.loads(ran.stdout).items()}
    assert real == {name: path.resolve() for name, (path, _) in frozen_by(users).items()}
