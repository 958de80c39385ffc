"""What the demos need."""

from __future__ import annotations

import itertools

import pytest

from slotbench.release.keys import SigningKey

_generate = SigningKey.generate
_keys: list[SigningKey] = []


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
