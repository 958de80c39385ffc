"""As a program: flake8 that looks at what code means in all files, and at its style in a part of them.

pyflakes takes a fifth of flake8's time, and finds the mistakes.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from flake8.checker import FileChecker  # type: ignore[import-untyped]
from flake8.main.cli import main  # type: ignore[import-untyped]

SHARE = 8
"""One file in so many is drawn, by its name and by what is in it: an edited one is drawn anew."""


def is_drawn(path: Path) -> bool:
    """Whether the style of this file is looked at."""
    digest = hashlib.sha256(path.name.encode() + path.read_bytes()).digest()
    return digest[0] % SHARE == 0


def _draw() -> None:
    """Have flake8's processes leave the style of other files alone; one that is not forked looks at all."""
    process_tokens = FileChecker.process_tokens

    def process_some(checker: FileChecker) -> None:
        if is_drawn(Path(checker.filename)):
            process_tokens(checker)

    setattr(FileChecker, "process_tokens", process_some)


if __name__ == "__main__":
    _draw()
    sys.exit(main(sys.argv[1:]))
