"""Each refusal says what is wrong and names a cure. Those whose caller adds it are listed.

Of a proof that failed, what failed is the answer.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import slotbench
from slotbench.shell_words import quoted

ROOT = Path(slotbench.__file__).parent
WITHOUT = {
    "flashing/apply.py": "carry_out adds that the same command continues",
    "mpy/__init__.py": "deploy says what to do with boot.py; the package itself is checked by the gates",
    "mpy/bundle.py": "a defect of the package, which the gates find",
    "mpy/inline.py": "a defect of the package, which the gates find",
    "mpy/without_loader.py": "a defect of the package, which the gates find",
    "release/repair.py": "a line of what was repaired, not a refusal",
    "vboard/firmware.py": "a firmware of the bench",
    "vboard/live/control_socket.py": "the error of the board that runs, with its own cure",
    "vboard/live/request_handler.py": "the client of the bench always sends a line",
    "vboard/lx106/rom.py": "a file of the bench",
}
"""Files with refusals without a cure, and why that is right."""


def test_a_path_in_a_command_is_quoted() -> None:
    """People type what a message says: a path with a space is one word of it."""
    command = re.compile(
        r"slotbench( [a-z]+)+( --?[a-z-]+)* \{[a-z_.]*(path|folder|root|file|place)(!r)?\}")
    found = {
        f"{path.name}: {match[0]}" for path in ROOT.rglob("*.py")
        for match in command.finditer(path.read_text(encoding="utf-8"))}
    assert not found
    assert quoted("lamp1/flash.bin") == "lamp1/flash.bin" and quoted("my lamp") in ("'my lamp'", '"my lamp"')


def test_each_refusal_names_a_cure() -> None:
    counted, without = 0, set()
    for path in ROOT.rglob("*.py"):
        name = path.relative_to(ROOT).as_posix()
        text = path.read_text(encoding="utf-8")
        if name.startswith(("prove/", "cli/prove_")) or "BenchError(" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id != "BenchError":
                continue
            counted += 1
            if not any(word.arg == "cure" for word in node.keywords):
                without.add(name)
    assert without == set(WITHOUT)
    assert counted > 250
