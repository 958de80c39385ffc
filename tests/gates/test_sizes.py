"""Gate `sizes`: limits on lines, and the .mpy budget with the real mpy-cross."""

from __future__ import annotations

import json

import pytest
from checks import sizes

BUDGET = "tools/mpy_budget.json"


@pytest.fixture(autouse=True)
def place_for_the_budget(tree):
    tree.write(BUDGET, "{}")


def test_within_limits_and_budget(tree):
    tree.write("device/twoslot/agent.py", "x = 1\n" * 200)
    tree.write("device/twoslot_boot.py", "x = 1\n" * 30)
    tree.write("host/slotbench/cli.py", "x = 1\n" * 400)
    assert sizes.update(tree.root).findings == []

    report = tree.report(sizes.run)

    assert report.findings == []
    budget = json.loads((tree.root / BUDGET).read_text())
    assert sorted(budget) == ["twoslot/agent.py", "twoslot_boot.py"]
    assert str(sum(budget.values())) in report.lines[-1]


def test_too_many_lines(tree):
    tree.write("device/twoslot/agent.py", "#\n" * 281)
    tree.write("device/twoslot_boot.py", "#\n" * 101)
    tree.write("host/slotbench/cli.py", "#\n" * 401)
    tree.write("host/slotbench/long.py", "def f():\n" + "    x = 1\n" * 70)
    sizes.update(tree.root)

    found = [line.split(";")[0] for line in tree.run(sizes.run)]

    assert found == [
        "device/twoslot/agent.py:281: 281 lines, 280 are allowed",
        "device/twoslot_boot.py:101: 101 lines, 100 are allowed",
        "host/slotbench/cli.py:401: 401 lines, 400 are allowed",
        "host/slotbench/long.py:1: f() has 71 lines, 70 are allowed",
    ]


def test_growth_must_be_meant(tree):
    tree.write("device/twoslot/agent.py", "x = 1\n")
    tree.write("device/twoslot/old.py", "x = 1\n")
    sizes.update(tree.root)
    tree.write("device/twoslot/agent.py", "def f():\n    return 'a longer one'\n")
    tree.write("device/twoslot/new.py", "x = 1\n")
    (tree.root / "device/twoslot/old.py").unlink()

    found = tree.run(sizes.run)

    assert len(found) == 3
    assert "device/twoslot/agent.py" in found[0] and "--update-budget" in found[0]
    assert "device/twoslot/new.py" in found[1] and "no budget" in found[1]
    assert "names twoslot/old.py, which is gone" in found[2]

    sizes.update(tree.root)
    assert tree.run(sizes.run) == []


def test_what_mpy_cross_refuses(tree):
    tree.write("device/twoslot/agent.py", "x = 1\n\ndef f(a, /):\n    pass\n")

    found = tree.run(sizes.run)

    assert found[0].startswith("device/twoslot/agent.py:3: mpy-cross refuses it: SyntaxError")
    assert sizes.update(tree.root).findings
    assert (tree.root / BUDGET).read_text() == "{}"


def test_size_does_not_depend_on_where_the_tree_lies(tree, tmp_path):
    tree.write("device/twoslot/agent.py", "x = 1\n")
    deeper = type(tree)(tmp_path / "a" / "much" / "longer" / "path")
    deeper.write("device/twoslot/agent.py", "x = 1\n")

    assert sizes.measure(tree.root, tree.report(lambda *_: None)) == sizes.measure(
        deeper.root, deeper.report(lambda *_: None))
