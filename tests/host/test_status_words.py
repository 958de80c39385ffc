"""The words of `slotbench status` for a board with applications."""

from __future__ import annotations

from slotbench.cli.status import _lines
from slotbench.vboard.forecast.status import BoardStatus

FIRMWARE = {
    "slot": "A", "version": "1.26.0", "counter": 3, "why": 1, "confirmed": True, "spare": None, "floor": 0, "bad": 0,
    "head": 7, "report": 0, "next": "A",
}
APPLICATION = {
    "app": "1.4", "app_folder": "B", "app_counter": 4, "app_confirmed": True, "app_bad": 5, "app_report": 2,
    "app_trace": 'Traceback (most recent call last):\n  File "lamp.py", line 1\nZeroDivisionError: divide by zero\n',
}


def words(**told: object) -> str:
    return "\n".join(f"{label} {text}".strip() for label, text in _lines(BoardStatus.of_board(FIRMWARE | told)))


def test_what_runs_and_why_the_last_one_failed() -> None:
    said = words(**APPLICATION)
    assert "program 1.4, counter 4, folder B, confirmed\nbad: 5 and below\nreport: 2 (bad)\n" in said
    assert said.endswith("ZeroDivisionError: divide by zero")
    assert "the last one that failed ended by:\nTraceback (most recent call last):" in said and "app_trace" not in said


def test_without_a_program_a_trial_and_a_desk() -> None:
    assert "program /main.py: no application runs" in words(**{**APPLICATION, "app_folder": None, "app_trace": None})
    assert "folder B, on trial" in words(**{**APPLICATION, "app_confirmed": False})
    assert "for development: slotbench watch" in words(**{**APPLICATION, "app_counter": 0x80000001})
    assert "program" not in words()


def test_stock_firmware_and_what_is_not_known() -> None:
    said = words(slot=None, counter=0, next=None, **APPLICATION)
    assert said.startswith("firmware MicroPython 1.26.0, stock: no loader, no slots\nhead seq 7\n")
    assert "why" not in said and "a_newer_key 1" in words(a_newer_key=1)
