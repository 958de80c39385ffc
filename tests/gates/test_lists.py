"""Gate `lists`: mip installs the files there are, in one version."""

from __future__ import annotations

import json

import pytest
from checks import install_lists

FILES = ["twoslot/__init__.py", "twoslot/agent.py", "twoslot_boot.py"]


def package(files, version="1.2.0"):
    names = [name.replace(".py", ".mpy") if "/" in name else name for name in files]
    return json.dumps({"version": version, "urls": [[name, name] for name in names]})


@pytest.fixture
def planted(tree):
    for name in FILES:
        tree.write(f"device/{name}", '__version__ = "1.2.0"\n')
    tree.write("device/twoslot_boot.py", "# Boot hook 1.2.0 of twoslot\n")
    tree.write("host/slotbench/__init__.py", '__version__ = "1.2.0"\n')
    tree.write("device/package.json", package(FILES))
    return tree


def test_lists_are_the_tree(planted):
    assert planted.run(install_lists.run) == []


@pytest.mark.parametrize(("path", "text", "expected"), [
    ("device/package.json", package(FILES[:2]), "package.json: twoslot_boot.py is missing"),
    ("device/package.json", package([*FILES, "twoslot/gone.py"]), "names twoslot/gone.mpy, which there"),
    ("device/package.json", package(FILES, "1.1"), "version is 1.1, the bench's 1.2.0"),
    ("device/package.json", package(FILES).replace(', "twoslot_boot.py"', ', "xtwoslot_boot.py"'),
     "comes from xtwoslot_boot.py"),
    ("device/package.json", "{", "package.json: cannot be read"),
    ("device/twoslot/__init__.py", '__version__ = "1.1"\n', "version is 1.1"),
    ("device/twoslot_boot.py", "# Boot hook 1.1.0 of twoslot\n", "twoslot_boot.py:1: version is 1.1.0"),
    ("device/twoslot/new.py", "", "package.json: twoslot/new.mpy is missing"),
    ("host/slotbench/__init__.py", "", "has no __version__"),
])
def test_difference(planted, path, text, expected):
    planted.write(path, text)

    assert any(expected in line for line in planted.run(install_lists.run))
