"""The prompt of a board over a serial line, whatever pieces the line comes in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from slotbench.cli import board_prompt
from slotbench.errors import BenchError
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


class AnsweringLine(PiecesLine):
    """One whose board answers each line differently."""

    def __init__(self, answers: list[str], size: int) -> None:
        super().__init__(b"", size)
        self._answers = answers

    def write(self, data: bytes) -> None:
        self._answer = self._answers.pop(0).encode() + b">>> "
        super().write(data)


OFFLINE = "twoslot: refused: 1 not-connected; slotbench explain 1\r\nFalse\r\n"


@pytest.mark.parametrize("size", [1, 4, 100])
@pytest.mark.parametrize("answer", ["twoslot: 2.0.0 is offered\r\n", "twos\r\n", "twoslot: refused: 11 too-slow\r\n", ""])
def test_a_board_that_joins_its_network_is_asked_again(
    size: int, answer: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    """What it says meanwhile is not printed."""
    pauses: list[float] = []
    monkeypatch.setattr("slotbench.cli.board_prompt.time.sleep", pauses.append)
    heard: list[str] = []
    prompt = ReplPrompt(AnsweringLine([OFFLINE, OFFLINE, answer], size), "port")
    said = board_prompt.type_when_online(prompt, "check()", 5, heard.append)
    assert "".join(heard) == said == answer.replace("\r\n", "\n")
    assert pauses == [3.0, 3.0] and capsys.readouterr().err == "the board joins its network\n"


def test_a_board_that_stays_without_its_network_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slotbench.cli.board_prompt.time.sleep", lambda seconds: None)
    heard: list[str] = []
    prompt = ReplPrompt(AnsweringLine([OFFLINE] * 5, 7), "port")
    assert "".join(heard) == ""
    said = board_prompt.type_when_online(prompt, "check()", 5, heard.append)
    assert "".join(heard) == said == OFFLINE.replace("\r\n", "\n")


@pytest.mark.parametrize(("printed", "there"), [(b"boot\r\n>>> ", True), (b"5 >>> 3\r\nworking\r\n", False), (b"", False)])
def test_whether_a_board_comes_back_to_its_prompt(
    printed: bytes, there: bool, monkeypatch: pytest.MonkeyPatch,
) -> None:
    seconds = iter(range(1000))
    monkeypatch.setattr("slotbench.repl.prompt.time.monotonic", lambda: next(seconds))
    line = PiecesLine(b"\r\n>>> ", 3)
    line._coming = printed
    assert ReplPrompt(line, "port").comes_back(45) is there


@pytest.mark.parametrize("answer", [
    b"Traceback (most recent call last):\r\n  File \"<stdin>\", line 1\r\nMemoryError: \r\n>>> ", b"{\r\n>>> ", b"7\r\n>>> "])
def test_status_of_a_board_that_cannot_say_it_does_not_advise_itself(
    answer: bytes, monkeypatch: pytest.MonkeyPatch,
) -> None:
    @contextmanager
    def prompt(port: str, *, without_main: bool) -> Iterator[ReplPrompt]:
        yield ReplPrompt(PiecesLine(answer, 100), port)

    monkeypatch.setattr(board_prompt, "open_prompt", prompt)
    with pytest.raises(BenchError) as refused:
        board_prompt.query_status("/dev/ttyUSB0")
    assert refused.value.cure == "see what the board prints: mpremote connect /dev/ttyUSB0 repl"
    with pytest.raises(BenchError) as refused:
        board_prompt.require_success("Traceback\nMemoryError: \n", "/dev/ttyUSB0")
    assert refused.value.cure == "see what is on it: slotbench status --port /dev/ttyUSB0"
