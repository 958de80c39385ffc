"""The HTTP server of a release directory, and a server in a thread for demos and tests.

Imports `slotbench.release` and what lies below it. Static content needs no session and no database.
"""

from __future__ import annotations

from slotbench.server.app import create_app, require_published
from slotbench.server.background import Background
from slotbench.server.board_authenticator import BoardAuthenticator

__all__ = ["Background", "BoardAuthenticator", "create_app", "require_published"]
