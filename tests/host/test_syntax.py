"""slotbench.syntax: one thread at a time builds a tree, wherever the bench reads Python."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import slotbench
from slotbench.syntax import parse, parse_literal


def test_nobody_else_parses() -> None:
    root = Path(slotbench.__file__).parent
    texts = {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in sorted(root.rglob("*.py"))}
    assert len(texts) > 200
    found = [
        name for name, text in texts.items() if "parse" in text and re.search(r"\bast\b", text)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "ast.parse"]
    assert found == ["syntax.py"]


def test_it_parses_what_ast_does() -> None:
    assert ast.dump(parse("a = 1")) == ast.dump(ast.parse("a = 1"))
    assert parse_literal(" [1, {'a': b'c'}]") == [1, {"a": b"c"}]
    with pytest.raises(SyntaxError, match="x.py"):
        parse("a =", "x.py")
    with pytest.raises(ValueError, match="malformed"):
        parse_literal("open('x')")
