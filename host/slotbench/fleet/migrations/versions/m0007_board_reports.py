"""What boards report beside their requests."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "m0007"
down_revision = "m0006"

_NUMBERS = dict.fromkeys(
    ("told_start", "told_number", "told_at", "free_heap", "error_where", "error_at"), "0")
_SMALL = {"rssi": "0", "reset_cause": "0", "error_code": "-1"}


def upgrade() -> None:
    """Add the columns."""
    for name, default in _NUMBERS.items():
        op.add_column("boards", sa.Column(name, sa.BigInteger, nullable=False, server_default=default))
    for name, default in _SMALL.items():
        op.add_column("boards", sa.Column(name, sa.Integer, nullable=False, server_default=default))
    op.add_column("boards", sa.Column("trace", sa.String(240), nullable=False, server_default=""))


def downgrade() -> None:
    """Take them away."""
    for name in (*_NUMBERS, *_SMALL, "trace"):
        op.drop_column("boards", name)
