"""What is printed reaches a terminal as text: the one place that keeps control characters out.

Much of it comes from outside: what a board says, the banner of a firmware, a field of a document, a name of a
file. An escape sequence in it could rewrite the screen, or type for the user. Each control character is
shown by its number instead.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TextIO, cast

__all__ = [
    "GREEN", "RED", "YELLOW", "SafeStream", "control_stream", "echo_colored", "is_terminal", "safe_output",
    "safe_text",
]

RED: Final = "\x1b[31m"
GREEN: Final = "\x1b[32m"
YELLOW: Final = "\x1b[33m"
_PLAIN: Final = "\x1b[0m"

# All of Unicode's control characters but newline and tab, and those that reverse the direction of text.
_CONTROL = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def safe_text(text: str) -> str:
    """`text` with each control character as its escape: `\\x1b` for the one that begins a sequence.

    The line ends of a console, CR LF, become LF; a CR at the end, whose LF may follow later, is left out.
    """
    return _CONTROL.sub(_by_number, text.replace("\r\n", "\n").removesuffix("\r"))


class SafeStream:
    """A text stream that writes `safe_text` to another one. It has no binary buffer: that would bypass it.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    @property
    def encoding(self) -> str:
        """The encoding of the stream below."""
        return self.stream.encoding or "utf-8"

    @property
    def errors(self) -> str | None:
        """How the stream below treats characters that its encoding lacks."""
        return self.stream.errors

    def write(self, text: str | bytes) -> int:
        """Write text, also as the UTF-8 that click's completion writes; return its length."""
        self.stream.write(safe_text(text if isinstance(text, str) else text.decode("utf-8", "replace")))
        return len(text)

    def flush(self) -> None:
        """Flush the stream below."""
        self.stream.flush()

    def close(self) -> None:
        """Close the stream below."""
        self.stream.close()

    def writable(self) -> bool:
        """True."""
        return True

    def isatty(self) -> bool:
        """Whether the stream below is a terminal."""
        return self.stream.isatty()

    def fileno(self) -> int:
        """The descriptor of the stream below. Raises OSError if it has none."""
        return self.stream.fileno()


def control_stream(stream: TextIO) -> TextIO:
    """The terminal itself, for the sequences of slotbench's own: progress bars, and the demo's screen."""
    return stream.stream if isinstance(stream, SafeStream) else stream


def is_terminal(stream: TextIO) -> bool:
    """Whether somebody sees this stream on a screen that can move its cursor: progress is for such ones."""
    try:
        return stream.isatty() and os.environ.get("TERM") != "dumb"
    except (AttributeError, ValueError):  # the stream is closed, or there is none
        return False


def echo_colored(text: str, color: str, stream: TextIO) -> None:
    """Write a line, in `color` where the stream is a terminal and NO_COLOR is not set (no-color.org)."""
    if color and is_terminal(stream) and not os.environ.get("NO_COLOR") and sys.platform != "win32":
        terminal = control_stream(stream)
        terminal.write(f"{color}{safe_text(text)}{_PLAIN}\n")
        terminal.flush()
    else:
        stream.write(f"{text}\n")
        stream.flush()


@contextmanager
def safe_output() -> Iterator[None]:
    """Make stdout and stderr safe for as long as the block runs."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast(TextIO, SafeStream(stream)) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def _by_number(match: re.Match[str]) -> str:
    number = ord(match[0])
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"
