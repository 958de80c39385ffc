"""Tracebacks of the VM, without the bench's own frames."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

__all__ = ["frames_of_the_program"]

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
