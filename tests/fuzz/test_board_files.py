"""Board files, wrong in any way: refused in one line that names the file and the key, or a map that can work."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from slotbench import boards, data_path
from slotbench.boards import BoardProfile
from support.fuzz import checks as fuzz_checks
from support.fuzz.strategies import bent, edited
from support.sampling import examples

TEXTS = {name: data_path("boards", f"{name}.toml").read_bytes() for name in boards.names()}
SHARED_FILE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

scalars = st.one_of(
    st.integers(-1, 0x500000), st.sampled_from([0x1000, 0x1001, 0x400000, 2**31, 2**63, -(2**63)]), st.booleans(),
    st.floats(), st.text(max_size=10), st.sampled_from(["dio", "window", "generic_4m", "nodemcu", "../x"]))
values = scalars | st.lists(scalars, max_size=3) | st.dictionaries(st.text(max_size=5), scalars, max_size=2)


@pytest.fixture
def board_file(tmp_path: Path) -> Path:
    return tmp_path / "mine.toml"


@SHARED_FILE
@given(text=st.sampled_from(sorted(TEXTS)).flatmap(
    lambda name: st.one_of(edited(TEXTS[name]), bent(TEXTS[name]), st.binary(max_size=200))))
def test_any_bytes(board_file: Path, text: bytes) -> None:
    fuzz_checks.board_file(board_file, text)


def places(table: dict[str, Any], path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every key of a table and of the tables in it."""
    found: list[tuple[str, ...]] = []
    for key, value in table.items():
        found.append((*path, key))
        if isinstance(value, dict):
            found += places(value, (*path, key))
    return found


def dumped(value: Any) -> str:
    """A value in TOML, tables inline."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{dumped(str(key))} = {dumped(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(dumped, value)) + "]"
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(each):08x}" if not each.isalnum() else each for each in value) + '"'
    return repr(value)


KEYS = {key for text in TEXTS.values() for place in places(tomllib.loads(text.decode())) for key in place}


@st.composite
def changed(draw: DrawFn) -> tuple[tuple[str, ...], bytes]:
    """One key of a board file is missing, holds something else, or has a neighbour nobody knows; and which."""
    tables = tomllib.loads(TEXTS[draw(st.sampled_from(["generic_4m", "native_512k", "nodemcu"]))].decode())
    path = draw(st.sampled_from(places(tables)))
    table = tables
    for key in path[:-1]:
        table = table[key]
    way = draw(st.sampled_from(["take", "set", "set", "move", "add"]))
    if way == "take":
        del table[path[-1]]
    elif way == "set":
        table[path[-1]] = draw(values)
    elif way == "move" and isinstance(table[path[-1]], int):
        table[path[-1]] += draw(st.sampled_from([-0x1000, 0x1000, 1, -1, 0x100000]))
    else:
        path = (*path[:-1], "surplus")
        table["surplus"] = draw(values)
    return path, "\n".join(f"{dumped(key)} = {dumped(value)}" for key, value in tables.items()).encode()


@examples(300, SHARED_FILE)
@given(change=changed())
def test_any_key(board_file: Path, change: tuple[tuple[str, ...], bytes]) -> None:
    """The line names a key: the one that is wrong or, when two do not agree, one of both."""
    path, text = change
    loaded = fuzz_checks.board_file(board_file, text)
    if isinstance(loaded, BoardProfile):
        assert path[-1] != "surplus", "a key that nobody knows was accepted"
        return
    named = re.search(r", field ([\w.]+)", loaded.where)
    assert named is not None, loaded
    assert named.group(1).split(".")[-1] in KEYS | {path[-1]}, loaded


def test_the_writer_of_these_files_is_right(board_file: Path) -> None:
    """The canary: what is not changed loads, and is the board it was."""
    for name, text in TEXTS.items():
        tables = tomllib.loads(text.decode())
        loaded = fuzz_checks.load_board(board_file, "\n".join(f"{key} = {dumped(value)}" for key, value in tables.items()).encode())
        assert isinstance(loaded, BoardProfile)
        assert loaded.device_map() == boards.load(name).device_map()
