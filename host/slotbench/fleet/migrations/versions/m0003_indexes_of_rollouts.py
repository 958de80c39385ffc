"""What rollouts count is answered by indexes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "m0003"
down_revision = "m0002"

_IS_AHEAD = sa.text("target > running")


def upgrade() -> None:
    """Make two indexes wider, and add one of the boards that fetch a release."""
    op.drop_index("boards_channel", "boards")
    op.create_index(
        "boards_channel", "boards",
        ["product", "channel", "running", "report_counter", "last_seen", "report", "device_id"])
    op.drop_index("boards_report", "boards")
    op.create_index(
        "boards_report", "boards", ["report", "product", "channel", "report_counter", "running"])
    op.create_index(
        "boards_updating", "boards",
        ["product", "channel", "target", "last_seen", "report_counter", "report", "running"],
        sqlite_where=_IS_AHEAD, postgresql_where=_IS_AHEAD)


def downgrade() -> None:
    """Have the indexes of before."""
    op.drop_index("boards_updating", "boards")
    op.drop_index("boards_report", "boards")
    op.create_index("boards_report", "boards", ["report"])
    op.drop_index("boards_channel", "boards")
    op.create_index("boards_channel", "boards", ["product", "channel", "running"])
