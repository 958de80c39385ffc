"""Gate `imports`: the direction on the host, and nothing from outside that setup.cfg does not require."""

from __future__ import annotations

import pytest
from checks import direction

SETUP = "[options]\ninstall_requires =\n    flask >= 3.0\n    click >= 8.1\n"


@pytest.mark.parametrize(("path", "source"), [
    ("formats/seal.py", "import flask"),
    ("formats/seal.py", "from slotbench.boards import load"),
    ("formats/seal.py", "from slotbench import data_path"),
    ("formats/seal.py", "from slotbench import boards"),
    ("formats/seal.py", "from ..release import build"),
    ("release/build.py", "import slotbench.server.app"),
    ("release/build.py", "from slotbench.vboard.flash.nor import NorFlash"),
    ("vboard/board.py", "def f():\n    from slotbench import cli"),
    ("server/app.py", "from slotbench.cli import main"),
    ("errors.py", "from slotbench.formats import seal"),
    ("__init__.py", "from slotbench import boards"),
    ("cli/serve.py", "import requests"),
    ("helpers.py", "x = 1"),
])
def test_wrong_way(tree, path, source):
    tree.write("setup.cfg", SETUP)
    tree.write(f"host/slotbench/{path}", source + "\n")

    found = tree.run(direction.run)

    assert len(found) == 1, found
    assert found[0].startswith(f"host/slotbench/{path}")


def test_right_way(tree):
    tree.write("setup.cfg", SETUP)
    for path, source in {
        "__init__.py": "from pathlib import Path\nfrom slotbench.errors import BenchError\n",
        "formats/image.py": "import struct\nfrom .seal import x\nimport slotbench.errors\n",
        "release/build.py": "from slotbench import boards, data_path\nfrom . import sign\n",
        "server/app.py": "import flask\nfrom slotbench.release import store\n",
        "cli/__init__.py": "import click\nfrom slotbench import server, __version__\n",
        "__main__.py": "from slotbench.cli import main\n",
        "data/device/twoslot/flash.py": "import esp\n",
    }.items():
        tree.write(f"host/slotbench/{path}", source)

    assert tree.run(direction.run) == []


def test_a_circle(tree):
    tree.write("setup.cfg", SETUP)
    tree.write("host/slotbench/vboard/a.py", "from slotbench.vboard import b\n")
    tree.write("host/slotbench/vboard/b.py", "def f():\n    from slotbench.vboard.c import x\n")
    tree.write("host/slotbench/vboard/c.py", "import slotbench.vboard.a\n")
    tree.write("host/slotbench/vboard/d.py", "from slotbench.vboard import a\n")

    (found,) = tree.run(direction.run)

    assert "circle: slotbench.vboard.a > slotbench.vboard.b > slotbench.vboard.c > slotbench.vboard.a" in found


def test_a_package_may_import_its_modules(tree):
    tree.write("setup.cfg", SETUP)
    tree.write("host/slotbench/boards/__init__.py", "from slotbench.boards.model import Map\n")
    tree.write("host/slotbench/boards/model.py", "class Map: ...\n")
    tree.write("host/slotbench/boards/checks.py", "from slotbench.boards.model import Map\n")

    assert tree.run(direction.run) == []
