"""Tracebacks of the VM, without the bench's own frames, and who else hears them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

__all__ = ["SecondTerminal", "frames_of_the_program"]

_OWN_FRAME: Final = '  File "bench.py"'
_TYPED: Final = '  File "<string>"'
_STREAMED: Final = re.compile(r'^  File "/\.bench/[^"]*\.stdin"')


def frames_of_the_program(printed: str, inside: bool) -> Iterator[str]:
    """The lines of a traceback without the bench's own; what somebody typed is called <stdin>, as
    on a board.

    `inside`: the program was started by text of the bench, which is the first without a file.
    """
    for line in printed.splitlines(keepends=True):
        if line.startswith(_TYPED) and inside:
            inside = False
        elif not line.startswith(_OWN_FRAME):
            yield _STREAMED.sub('  File "<stdin>"', line.replace(_TYPED, '  File "<stdin>"', 1))


class SecondTerminal:
    """What the program gave to os.dupterm()."""

    def __init__(self, run: Callable[[str], object]) -> None:
        self._run = run

    def write(self, data: bytearray) -> None:
        """Have the program's stream take this, if there is one. Raises what it ends in, such as a reset."""
        self._run(f"second is None or second.write(bytearray({bytes(data)!r}))")
