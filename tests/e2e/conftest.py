"""The stories draw the VM that they are told on."""

from __future__ import annotations

import pytest

DEMOS = ("test_demo", "test_demo_attacks")
"""They are played on each VM."""


def pytest_itemcollected(item: pytest.Item) -> None:
    """Tell each story on one of the VMs; tests/vm holds both to the same bytes."""
    if isinstance(item, pytest.Function) and hasattr(item, "callspec") and item.path.stem not in DEMOS:
        if "vm" in item.callspec.params:
            item.add_marker(pytest.mark.sampled(0, kind=all_but_the_vm, whole_file=True))


def all_but_the_vm(vm: str, **others: object) -> tuple[str, ...]:
    """The story."""
    return tuple(map(repr, others.values()))
