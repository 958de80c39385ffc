"""Devices that speak hawkBit's DDI: their tokens, what they said of themselves, what they were offered."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "m0005"
down_revision = "m0004"

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "ddi_tokens",
        sa.Column("id", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("label", sa.String(64), nullable=False),
        sa.Column("product", sa.String(32), nullable=False),
        sa.Column("channel", sa.String(32), nullable=False),
        sa.Column("hashed", sa.String(64), nullable=False, unique=True),
        sa.Column("created", sa.BigInteger, nullable=False),
    )
    op.create_index("ddi_tokens_label", "ddi_tokens", ["kind", "label"], unique=True)
    op.create_table(
        "ddi_targets",
        sa.Column("device_id", sa.String(64), primary_key=True),
        sa.Column("running", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("report", sa.Integer, nullable=False, server_default="0"),
        sa.Column("report_counter", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("attributes", sa.Text, nullable=False, server_default="{}"),
        sa.Column("attributes_at", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("created", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "ddi_actions",
        sa.Column("id", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("device_id", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("counter", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("is_fetched", sa.Boolean, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("changed", sa.BigInteger, nullable=False),
    )
    op.create_index("ddi_actions_device", "ddi_actions", ["device_id", "id"])


def downgrade() -> None:
    """Take them away."""
    for name in ("ddi_actions", "ddi_targets", "ddi_tokens"):
        op.drop_table(name)
