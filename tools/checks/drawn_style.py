"""Which files flake8 looks at in a run of the tests, where ruff looks at all in a fortieth of the time.

ruff knows what pyflakes finds, but not all of what pycodestyle says of blanks and of continued lines.
"""

from __future__ import annotations

import configparser
import hashlib
from pathlib import Path

SHARE = 8
"""One file in so many is drawn, by its name and by what is in it: an edited one is drawn anew."""
_LINE_LENGTH = 79
_NEVER = ("E226", "E24")
"""What flake8 leaves out when nobody says so, as far as ruff has it."""


def is_drawn(path: Path) -> bool:
    """Whether the style of this file is looked at."""
    digest = hashlib.sha256(path.name.encode() + path.read_bytes()).digest()
    return digest[0] % SHARE == 0


def ruff_flags(setup: Path) -> list[str]:
    """Return flake8's settings of this setup.cfg, as ruff takes them."""
    config = configparser.ConfigParser()
    config.read(setup, encoding="utf-8")
    settings = config["flake8"] if config.has_section("flake8") else {}
    ignored = [*_NEVER, *settings.get("extend-ignore", "").replace(",", " ").split()]
    flags = ["--select", "E,F,W", "--ignore", ",".join(ignored),
             "--line-length", settings.get("max-line-length", str(_LINE_LENGTH))]
    for line in settings.get("per-file-ignores", "").split("\n"):
        files, _, codes = line.replace(" ", "").partition(":")
        for code in filter(None, codes.split(",")):
            flags += ["--per-file-ignores", f"{files}:{code}"]
    return flags
