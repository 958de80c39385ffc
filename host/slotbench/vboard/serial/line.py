"""A line typed at the REPL: its keys, its history, and whether a statement goes on behind it."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Callable, Sequence
from typing import Final

from slotbench.vboard.serial.completion import complete
from slotbench.vboard.serial.terminal import Terminal

__all__ = ["ENTER", "Lines", "goes_on", "indent_after"]

ENTER: Final = 13
_BACKSPACE: Final = (8, 127)
_ESCAPE: Final = 27
_INDENT: Final = "    "
_HISTORY_LINES: Final = 8
_LEFT, _RIGHT, _UP, _DOWN, _HOME, _END, _DELETE = "D", "C", "A", "B", "H", "F", "3~"
_COMPOUND: Final = re.compile(r"\s*(@|(async|class|def|for|if|try|while|with)\b)")


class Lines:
    """Reads lines from a terminal that echoes; keeps the last ones for the arrow keys."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self.names: Callable[[str], Sequence[str]] = lambda path: ()
        """For the Tab key (slotbench.vboard.serial.completion)."""
        self._history: list[str] = []

    def read(self, prompt: str, start: str = "", *, commands: str = "") -> str:
        """A line without its end, `start` being there already; or one of the control keys in
        `commands`.

        Ctrl-C counts everywhere, the others on an empty line alone.
        """
        terminal = self._terminal
        terminal.send(prompt + start)
        text, at, back = start, len(start), 0
        while True:
            key = self._key()
            if key in ("\r", "\n"):
                terminal.send("\r\n")
                if text and (not self._history or self._history[-1] != text):
                    self._history = [*self._history[1 - _HISTORY_LINES :], text]
                return text
            if key == "\x03" or (not text and key and key in commands):
                return key
            before = text, at
            if key in (_UP, _DOWN):
                back = min(max(back + (1 if key == _UP else -1), 0), len(self._history))
                text = self._history[-back] if back else start
                at = len(text)
            elif key == "\t":
                more, listed = complete(text[:at], self.names)
                if listed:
                    terminal.send(f"{listed}{prompt}{text[:at]}")
                text, at = text[:at] + more + text[at:], at + len(more)
            else:
                text, at = _edited(text, at, key)
            self._redraw(before, text, at)

    def _key(self) -> str:
        """The next key: a character, a control character, or the name of an arrow key."""
        first = self._terminal.read(1)[0]
        if first == _ESCAPE:
            if self._terminal.read(1) != b"[":
                return ""
            name = self._terminal.read(1)
            return (name + self._terminal.read(1) if name.isdigit() else name).decode("latin-1")
        if first in _BACKSPACE:
            return "\b"
        more = 3 if first >= 0xF0 else 2 if first >= 0xE0 else 1 if first >= 0xC0 else 0
        text = (bytes([first]) + self._terminal.read(more)).decode("utf-8", "ignore")
        # A letter is never taken for the name of an arrow key.
        return f"={text}" if text.isprintable() and text else text

    def _redraw(self, before: tuple[str, int], text: str, at: int) -> None:
        old, old_at = before
        if text == old + text[len(old) :] and old_at == len(old) and at == len(text):
            self._terminal.send(text[len(old) :])
            return
        same = 0
        while same < min(len(old), len(text), old_at) and old[same] == text[same]:
            same += 1
        out = "\b" * (old_at - same) + text[same:] + "\x1b[K"
        self._terminal.send(out + "\b" * (len(text) - at))


def _edited(text: str, at: int, key: str) -> tuple[str, int]:
    """The line and the place of the cursor after a key."""
    if key.startswith("=") and len(key) == 2:
        return text[:at] + key[1] + text[at:], at + 1
    match key:
        case "\b" if at:
            # A step of indentation goes as it came.
            count = len(_INDENT) if not text[:at].strip(" ") and at % len(_INDENT) == 0 else 1
            return text[: at - count] + text[at:], at - count
        case "\x04" | "3~":
            return text[:at] + text[at + 1 :], at
        case "D" | "\x02":
            return text, max(at - 1, 0)
        case "C" | "\x06":
            return text, min(at + 1, len(text))
        case "H" | "\x01" | "1~":
            return text, 0
        case "F" | "\x05" | "4~":
            return text, len(text)
        case "\x0b":
            return text[:at], at
        case "\x15":
            return text[at:], 0
    return text, at


def goes_on(text: str) -> bool:
    """Whether the REPL asks for another line of the statement in `text`.

    It does for an open bracket, an open triple quote, a backslash at the end, and for a compound
    statement until a blank line ends it.
    """
    if text.endswith("\\") or _is_open(text):
        return True
    return bool(_COMPOUND.match(text)) and not text.endswith("\n")


def _is_open(text: str) -> bool:
    try:
        list(tokenize.generate_tokens(io.StringIO(text).readline))
    except tokenize.TokenError as error:
        return "multi-line" in str(error)
    except (IndentationError, SyntaxError):
        return False
    return False


def indent_after(text: str) -> str:
    """The indentation that the next line of a statement begins with."""
    last = text.rpartition("\n")[2]
    if text.endswith("\n\n") or not last.strip():
        return ""
    deep = (len(last) - len(last.lstrip(" "))) // len(_INDENT) + last.rstrip().endswith(":")
    return _INDENT * deep
