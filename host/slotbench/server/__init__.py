"""The HTTP server of a site, and the same server in a thread for demos and tests.

Imports `slotbench.release` and the packages below it. It serves static files and keeps no session.
"""

from __future__ import annotations

from slotbench.server.app import create_app, create_boards_app, require_published
from slotbench.server.background import BackgroundServer
from slotbench.server.board_authenticator import BoardAuthenticator, ProvenRequest
from slotbench.server.connections import raise_descriptor_limit
from slotbench.server.report_intake import ProvenReport, ReportIntake

__all__ = [
    "BackgroundServer", "BoardAuthenticator", "ProvenReport", "ProvenRequest", "ReportIntake", "create_app",
    "create_boards_app", "raise_descriptor_limit", "require_published",
]
