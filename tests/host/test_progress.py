"""What people see of a transfer that takes longer: a bar on a terminal, lines elsewhere, files in groups."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from slotbench.cli.progress import ProgressBar
from slotbench.repl.transports import TRANSPORTS, Ampy


class RecordingAmpy(Ampy):
    """ampy, but for the program itself: what it would copy is kept."""

    def __init__(self) -> None:
        super().__init__("port")
        self.copied: list[dict[str, int]] = []
        self.limits: list[float] = []

    def _run_program(self, command: Sequence[str], limit_s: float) -> str:
        self.copied.append({path.name: path.stat().st_size for path in sorted(Path(command[4]).iterdir())})
        self.limits.append(limit_s)
        return ""


def test_files_are_copied_in_groups_and_each_is_told() -> None:
    ampy, told = RecordingAmpy(), []
    files = {"a": bytes(4000), "b": bytes(2000), "c": bytes(500), "d": bytes(9000), "e": b""}
    ampy.put_files("/stage", files, lambda done, total: told.append((done, total)))
    assert ampy.copied == [{"a": 4000, "b": 2000}, {"c": 500}, {"d": 9000}, {"e": 0}]
    assert told == [(6000, 15500), (6500, 15500), (15500, 15500), (15500, 15500)]
    assert all(limit >= 60 for limit in ampy.limits)


def test_no_files_are_no_group() -> None:
    ampy = RecordingAmpy()
    ampy.put_files("/stage", {})
    assert ampy.copied == []
    assert all(made._group_bytes >= 4096 for made in TRANSPORTS.values())


def test_without_a_terminal_there_is_a_line_every_ten_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    seconds = iter((0.0, 4.0, 11.0, 11.0, 12.0, 30.0))
    bar = ProgressBar("copying", lambda: next(seconds))
    bar(1, 10)
    bar(2, 10)
    bar(3, 10)
    bar(10, 10)
    bar.say("  next step")
    bar.end()
    assert capsys.readouterr().err == "  copying: 20%\n  next step\n"
