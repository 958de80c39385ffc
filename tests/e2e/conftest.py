"""The stories draw the VM that they are told on, and the demos get keys."""

from __future__ import annotations

import itertools

import pytest

from slotbench.release.keys import SigningKey

DEMOS = ("test_demo", "test_demo_attacks")
"""They are played on each VM."""

_generate = SigningKey.generate
_keys: list[SigningKey] = []


def pytest_itemcollected(item: pytest.Item) -> None:
    """Tell each story on one of the VMs; tests/vm holds both to the same bytes."""
    if isinstance(item, pytest.Function) and hasattr(item, "callspec") and item.path.stem not in DEMOS:
        if "vm" in item.callspec.params:
            item.add_marker(pytest.mark.sampled(0, kind=all_but_the_vm, whole_file=True))


def all_but_the_vm(vm: str, **others: object) -> tuple[str, ...]:
    """The story."""
    return tuple(map(repr, others.values()))


@pytest.fixture
def keys_of_demos(monkeypatch: pytest.MonkeyPatch) -> None:
    """A demo makes up to five keys, each of which takes half a second: the next demo gets the same ones.

    Within a test each key is another one.
    """
    numbers = itertools.count()

    def key() -> SigningKey:
        number = next(numbers)
        if number == len(_keys):
            _keys.append(_generate())
        return _keys[number]

    monkeypatch.setattr(SigningKey, "generate", key)
