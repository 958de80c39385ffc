"""The device package as a board gets it: short names, and the same behaviour."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from slotbench import mpy
from slotbench.errors import BenchError
from slotbench.mpy import CACHE, built, compile_mpy, compile_package, inlined, sources
from slotbench.mpy.native import native_modules
from slotbench.mpy.bundle import bundle
from slotbench.mpy.inline import inline
from slotbench.mpy.names import ASKED_FOR, IN_EVERY_FIRMWARE
from slotbench.mpy.shrink import shrink

PROGRAM = {
    "lamp.py": """
from twoslot.bulb import Bulb, brightest_of

class Lamps:
    def __init__(self, number_of_bulbs, colour="white"):
        self.all_bulbs = [Bulb(number, colour=colour) for number in range(number_of_bulbs)]

    @property
    def brightest_bulb(self):
        return brightest_of(self.all_bulbs)

def status():
    lamps_of_mine = Lamps(4, colour="amber")
    bright = lamps_of_mine.brightest_bulb
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
    modules = built(sources())
    assert package.keys() == {*modules, *native_modules(modules)} and modules.keys() < sources().keys()
    assert sum(map(len, package.values())) < sum(
        len(compile_mpy(name, content, 3)) for name, content in sources().items())


def test_what_mpy_cross_refuses_has_file_and_line() -> None:
    with pytest.raises(BenchError, match="mpy-cross refuses it: SyntaxError") as refused:
        compile_mpy("agent.py", b"x = 1\n\ndef f(a, /):\n    pass\n")
    assert refused.value.where == "agent.py:3"


def test_a_package_is_kept_for_the_next_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each content is compiled once; what is kept is what would be compiled, and other content is another file."""
    modules = {name: text.encode() for name, text in PROGRAM.items()}
    plain = [make(modules) for make in (compile_package, built, inlined)]
    monkeypatch.setenv(CACHE, str(tmp_path))
    for times in range(2):
        for kept in (mpy._compiled, mpy._built, mpy._inlined):
            kept.cache_clear()
        if times:
            for name in ("_compile", "inline"):
                monkeypatch.setattr(mpy, name, lambda modules: pytest.fail("made again"))
        assert [make(modules) for make in (compile_package, built, inlined)] == plain
    monkeypatch.undo()
    monkeypatch.setenv(CACHE, str(tmp_path))
    other = {**modules, "lamp.py": modules["lamp.py"].replace(b"amber", b"green")}
    assert compile_package(other) != plain
    assert sorted(path.name.split("-")[0] for path in (tmp_path / "mpy").iterdir()) == [
        "built", "built", "compiled", "compiled", "inlined"]


# Constants by value.

CONSTANTS = """
from micropython import const
BLOCK = const(4096)  # bytes
LEAST = const(-2 * BLOCK)
FILE = const("lamp.json")
"""
CODES = "from micropython import const\nUP_TO_DATE = const(28)\n"
USER = """\
from micropython import const
from twoslot import codes, bulb
from twoslot.constants import (
    BLOCK, LEAST,
)

_TRIES = const(3)  # of them

def size(n):
    if n > _TRIES * BLOCK:
        raise ValueError(codes.UP_TO_DATE, bulb.WATTS, bulb.shine)
    return n - LEAST
"""
BULB = "from micropython import const\nWATTS = const(7)\n\ndef shine():\n    return WATTS\n"
MODULES = {"constants.py": CONSTANTS, "codes.py": CODES, "user.py": USER, "bulb.py": BULB}


def test_constants_are_there_by_value_and_their_modules_are_not() -> None:
    found = inline(MODULES)
    assert set(found) == {"user.py", "bulb.py"}
    lines = [line for line in found["user.py"].splitlines() if line]
    assert lines == [
        "from twoslot import bulb", "def size(n):", "    if n > 3 * 4096:", "        raise ValueError(28, 7, bulb.shine)",
        "    return n - (-8192)"]
    assert "return 7" in found["bulb.py"]


def test_lines_keep_their_numbers() -> None:
    found = inline(MODULES)["user.py"].splitlines()
    assert [USER.splitlines().index("def size(n):"), len(USER.splitlines())] == [found.index("def size(n):"), len(found)]


@pytest.mark.parametrize(("old", "new", "words"), [
    ("codes.UP_TO_DATE", "codes.OTHER", "codes has no OTHER"),
    ("BLOCK, LEAST,", "BLOCK, LEAST, MOST,", "twoslot.constants has no MOST"),
    ("const(3)", "const(size)", "size is no constant"),
    ("const(3)", "const([3])", "[3] is no constant"),
    ("def size(n)", "def size(BLOCK)", "BLOCK is a constant, and a parameter here"),
    ("    return n", "    LEAST = 1\n    return n", "LEAST is a constant, and assigned to here"),
    ("_TRIES = const(3)", "_TRIES = const(3)\n_TRIES = const(4)", "_TRIES is defined twice"),
    ("_TRIES = const(3)", "BLOCK = const(3)", "BLOCK is defined in twoslot.constants and again"),
])
def test_what_is_no_constant_is_refused(old: str, new: str, words: str) -> None:
    with pytest.raises(BenchError, match=re.escape(words)) as refused:
        inline({**MODULES, "user.py": USER.replace(old, new)})
    assert refused.value.where.startswith("user.py:")


# Bundles.

PARTS = {
    "boot/page.py": "from hashlib import sha256\n\ndef seal(page):\n    return sha256(page)\n",
    "boot/journal.py": "from hashlib import sha256\nfrom twoslot.boot.page import seal\n\nclass Journal:\n    seal = seal\n",
    "boot/control.py": (
        "from twoslot.boot import decision, page\nfrom twoslot.boot.journal import Journal\n\n"
        "def run():\n    return page.seal, Journal, decision.choose\n"),
    "boot/decision.py": "def choose():\n    return 1\n",
    "agent.py": (
        "from twoslot.boot.page import seal\n\ndef act():\n    from twoslot.boot import page, journal, control, decision\n"
        "    page = journal = None\n    return control.run(), page.seal, decision.choose\n"),
}
TOGETHER = [["boot/page.py", "boot/journal.py", "boot/control.py"]]


def test_a_bundle_stands_for_its_modules() -> None:
    found = bundle(PARTS, TOGETHER)
    assert set(found) == {"boot/control.py", "boot/decision.py", "agent.py"}
    lines = [line for line in found["boot/control.py"].splitlines() if line.strip()]
    assert [line for line in lines if "import" in line] == ["from hashlib import sha256", "from twoslot.boot import decision"]
    assert "    return seal, Journal, decision.choose" in lines and "class Journal:" in lines
    assert "from twoslot.boot.control import seal" in found["agent.py"]
    assert "    from twoslot.boot import control, decision" in found["agent.py"]
    assert "    return control.run(), control.seal, decision.choose" in found["agent.py"]


def test_a_bundle_with_a_module_less_stays_apart() -> None:
    parts = {path: text for path, text in PARTS.items() if path != "boot/page.py"}
    assert bundle(parts, TOGETHER) == parts


def test_a_name_that_two_modules_of_a_bundle_define_is_refused() -> None:
    twice = {**PARTS, "boot/journal.py": PARTS["boot/journal.py"] + "\ndef seal():\n    pass\n"}
    with pytest.raises(BenchError, match="seal is defined in boot/page.py too"):
        bundle(twice, TOGETHER)


def test_no_name_of_a_module_begins_with_anothers() -> None:
    """`drop()` compares beginnings: dropping one would drop the other."""
    names = [name.removesuffix(".py").replace("/", ".") for name in sources()]
    folders = {name.partition(".")[0] for name in names if "." in name}
    for name in {*names, *folders} - {"__init__"}:
        assert not [other for other in names if other.startswith(name) and other != name and not other.startswith(f"{name}.")]


def test_keys_of_records_are_short_too() -> None:
    small, renamed = shrink({"a.py": "def f(d):\n    return d['unproven'], d['counter']\n"})
    assert "unproven" in renamed and "unproven" not in small["a.py"] and "counter" in small["a.py"]
