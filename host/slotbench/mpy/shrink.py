"""Short names for what only one package knows: MicroPython keeps every name it saw on the heap, for ever.

A name costs its length and 8 bytes (py/qstr.c) unless the firmware has it in flash already. So functions,
classes, attributes, parameters and globals of a package get names that every firmware has, and where these
run out, names of one and two letters. The renaming is one to one over the whole package, which is why no
scope needs to be understood: a name that is nobody's becomes another that is nobody's.
"""

from __future__ import annotations

import ast
import builtins
import hashlib
import io
import itertools
import keyword
import socket
import string
import tokenize
from collections.abc import Iterator, Mapping
from types import ModuleType

from slotbench.mpy.names import ASKED_FOR, CHIP, IN_EVERY_FIRMWARE, RECORD_KEYS
from slotbench.syntax import parse

__all__ = ["shrink"]

_FOREIGN_TYPES = (
    str, bytes, bytearray, list, dict, set, tuple, int, memoryview, range, property, Exception, io.BytesIO,
    io.StringIO, socket.socket, type(hashlib.sha256()), ModuleType,
)
"""What the package's own objects share attributes with; their names stay."""
_SELDOM = (
    "application/", "http/report", "mqtt/", "push/", "button", "ntp", "quiet_hours", "sleep", "telemetry")
"""What many boards never load: its own names take none of the firmware's from the others."""


def shrink(modules: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """The sources of a package (path in it -> text) with short names, and which name became which.

    Kept: what others ask for by name (`names.ASKED_FOR`), names that some type or module of MicroPython has
    too, names that every firmware has anyway, names that appear as strings unless they are
    `names.RECORD_KEYS`, modules, and dunders.
    """
    own, fixed, used, usual = set[str](), _foreign(), set[str](), set[str]()
    for name, text in modules.items():
        fixed.update(name.removesuffix(".py").split("/"))
        found = _Names()
        found.visit(parse(text, name))
        own |= found.own
        usual |= set() if name.startswith(_SELDOM) else found.own
        fixed |= found.fixed
        used |= {token.string for token in _tokens(text) if token.type == tokenize.NAME}
    fixed |= {*IN_EVERY_FIRMWARE, *(name for name in own if name.startswith("__"))}
    longest_first = sorted(own - fixed, key=lambda name: (name not in usual, -len(name), name))
    renamed = dict(zip(longest_first, _fresh(used | _foreign())))
    return {name: _rename(text, renamed) for name, text in modules.items()}, renamed


def _foreign() -> set[str]:
    names = {*dir(builtins), *keyword.kwlist, *keyword.softkwlist, *ASKED_FOR, *CHIP}
    return names.union(*(dir(kind) for kind in _FOREIGN_TYPES))


def _fresh(taken: set[str]) -> Iterator[str]:
    """Names that nobody uses, the cheapest first."""
    short = ("".join(pair) for pair in itertools.product(["", *string.ascii_lowercase], string.ascii_letters))
    return (name for name in itertools.chain(IN_EVERY_FIRMWARE, short) if name not in taken)


def _tokens(text: str) -> Iterator[tokenize.TokenInfo]:
    return tokenize.generate_tokens(io.StringIO(text).readline)


def _rename(text: str, renamed: Mapping[str, str]) -> str:
    result: str = tokenize.untokenize(
        (token.type, _renamed(token, renamed)) for token in _tokens(text) if token.type != tokenize.COMMENT)
    return result


def _renamed(token: tokenize.TokenInfo, renamed: Mapping[str, str]) -> str:
    if token.type == tokenize.NAME:
        return renamed.get(token.string, token.string)
    if token.type == tokenize.STRING and (key := token.string[1:-1]) in RECORD_KEYS:
        return f'"{renamed.get(key, key)}"'
    return token.string


class _Names(ast.NodeVisitor):
    """Of one module: `own`, the names it defines that the VM keeps; `fixed`, those it must not lose."""

    def __init__(self) -> None:
        self.own: set[str] = set()
        self.fixed: set[str] = set()
        self._depth = 0
        self._modules: set[str] = set()

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.fixed |= set(alias.name.split("."))
            self._modules.add(alias.asname or alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        package = (node.module or "").split(".")
        self.fixed |= set(package)
        if package[0] != "twoslot":
            self.fixed |= {alias.name for alias in node.names}

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._function(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.own.add(node.name)
        self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> None:
        self.own.add(node.arg)

    def visit_Global(self, node: ast.Global) -> None:
        self.own |= set(node.names)

    def visit_Assign(self, node: ast.Assign) -> None:
        # `_NAME = const(1)`: the compiler puts the number in its place, as long as the underscore is there.
        value, target = node.value, node.targets[0]
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "const":
            self.fixed.add(ast.unparse(target))
        self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        # A function's locals have no names at run time.
        if isinstance(node.ctx, ast.Store) and not self._depth:
            self.own.add(node.id)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if isinstance(node.ctx, ast.Store):
            self.own.add(node.attr)
        elif isinstance(node.value, ast.Name) and node.value.id in self._modules - {"twoslot"}:
            self.fixed.add(node.attr)
        self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        # To the tokenizer an f-string is a string (until Python 3.12): the names in it stay.
        for part in ast.walk(node):
            if isinstance(part, ast.Name):
                self.fixed.add(part.id)
            elif isinstance(part, ast.Attribute):
                self.fixed.add(part.attr)
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if node.value in RECORD_KEYS:
            self.own.add(node.value)
        elif isinstance(node.value, str):
            self.fixed.add(node.value)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        if node.name.startswith("__"):
            self.fixed.add(node.name)
        if node.name in ASKED_FOR:
            self.fixed |= {argument.arg for argument in ast.walk(node.args) if isinstance(argument, ast.arg)}
        self.own.add(node.name)
        self._depth += 1
        self.generic_visit(node)
        self._depth -= 1
