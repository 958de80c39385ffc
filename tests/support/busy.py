"""How long something may take on a computer that does other things too."""

from __future__ import annotations

import os
from pathlib import Path

_SPARE = 4.0


def limit_s(seconds: float) -> float:
    """A limit for what takes `seconds` on an idle computer: several times as long, and longer the more others
    want its processors.
    """
    running = int(Path("/proc/loadavg").read_text().split()[3].partition("/")[0])
    share = max(os.getloadavg()[0], running) / (os.cpu_count() or 1)
    return seconds * _SPARE * max(1.0, share)
