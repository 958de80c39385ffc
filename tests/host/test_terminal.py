"""Nothing that comes from outside reaches the terminal as a control character (`slotbench.terminal`)."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
import unicodedata
from pathlib import Path

import click
import pytest

from slotbench import cli
from slotbench.demo.screen import DemoScreen
from slotbench.terminal import SafeStream, control_stream, safe_text
from support.commands import RunCommand

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31mred\rover\x08\x00\u202eabc"


def test_every_control_character_is_shown_by_its_number() -> None:
    for code in range(0x3000):
        character = chr(code)
        safe = safe_text(character)
        if character == "\r":
            assert safe == "" and safe_text("a\rb\r\nc") == "a\\x0db\nc"
        elif character in "\n\t":
            assert safe == character
        elif unicodedata.category(character) == "Cc" or unicodedata.bidirectional(character) in (
                "LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"):
            assert safe.isascii() and safe.isprintable() and safe != character, hex(code)
        elif character.isprintable():
            assert safe == character, hex(code)


def test_an_error_with_a_hostile_name_is_text(slotbench: RunCommand) -> None:
    ran = slotbench("release", "show", "no" + HOSTILE.replace("\0", "") + "file")
    assert ran.code == 2 and "\\x1b]0;owned\\x07" in ran.err
    assert ran.err == safe_text(ran.err) and ran.out == ""


def test_whatever_a_verb_prints_is_text(
    slotbench: RunCommand, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:
    """Also what it prints past click, and on both streams."""
    @click.command()
    def verb() -> None:
        click.echo(HOSTILE)
        print(HOSTILE, file=sys.stderr)

    monkeypatch.setitem(sys.modules, "hostile_verb", type(sys)("hostile_verb"))
    setattr(sys.modules["hostile_verb"], "verb", verb)
    monkeypatch.setitem(cli._group.sections["Words"], "verb", ("hostile_verb:verb", ""))
    before = sys.stdout, sys.stderr
    ran = slotbench("verb")
    for said in (ran.out, ran.err):
        assert said == safe_text(said) and "\\x1b]0;owned\\x07" in said and "\\u202eabc" in said
    assert (sys.stdout, sys.stderr) == before


def test_the_demos_screen_prints_what_a_board_says_as_text() -> None:
    out = io.StringIO()
    DemoScreen(out, live=False, pause=lambda s: None).print_event(0, HOSTILE)
    assert out.getvalue() == f"   0:00:00  {safe_text(HOSTILE)}\n"


def test_the_benchs_own_sequences_reach_the_terminal() -> None:
    out = io.StringIO()
    assert control_stream(SafeStream(out)) is out is control_stream(out)


@pytest.mark.parametrize(("environment", "before", "after"), [
    ({}, b"\x1b[31m", b"\x1b[0m"), ({"NO_COLOR": "1"}, b"", b""), ({"TERM": "dumb"}, b"", b"")])
def test_a_terminal_gets_text(environment: dict[str, str], before: bytes, after: bytes) -> None:
    """The whole program on a terminal of its own: an error in red, and no other sequence."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "slotbench", "release", "show", "no\x1b[2Jfile"], stdout=slave, stderr=slave,
        env={**os.environ, "TERM": "xterm", "PYTHONPATH": str(Path(cli.__file__).parents[2]), **environment})
    os.close(slave)
    said = b""
    while b"\n" not in said:
        said += os.read(master, 4096)
    process.wait()
    os.close(master)
    assert said.startswith(before + b"slotbench: ") and said.endswith(after + b"\r\n")
    assert b"no\\x1b[2Jfile" in said and said.count(b"\x1b") == bool(before) + bool(after)
