"""What applications ask of the ESP8266 is in one module: a board file for another port needs another one of it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

DEVICE = Path(__file__).parents[2] / "device" / "twoslot"
PORT = "application/port.py"
ADDRESSES = ("RTC_TAIL", "RETAINED_TURNS")
MAPPED = range(0x3FF00000, 0x40200000), range(0x60000000, 0x60002000)
"""Registers, memory and ROM."""
MODULES = sorted(path.relative_to(DEVICE).as_posix() for path in (DEVICE / "application").glob("*.py"))
AROUND = {"__init__.py", "ntp.py", "outcome.py", "recovery/counting.py", "retained.py"}
"""They keep counts in memory that outlives a restart, by its address."""
SLOTS = {"boot/control.py", "flash.py", "hook_line.py", "filesystem.py"}
"""Only boards with slots have these, or others in their place."""


def asks_the_chip(source: str) -> list[str]:
    """The names in a module that only an ESP8266 has: `esp`, its registers, addresses of its memory."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            found += [name for name in names if name == "esp" or name in ADDRESSES]
        if isinstance(node, ast.Attribute) and node.attr == "mem32":
            found.append("mem32")
        if isinstance(node, ast.Constant) and isinstance(node.value, int) and node.value % 4 == 0 and any(node.value in each for each in MAPPED):
            found.append(hex(node.value))
    return found


@pytest.mark.parametrize("name", MODULES)
def test_only_the_port_asks_the_chip(name: str) -> None:
    found = asks_the_chip((DEVICE / name).read_text())
    assert bool(found) == (name == PORT), f"{name} asks for {found}: it belongs into {PORT}"


def test_around_the_applications_they_are_known() -> None:
    asking = {
        path.relative_to(DEVICE).as_posix() for path in DEVICE.rglob("*.py")
        if asks_the_chip(path.read_text()) and path.name != "constants.py"}
    assert asking - SLOTS - {PORT} == AROUND, "device/docs/applications.md names them"


@pytest.mark.parametrize("source", [
    "import esp", "from esp import malloc", "import machine\nmachine.mem32[4]", "from twoslot.constants import RTC_TAIL",
    "x = 0x600013E0",
])
def test_it_finds_them(source: str) -> None:
    assert asks_the_chip(source) and not asks_the_chip("import machine\nmachine.reset()\nx = 0x7FFF")
