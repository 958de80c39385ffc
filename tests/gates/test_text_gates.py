"""Gates `docstrings`, `places`, `vectors`, `flake8`, `mypy`, and the command that picks among all."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from checks import docstrings, drawn_style, linters, main, places, vectors


def test_docstrings(tree):
    tree.write("host/slotbench/bad.py", "class A:\n    def f(self): ...\ndef g(): ...\nasync def h(): ...\n")
    tree.write("host/slotbench/data/device/x.py", "x = 1\n")

    found = [line.split(";")[0].split(": ", 1)[1] for line in tree.run(docstrings.run)]

    assert found == [
        f"{what} without a docstring" for what in ("module", "A", "f", "g", "h")]


def test_docstrings_of_private_and_second_halves_are_not_asked_for(tree):
    tree.write("host/slotbench/good.py", '''"""Owns nothing."""
from typing import overload
class A:
    """A."""
    def __init__(self): ...
    @property
    def x(self):
        """X."""
    @x.setter
    def x(self, value): ...
def _private(): ...
@overload
def f(a: int) -> int: ...
def f(a):
    """Of anything."""
    def inside(): ...
''')

    assert tree.run(docstrings.run) == []


MACHINE = ["/" + folder + "/someone" for folder in ("home", "work", "tmp", "root", "Users")]
REGISTRIES = [f"{name}.{top}" for name, top in (
    ("pypi", "org"), ("files.pythonhosted", "org"), ("deb.debian", "org"), ("registry.npmjs", "org"))]


@pytest.mark.parametrize("text", MACHINE + REGISTRIES)
def test_places(tree, text):
    tree.write("docs/page.md", f"first line\nsee {text} for more\n")

    assert tree.run(places.run)[0].startswith("docs/page.md:2: names a ")


def test_places_that_are_none(tree):
    tree.write("docs/page.md", "https://example.org/home/x <root>/tmp/x ${HOME}/tmp/x debian/rules ../tmp\n")
    (tree.root / "image.bin").write_bytes(b"\0" + MACHINE[0].encode())
    (tree.root / "link").symlink_to(MACHINE[0])

    assert tree.run(places.run) == []


def test_guides_name_the_folders_of_a_server(tree):
    text = "".join(f"/{name}\n" for name in ("srv/lamp/site", "etc/systemd/system/x.timer", "home/me"))
    tree.write("guide.md", text)
    tree.write("code.py", text)

    assert [line.partition(": names")[0] for line in tree.run(places.run)] == ["code.py:1", "code.py:3", "guide.md:3"]


def test_places_without_git(tree, monkeypatch):
    tree.write("page.md", MACHINE[0])
    tree.write(".ci/run", MACHINE[0])
    tree.write(".venv/lib/x.py", MACHINE[0])
    tree.write("host/twoslot.egg-info/PKG-INFO", MACHINE[0])
    monkeypatch.setenv("PATH", "")

    assert [line.split(":")[0] for line in tree.run(places.run)] == [".ci/run", "page.md"]


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git here")
def test_places_looks_at_what_git_would_track(tree):
    subprocess.run(["git", "init", "-q", tree.root], check=True)
    tree.write(".gitignore", "ignored.txt\n")
    tree.write("ignored.txt", MACHINE[0])
    tree.write("not-added-yet.txt", MACHINE[0])

    assert [line.split(":")[0] for line in tree.run(places.run)] == ["not-added-yet.txt"]


def test_vectors(tree):
    assert "is missing" in tree.run(vectors.run)[0]
    tree.write("tools/gen_vectors.py", "import sys\nsys.exit(sys.argv[1:] != ['--check'])\n")
    assert tree.run(vectors.run) == []
    tree.write("tools/gen_vectors.py", "import sys\nsys.exit('cell.bin differs')\n")
    assert tree.run(vectors.run)[0] == "tests/vectors: cell.bin differs"


def test_flake8(tree):
    tree.write("tools/check", "x = 1\n")
    tree.write("host/good.py", "x = 1\n")
    assert tree.run(linters.flake8) == []
    tree.write("tools/check", "import os\n")
    tree.write("host/bad.py", "import sys\n")
    assert tree.run(linters.flake8) == [
        "host/bad.py:1: F401 'sys' imported but unused", "tools/check:1: F401 'os' imported but unused"]


def test_flake8_looks_at_the_style_of_drawn_files_and_ruff_at_the_names_in_all(tree):
    names = [f"host/file_{n}.py" for n in range(4 * drawn_style.SHARE)]
    for name in names:
        tree.write(name, "x  = 1\n")
    drawn = [name for name in names if drawn_style.is_drawn(tree.root / name)]
    assert 0 < len(drawn) < len(names)
    assert [line.partition(" E221 ")[0] for line in tree.run(linters.drawn_flake8)] == [f"{name}:1:" for name in sorted(drawn)]
    for name in (*names, "tools/check"):
        tree.write(name, "import os\n")
    assert [line.partition(" F401 ")[0] for line in sorted(tree.run(linters.drawn_flake8))] == sorted(
        f"{name}:1:" for name in (*names, "tools/check"))


def test_ruff_gets_flake8s_settings(tree):
    tree.write("setup.cfg", "[flake8]\nmax-line-length = 20\nper-file-ignores =\n    # Why.\n    host/b*: F401, E501\n")
    tree.write("host/a.py", f"import os\nx = {'1' * 20}\n")
    tree.write("host/b.py", f"import os\nx = {'1' * 20}\nprint(y)\n")
    found = [" ".join(line.split()[:2]) for line in tree.run(linters.drawn_flake8)]
    assert found == ["host/a.py:1: F401", "host/a.py:2: E501", "host/b.py:3: F821"]


def test_the_whole_command_runs_the_whole_flake8_and_a_run_of_tests_the_sampled_one(tree, monkeypatch):
    ran = []
    monkeypatch.setattr(main, "GATES", {"flake8": (lambda *_: ran.append("whole"), "")})
    monkeypatch.setattr(main, "SAMPLED", {"flake8": (lambda *_: ran.append("sampled"), "")})
    assert main.main([], tree.root) == main.main(["--sampled"], tree.root) == 0
    assert ran == ["whole", "sampled"]


def test_mypy(tree):
    tree.write("setup.cfg", "[mypy]\nstrict = True\nfiles = host\n")
    tree.write("host/a.py", "def f(x: int) -> int:\n    return x\n")
    assert tree.run(linters.mypy) == []
    # Another file: mypy takes one of the same size and second for the one it knows.
    tree.write("host/b.py", "def f(x: int) -> str:\n    return x\n")
    found = tree.run(linters.mypy)
    assert len(found) == 1 and found[0].startswith("host/b.py:2: error: Incompatible return value")
    tree.write("setup.cfg", "[mypy]\nfiles = nowhere\n")
    assert tree.run(linters.mypy)[0].startswith("setup.cfg: mypy did not run")


def test_command_picks_gates_and_says_what_failed(tree, capsys):
    tree.write("docs/page.md", MACHINE[0])

    assert main.main(["docstrings", "places"], tree.root) == 1
    out = capsys.readouterr().out
    assert out.startswith("docstrings  ok ")
    assert "  docs/page.md:1: names a folder of one machine" in out
    assert out.endswith("failed: places\n")

    assert main.main(["docstrings"], tree.root) == 0
    assert main.main(["--list"], tree.root) == 0
    with pytest.raises(SystemExit) as stopped:
        main.main(["nonsense"], tree.root)
    assert stopped.value.code == 2
