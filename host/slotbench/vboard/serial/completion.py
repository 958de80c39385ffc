"""What Tab does at the prompt: py/repl.c of MicroPython says what is completed and how it is shown."""

from __future__ import annotations

import os.path
import re
from collections.abc import Callable, Sequence
from typing import Final

__all__ = ["complete"]

_INDENT: Final = "    "
_IMPORT: Final = "import "
_CHAIN: Final = re.compile(r"[\w.]*\Z", re.ASCII)
_SLOT, _LINE = 16, 64
_MODULES: Final = (
    "builtins micropython array binascii btree collections cryptolib deflate errno esp framebuf gc hashlib "
    "heapq io json lwip machine math network os platform random re select socket struct sys time tls uctypes "
    "vfs websocket"
).split()
"""Built into the port (official 1.26.0)."""


def complete(text: str, names: Callable[[str], Sequence[str]]) -> tuple[str, str]:
    """What Tab adds behind `text`, and what it prints where several names are possible.

    `names` gives those of what a dotted path leads to; the globals of __main__ for an empty one.
    """
    if text.endswith(" "):
        return _INDENT, ""
    chain = _CHAIN.search(text)
    assert chain is not None
    path, _, part = chain.group().rpartition(".")
    known = _MODULES if text.startswith(_IMPORT) else names(path)
    found = [name for name in known if name.startswith(part) and (part or not name.startswith("_"))]
    if not found:
        is_import = text and _IMPORT.startswith(text) and not path
        return (_IMPORT[len(text) :] if is_import else ""), ""
    more = os.path.commonprefix(found)[len(part) :]
    return (more, "") if more or len(found) == 1 else ("", _listed(found))


def _listed(found: Sequence[str]) -> str:
    text, column = "", _LINE
    for name in found:
        gap = -(-column // _SLOT) * _SLOT - column
        gap += _SLOT if gap < 2 else 0
        if column + gap + len(name) <= _LINE:
            text += " " * gap + name
            column += gap + len(name)
        else:
            text += f"\r\n{name}"
            column = len(name)
    return text + "\r\n"
