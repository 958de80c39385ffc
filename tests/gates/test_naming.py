"""Gate `names`: class names that stand for two things, modules named by verbs, a long README."""

from __future__ import annotations

import pytest
from checks import naming
from checks.main import GATES

from gates.conftest import Tree


def test_a_class_name_twice(tree: Tree) -> None:
    tree.write("host/slotbench/a.py", "class Plan: ...\n")
    tree.write("tests/support/b.py", "def f():\n    class _Plan: ...\n")
    tree.write("device/twoslot/c.py", "class Plans: ...\n")

    assert tree.run(naming.run) == [
        "tests/support/b.py:2: class _Plan: the name is taken in host/slotbench/a.py:1; "
        "name it after what only this one is"]


def test_class_names_in_texts_do_not_count(tree: Tree) -> None:
    tree.write("tests/a.py", "class Plan: ...\nTEXT = 'class Plan: ...'\n")

    assert tree.run(naming.run) == []


@pytest.mark.parametrize("path", ["device/twoslot/take.py", "host/slotbench/vboard/find.py", "tests/turn/__init__.py"])
def test_a_module_named_by_a_verb(tree: Tree, path: str) -> None:
    tree.write(path, "")

    (found,) = tree.run(naming.run)
    assert found.startswith(f"{path}: ") and "is a bare verb" in found


def test_nouns_and_commands_may_be_modules(tree: Tree) -> None:
    for path in ("device/twoslot/download.py", "host/slotbench/cli/run.py", "tests/e2e/test_take.py"):
        tree.write(path, "")

    assert tree.run(naming.run) == []


@pytest.mark.parametrize(("lines", "found"), [(120, 0), (121, 1)])
def test_a_long_readme(tree: Tree, lines: int, found: int) -> None:
    tree.write("README.md", "a line\n" * lines)

    assert len(tree.run(naming.check_readme)) == found


def test_a_tree_without_a_readme(tree: Tree) -> None:
    assert tree.run(naming.check_readme) == []


def test_the_gate_is_one_of_those_that_run() -> None:
    assert GATES["names"][0] is naming.run
