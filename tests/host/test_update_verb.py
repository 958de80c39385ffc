"""`slotbench update` at the prompt of a board: whose trial a check ends, and whose it does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from slotbench.cli import update
from slotbench.errors import BenchError


class TypedPrompt:
    """A board that came to its prompt after the restart; `typed` are the lines."""

    restarted = True

    def __init__(self, status: dict[str, Any]) -> None:
        self.typed: list[str] = []
        self._status = status

    def comes_back(self, limit_s: float) -> bool:
        return True

    def type_line(self, line: str, quiet_s: float, say: Callable[[str], object] = lambda text: None) -> str:
        self.typed.append(line)
        return repr(self._status) + "\r\n" if "status" in line else "twoslot: the trial is over\r\n"


@pytest.mark.parametrize("status", [
    {"slot": "B"}, {"slot": "A", "app": "1.0", "app_folder": "A", "app_confirmed": True},
    {"slot": "A", "app": None, "app_folder": None, "app_confirmed": False},
], ids=["firmware", "a confirmed application", "no application"])
def test_a_check_ends_the_trial_of_a_board_without_a_program(status: dict[str, Any]) -> None:
    prompt = TypedPrompt(status)
    update._end_trial(prompt, "port")  # type: ignore[arg-type]
    assert prompt.typed[-1].endswith("twoslot.check()")


def test_it_does_not_end_that_of_an_application_which_crashed() -> None:
    """The board would take the check for the proof of a program that does not run."""
    prompt = TypedPrompt({"slot": None, "app": "1.1", "app_folder": "B", "app_confirmed": False})
    with pytest.raises(BenchError, match="the program on trial, 1.1, does not run") as caught:
        update._end_trial(prompt, "port")  # type: ignore[arg-type]
    assert "slotbench status shows its traceback" in str(caught.value.cure)
    assert not any("check" in line for line in prompt.typed)
