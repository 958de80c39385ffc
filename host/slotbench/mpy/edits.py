"""Changes of a source by the places of its syntax tree. What is not changed stays as it is written."""

from __future__ import annotations

import ast

__all__ = ["Edits"]

_Place = tuple[int, int]


class Edits:
    """What to change in one source, collected first and made at once."""

    def __init__(self) -> None:
        self._found: list[tuple[_Place, _Place, str]] = []

    def replace(self, node: ast.expr | ast.stmt, text: str) -> None:
        """Put `text` in the place of a node. "" takes a statement out; its line breaks stay."""
        assert node.end_lineno is not None and node.end_col_offset is not None
        start, end = (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)
        self._found.append((start, end, text))

    def applied(self, text: str) -> str:
        """The text with all changes; those inside of another one are part of it already."""
        lines = text.splitlines(keepends=True)
        outer: list[tuple[_Place, _Place, str]] = []
        for start, end, new in sorted(self._found):
            if not outer or start >= outer[-1][1]:
                outer.append((start, end, new))
        for (first, left), (last, right), new in reversed(outer):
            # The columns of a syntax tree count bytes.
            before = lines[first - 1].encode()[:left].decode()
            after = lines[last - 1].encode()[right:].decode()
            if not new and not before.strip() and after.lstrip().startswith("#"):
                after = "\n"
            lines[first - 1:last] = [before + new + after, *["\n"] * (last - first)]
        return "".join(lines)
