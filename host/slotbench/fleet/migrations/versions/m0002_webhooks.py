"""Who is told what happens."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "m0002"
down_revision = "m0001"

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "webhooks",
        sa.Column("id", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("url", sa.String(400), nullable=False, unique=True),
        sa.Column("secret", sa.String(64), nullable=False),
        sa.Column("audit_id", sa.BigInteger, nullable=False),
        sa.Column("event_id", sa.BigInteger, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
        sa.Column("next_at", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("problem", sa.String(200), nullable=False, server_default=""),
    )


def downgrade() -> None:
    """Take the table away."""
    op.drop_table("webhooks")
