"""A line typed at a board's prompt, against words as MicroPython says them."""

from __future__ import annotations

from slotbench.vboard.chip.typed_line import TypedLine

BANNER = b"\r\n>>> \r\n>>> \r\nMicroPython v1.26.0; ESP module\r\nType \"help()\" for more information.\r\n>>> "


def typed(line: str) -> tuple[TypedLine, list[bytes], list[str]]:
    sent: list[bytes] = []
    told: list[str] = []
    made = TypedLine(line, sent.append, told.append, 0)
    made.pass_time(0)
    return made, sent, told


def test_it_stops_what_runs_types_and_starts_the_application_again() -> None:
    line, sent, told = typed("twoslot.check()")
    assert sent == [b"\r\x03\x03\x02"]
    for at in range(len(BANNER)):
        line.receive(BANNER[at : at + 1])
    assert sent[1:] == [b"import twoslot\r"]
    line.receive(b"import twoslot\r\n>>> ")
    assert sent[2:] == [b"twoslot.check()\r"]
    line.receive(b"twoslot.check()\r\nup to")
    line.receive(b" date\r\n>")
    assert not line.is_done
    line.receive(b">> ")
    assert line.is_done
    assert "".join(told) == "up to date\n"
    assert sent[3:] == [b"\x04"]


def test_prompts_that_come_late_are_not_taken_for_answers() -> None:
    line, sent, told = typed("1")
    line.receive(BANNER + b"\r\n>>> ")
    line.receive(b"\r\n>>> ")
    assert sent[1:] == [b"import twoslot\r"]
    line.receive(BANNER)
    line.receive(b"import twoslot\r\n>>> ")
    line.receive(b"1\r\n1\r\n>>> ")
    assert told == ["1\n"]


def test_a_restart_ends_it() -> None:
    line, sent, told = typed("machine.reset()")
    line.receive(BANNER)
    line.receive(b"import twoslot\r\n>>> ")
    line.receive(b"machine.reset()\r\n")
    line.chip_started()
    assert line.is_done
    assert sent[-1] == b"machine.reset()\r"


def test_it_asks_again_while_the_board_is_not_there_yet() -> None:
    line, sent, _ = typed("1")
    line.pass_time(4_000_000)
    assert len(sent) == 1
    line.pass_time(5_000_000)
    assert sent == [b"\r\x03\x03\x02"] * 2
