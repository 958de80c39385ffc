"""What is asked of a channel without a rollout, and which program a board runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "m0006"
down_revision = "m0005"

_PROGRAM = (
    ("app_running", sa.BigInteger), ("app_report", sa.Integer), ("app_report_counter", sa.BigInteger))


def upgrade() -> None:
    """Make the table and the columns."""
    op.create_table(
        "asks",
        sa.Column("product", sa.String(32), primary_key=True),
        sa.Column("channel", sa.String(32), primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("step", sa.String(32), nullable=False),
        sa.Column("percent", sa.Integer, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("by", sa.String(64), nullable=False),
        sa.Column("problem", sa.String(200), nullable=False, server_default=""),
    )
    for name, kind in _PROGRAM:
        op.add_column("boards", sa.Column(name, kind, nullable=False, server_default="0"))
    op.create_index("boards_app_report", "boards", ["app_report"])


def downgrade() -> None:
    """Take them away."""
    op.drop_index("boards_app_report", "boards")
    for name, _ in _PROGRAM:
        op.drop_column("boards", name)
    op.drop_table("asks")
