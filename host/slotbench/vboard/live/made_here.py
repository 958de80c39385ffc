"""The boards that this user made on this computer: the only ones whose Python the bench runs unasked.

The CPython VM runs a board's program in the bench's own process, with all that its user may do. A folder or a
dump from elsewhere may hold any program. Boards made here leave a mark in the user's own state folder, which
nothing that is copied, unpacked or downloaded brings along.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

from slotbench.errors import USAGE, BenchError
from slotbench.private import PRIVATE, PRIVATE_FOLDER

__all__ = ["has_mark", "mark", "refuse_stranger"]

_FOLDER: Final = "twoslot/boards"


def mark(*facts: bytes) -> None:
    """Remember something that was made here. A state folder that cannot be written is no error: it is asked
    about then.
    """
    path = _place(facts)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
        path.touch(mode=PRIVATE)
    except OSError:
        return


def has_mark(*facts: bytes) -> bool:
    """Whether `mark` was called with these facts, by this user on this computer."""
    return _place(facts).is_file()


def refuse_stranger(where: Path) -> BenchError:
    """The refusal to run a board from elsewhere as this user."""
    return BenchError(
        "this board was not made here, and its Python could do all that you may do on this computer",
        where=str(where), cure="confine it with --vm micropython or --vm chip, or add --trust if you know it",
        exit_code=USAGE)


def _place(facts: tuple[bytes, ...]) -> Path:
    digest = hashlib.sha256(b"\0".join(hashlib.sha256(fact).digest() for fact in facts)).hexdigest()
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state, _FOLDER, digest)
