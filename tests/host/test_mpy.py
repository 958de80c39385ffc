"""The device package as a board gets it: short names, and the same behaviour."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from slotbench import mpy
from slotbench.errors import BenchError
from slotbench.mpy import CACHE, built, compile_mpy, compile_package, sources
from slotbench.mpy.names import ASKED_FOR, IN_EVERY_FIRMWARE
from slotbench.mpy.shrink import shrink

PROGRAM = {
    "lamp.py": """
from twoslot.bulb import Bulb, brightest_of

class Street:
    def __init__(self, number_of_bulbs, colour="white"):
        self.all_bulbs = [Bulb(number, colour=colour) for number in range(number_of_bulbs)]

    @property
    def brightest_bulb(self):
        return brightest_of(self.all_bulbs)

def status():
    street_of_mine = Street(4, colour="amber")
    bright = street_of_mine.brightest_bulb
    return {"colour": bright.colour_name, "brightness": bright.shine(), "said": f"{bright.colour_name}!"}
""",
    "bulb.py": """
_WATTS = 7
_count_made = 0

class Bulb:
    def __init__(self, bulb_number, colour):
        global _count_made
        _count_made += 1
        self.bulb_number, self.colour_name = bulb_number, colour

    def shine(self):
        return self.bulb_number * _WATTS + _count_made

def brightest_of(bulbs):
    return sorted(bulbs, key=lambda one_bulb: one_bulb.shine())[-1]
""",
}


def run(modules: Mapping[str, str], call: str) -> Any:
    """The value of `call` in lamp.py; the modules are one namespace, which is what imports make of them."""
    names: dict[str, Any] = {}
    for name in ("bulb.py", "lamp.py"):
        text = "\n".join(line for line in modules[name].splitlines() if not line.startswith("from twoslot"))
        exec(compile(text, name, "exec"), names)
    return eval(call, names)


def test_it_does_the_same_with_short_names() -> None:
    small, renamed = shrink(PROGRAM)
    assert run(small, "status()") == run(PROGRAM, "status()") == {
        "colour": "amber", "brightness": 25, "said": "amber!"}
    assert {"brightest_of", "all_bulbs", "bulb_number", "_count_made", "shine"} <= set(renamed)


def test_what_others_ask_for_stays() -> None:
    _, renamed = shrink(PROGRAM)
    assert not {"status", "colour", "colour_name", "sorted", "lamp", "bulb"} & set(renamed)


def test_new_names_are_nobodys() -> None:
    modules = {name: content.decode() for name, content in sources().items()}
    small, renamed = shrink(modules)
    used = {node.id for text in modules.values() for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
    assert len(set(renamed.values())) == len(renamed), "two names became one"
    assert not set(renamed.values()) & used
    assert not set(renamed) & (ASKED_FOR | set(IN_EVERY_FIRMWARE))
    for name, text in small.items():
        before, after = (ast.dump(ast.parse(source), annotate_fields=False) for source in (modules[name], text))
        assert before.count("(") == after.count("("), f"{name} became another program"


def test_the_package_is_smaller_than_its_modules() -> None:
    package = compile_package(sources())
    assert package.keys() == built(sources()).keys() < sources().keys()
    assert sum(map(len, package.values())) < sum(
        len(compile_mpy(name, content, 3)) for name, content in sources().items())


def test_what_mpy_cross_refuses_has_file_and_line() -> None:
    with pytest.raises(BenchError, match="mpy-cross refuses it: SyntaxError") as refused:
        compile_mpy("agent.py", b"x = 1\n\ndef f(a, /):\n    pass\n")
    assert refused.value.where == "agent.py:3"


def test_a_package_is_kept_for_the_next_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each content is compiled once; what is kept is what would be compiled, and other content is another file."""
    modules = {name: text.encode() for name, text in PROGRAM.items()}
    plain = compile_package(modules)
    monkeypatch.setenv(CACHE, str(tmp_path))
    for times in range(2):
        mpy._compiled.cache_clear()
        if times:
            monkeypatch.setattr(mpy, "_compile", lambda modules: pytest.fail("compiled again"))
        assert compile_package(modules) == plain
    monkeypatch.undo()
    monkeypatch.setenv(CACHE, str(tmp_path))
    other = {**modules, "lamp.py": modules["lamp.py"].replace(b"amber", b"green")}
    assert compile_package(other) != plain
    assert len(list((tmp_path / "mpy").iterdir())) == 2
