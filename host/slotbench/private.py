"""Files and folders that hold secrets: the modes that keep other users out, here and nowhere else.

Secrets are private keys, the secrets of boards, and each copy of a board's flash: twoslot.secret lies in it,
and often the password of a Wi-Fi network.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

__all__ = ["PRIVATE", "PRIVATE_FOLDER", "PUBLIC", "is_open_to_others", "make_private_folder"]

PRIVATE: Final = 0o600
"""The mode of a file with a secret."""
PUBLIC: Final = 0o644
"""The mode of every other file."""
PRIVATE_FOLDER: Final = 0o700
"""The mode of a folder whose files hold secrets."""


def is_open_to_others(path: Path) -> bool:
    """Whether the modes let other users read the file. Windows has none: there this is False.

    Raises OSError.
    """
    return os.name == "posix" and bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


def make_private_folder(path: Path) -> None:
    """Make a folder that only its owner can enter, and the folders above it. Raises OSError if it exists."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=PRIVATE_FOLDER)
