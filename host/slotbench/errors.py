"""The one exception of the bench that a user may see, and what it carries."""

from __future__ import annotations

CHECK_FAILED = 1
USAGE = 2
DEFECT = 3
INTERRUPTED = 130
"""The exit code that shells expect of a command that Ctrl-C ended."""


class BenchError(Exception):
    """Something the user can do something about.

    `what` was wrong, `where` (file, key, offset) and a `cure` make the one line that
    is printed; `exit_code` is what the command ends with: 1 a check failed, 2 usage or environment,
    3 a defect of ours.
    """

    def __init__(
        self, what: str, *, where: str = "", cure: str = "", exit_code: int = CHECK_FAILED,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.cure = cure
        self.exit_code = exit_code

    def __str__(self) -> str:
        line = f"{self.what}: {self.where}" if self.where else self.what
        return f"{line}; {self.cure}" if self.cure else line
