"""The prompt of a board over a serial line, whatever pieces the line comes in."""

from __future__ import annotations

import pytest

from slotbench.repl.prompt import ReplPrompt


class PiecesLine:
    """A serial line whose board answers what is typed with `answer`, in pieces of so many bytes."""

    in_waiting = 0

    def __init__(self, answer: bytes, size: int) -> None:
        self._answer, self._size = answer, size
        self._coming = b""

    def write(self, data: bytes) -> None:
        self._coming += data.removesuffix(b"\r") + b"\r\n" + self._answer

    def read(self, count: int) -> bytes:
        piece, self._coming = self._coming[:self._size], self._coming[self._size:]
        return piece


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_lines_end_with_a_newline_in_whatever_pieces_they_come(size: int) -> None:
    heard: list[str] = []
    line = PiecesLine("é: 1\r\n\r\nend\r\n>>> ".encode(), size)
    assert ReplPrompt(line, "port").type_line("x()", 5, heard.append) == "é: 1\n\nend\n"
    assert "".join(heard) == "é: 1\n\nend\n"
