"""The state of a fleet: what boards proved, what was offered to them, and who did what, in a database.

Imports `slotbench.server` and the packages below it. It needs the extra `twoslot[fleet]`; only this module
may be imported without it. Nothing here signs unless it is given the online key.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Final

from slotbench.errors import USAGE, BenchError

__all__ = ["DATABASE_FILE", "EXTRA", "database_url", "is_installed", "require_installed"]

EXTRA: Final = "pip install 'twoslot[fleet]'"
"""What installs the rest."""
DATABASE_FILE: Final = "fleet.sqlite"
"""The database of a project, in its folder."""


def is_installed() -> bool:
    """Whether the packages of the extra are there."""
    return all(find_spec(name) is not None for name in ("sqlalchemy", "alembic", "prometheus_client"))


def require_installed() -> None:
    """Raise BenchError (usage) unless the packages of the extra are there."""
    if not is_installed():
        raise BenchError("the database of a fleet needs more packages", cure=EXTRA, exit_code=USAGE)


def database_url(folder: Path) -> str:
    """The URL of the database of the project in `folder`."""
    return f"sqlite:///{(folder / DATABASE_FILE).absolute().as_posix()}"
