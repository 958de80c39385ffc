"""What a board is, and what is in its slots."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "m0009"
down_revision = "m0008"


def upgrade() -> None:
    """Add the columns, and the index that finds boards of a profile."""
    op.add_column("boards", sa.Column("board", sa.String(32), nullable=False, server_default=""))
    op.add_column("boards", sa.Column("slot", sa.Integer, nullable=False, server_default="-1"))
    op.add_column("boards", sa.Column("spare", sa.BigInteger, nullable=False, server_default="-1"))
    op.create_index("boards_board", "boards", ["board"])


def downgrade() -> None:
    """Take them away."""
    op.drop_index("boards_board", "boards")
    for name in ("spare", "slot", "board"):
        op.drop_column("boards", name)
