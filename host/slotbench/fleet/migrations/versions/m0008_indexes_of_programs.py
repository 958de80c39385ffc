"""What rollouts of programs count is answered by indexes."""

from __future__ import annotations

from alembic import op

revision = "m0008"
down_revision = "m0007"


def upgrade() -> None:
    """Make one index wider, and add one."""
    op.drop_index("boards_app_report", "boards")
    op.create_index(
        "boards_app_report", "boards",
        ["app_report", "product", "channel", "app_report_counter", "app_running"])
    op.create_index(
        "boards_program", "boards",
        ["product", "channel", "app_running", "app_report_counter", "last_seen", "app_report", "device_id"])


def downgrade() -> None:
    """Have the indexes of before."""
    op.drop_index("boards_program", "boards")
    op.drop_index("boards_app_report", "boards")
    op.create_index("boards_app_report", "boards", ["app_report"])
