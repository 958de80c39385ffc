"""slotbench.mpy.privates: modules share the names of what they keep to themselves."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from slotbench.mpy import built, sources
from slotbench.mpy.privates import share_privates

FIRST = """\
_count = 0
_LIMIT = const(5)
class _Box:
    def _open(self):
        return _count
def _grow(n):
    global _count
    _count += n
    return _Box()._open()
def use():
    return _grow(2)
"""
SECOND = """\
from first import _shared_with_others
def _other():
    return first._asked_for
def _asked_for():
    return "_named"
def _named():
    return _other()
"""


def test_the_first_private_part_of_each_module_has_one_name() -> None:
    shared = share_privates({"first.py": FIRST, "second.py": SECOND})
    assert "def private_2 (" in shared["first.py"] and "global private_1" in shared["first.py"]
    assert "def private_0" in shared["second.py"]


@pytest.mark.parametrize("kept", ["_LIMIT", "_open"])
def test_constants_and_attributes_keep_their_names(kept: str) -> None:
    assert kept in share_privates({"first.py": FIRST})["first.py"]


@pytest.mark.parametrize("kept", ["_asked_for", "_named", "_shared_with_others"])
def test_what_others_ask_for_keeps_its_name(kept: str) -> None:
    assert share_privates({"second.py": SECOND})["second.py"].count(kept) == SECOND.count(kept)


def test_it_does_what_it_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shared_first.py").write_text(
        "const = int\n" + share_privates({"shared_first.py": FIRST})["shared_first.py"])
    monkeypatch.syspath_prepend(str(tmp_path))
    assert importlib.import_module("shared_first").use() == 2
    sys.modules.pop("shared_first")


def test_the_package_has_many_of_them() -> None:
    texts = {path: content.decode() for path, content in built(sources()).items()}
    names = {name for text in share_privates(texts).values() for name in text.split() if name.startswith("private_")}
    assert 5 <= len(names) <= 60
