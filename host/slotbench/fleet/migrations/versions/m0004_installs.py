"""Boards that somebody asked to list in a head."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "m0004"
down_revision = "m0003"


def upgrade() -> None:
    """Make the table and the column."""
    op.add_column("heads", sa.Column("devices", sa.Text, nullable=False, server_default="[]"))
    op.create_table(
        "installs",
        sa.Column("device_id", sa.String(64), primary_key=True),
        sa.Column("product", sa.String(32), nullable=False),
        sa.Column("channel", sa.String(32), nullable=False),
        sa.Column("cancel", sa.Boolean, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("by", sa.String(64), nullable=False),
    )


def downgrade() -> None:
    """Take them away."""
    op.drop_table("installs")
    op.drop_column("heads", "devices")
