"""The HTTP server of a site, and the same server in a thread for demos and tests.

Imports `slotbench.release` and the packages below it. It serves static files and keeps no session. The
names here are imported when one is used: importing Flask takes longer than most commands.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from slotbench.server.app import create_app, create_boards_app
    from slotbench.server.background import BackgroundServer
    from slotbench.server.board_authenticator import BoardAuthenticator, ProvenRequest
    from slotbench.server.connections import raise_descriptor_limit
    from slotbench.server.published import require_published
    from slotbench.server.report_intake import ProvenReport, ReportIntake

__all__ = [
    "BackgroundServer", "BoardAuthenticator", "ProvenReport", "ProvenRequest", "ReportIntake", "create_app",
    "create_boards_app", "raise_descriptor_limit", "require_published",
]

_MODULES: Final = {
    "BackgroundServer": "background", "BoardAuthenticator": "board_authenticator",
    "ProvenReport": "report_intake", "ProvenRequest": "board_authenticator", "ReportIntake": "report_intake",
    "create_app": "app", "create_boards_app": "app", "raise_descriptor_limit": "connections",
    "require_published": "published",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"slotbench.server.{_MODULES[name]}"), name)
