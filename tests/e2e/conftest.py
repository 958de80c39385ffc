"""Each story is told on the CPython VM, and some of each file on the real MicroPython VM too."""

from __future__ import annotations

import pytest

DEMOS = ("test_demo", "test_demo_attacks")
"""They are played on each VM."""
_ON_MICROPYTHON = 2


def pytest_itemcollected(item: pytest.Item) -> None:
    """Draw those that are told on the MicroPython VM, too; tests/vm holds both VMs to the same bytes."""
    if isinstance(item, pytest.Function) and hasattr(item, "callspec") and item.path.stem not in DEMOS:
        if item.callspec.params.get("vm") == "micropython":
            item.add_marker(pytest.mark.sampled(_ON_MICROPYTHON, kind=None, whole_file=True, what="on the MicroPython VM"))
