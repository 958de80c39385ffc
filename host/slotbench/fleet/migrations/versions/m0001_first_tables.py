"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "m0001"
down_revision = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_ID, _NAME, _DIGEST = sa.String(64), sa.String(32), sa.String(64)


def upgrade() -> None:
    """Make the tables."""
    _make_boards()
    _make_releases()
    _make_rollouts()
    _make_access()


def downgrade() -> None:
    """Take all tables away, and what they hold."""
    for name in (
        "secrets_kept", "tokens", "audit", "leases", "rollouts", "heads", "images", "releases", "events",
        "boards",
    ):
        op.drop_table(name)


def _make_boards() -> None:
    op.create_table(
        "boards",
        sa.Column("device_id", _ID, primary_key=True),
        sa.Column("name", _ID, nullable=False, server_default=""),
        sa.Column("place", _ID, nullable=False, server_default=""),
        sa.Column("searched", sa.String(200), nullable=False, server_default=""),
        sa.Column("product", _NAME, nullable=False, server_default=""),
        sa.Column("channel", _NAME, nullable=False, server_default=""),
        sa.Column("running", sa.BigInteger, nullable=False),
        sa.Column("report", sa.Integer, nullable=False),
        sa.Column("report_counter", sa.BigInteger, nullable=False),
        sa.Column("target", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("target_at", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("progress", sa.Integer, nullable=False, server_default="0"),
        sa.Column("address", _ID, nullable=False, server_default=""),
        sa.Column("first_seen", sa.BigInteger, nullable=False),
        sa.Column("last_seen", sa.BigInteger, nullable=False),
        sa.Column("requests", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("events", sa.Integer, nullable=False, server_default="0"),
    )
    op.create_index("boards_channel", "boards", ["product", "channel", "running"])
    op.create_index("boards_last_seen", "boards", ["last_seen"])
    op.create_index("boards_report", "boards", ["report"])
    op.create_index("boards_target_at", "boards", ["target_at"])
    op.create_table(
        "events",
        sa.Column("id", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("device_id", _ID, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("kind", _NAME, nullable=False),
        sa.Column("counter", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("detail", sa.String(200), nullable=False, server_default=""),
    )
    op.create_index("events_board", "events", ["device_id", "id"])
    op.create_index("events_at", "events", ["at"])


def _make_releases() -> None:
    op.create_table(
        "releases",
        sa.Column("digest", _DIGEST, primary_key=True),
        sa.Column("product", _NAME, nullable=False),
        sa.Column("counter", sa.BigInteger, nullable=False),
        sa.Column("version", _NAME, nullable=False),
        sa.Column("channels", sa.Text, nullable=False),
        sa.Column("boards", sa.Text, nullable=False),
        sa.Column("notes", sa.Text, nullable=False),
        sa.Column("preflight", _NAME, nullable=False),
        sa.Column("floor", sa.BigInteger, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.Integer, nullable=False),
    )
    op.create_index("releases_counter", "releases", ["product", "counter"])
    op.create_table(
        "images",
        sa.Column("sha256", _DIGEST, primary_key=True),
        sa.Column("digest", _DIGEST, primary_key=True),
        sa.Column("product", _NAME, nullable=False),
        sa.Column("counter", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.Integer, nullable=False),
    )
    op.create_table(
        "heads",
        sa.Column("product", _NAME, primary_key=True),
        sa.Column("channel", _NAME, primary_key=True),
        sa.Column("epoch", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("digest", _DIGEST, nullable=False),
        sa.Column("counter", sa.BigInteger, nullable=False),
        sa.Column("percent", sa.Integer, nullable=False),
        sa.Column("cohorts", sa.Text, nullable=False),
        sa.Column("paused", sa.Boolean, nullable=False),
        sa.Column("interval_s", sa.Integer, nullable=False),
        sa.Column("issued", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
        sa.Column("seen", sa.BigInteger, nullable=False),
    )


def _make_rollouts() -> None:
    op.create_table(
        "rollouts",
        sa.Column("id", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("product", _NAME, nullable=False),
        sa.Column("channel", _NAME, nullable=False),
        sa.Column("digest", _DIGEST, nullable=False),
        sa.Column("counter", sa.BigInteger, nullable=False),
        sa.Column("state", _NAME, nullable=False),
        sa.Column("reason", sa.String(200), nullable=False, server_default=""),
        sa.Column("plan", sa.Text, nullable=False),
        sa.Column("percent", sa.Integer, nullable=False, server_default="0"),
        sa.Column("step_at", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("failed_before", sa.Integer, nullable=False, server_default="0"),
        sa.Column("silent_before", sa.Integer, nullable=False, server_default="0"),
        sa.Column("seq", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("changed", sa.BigInteger, nullable=False),
        sa.Column("by", _ID, nullable=False),
    )
    op.create_index("rollouts_channel", "rollouts", ["product", "channel", "state"])
    op.create_table(
        "leases",
        sa.Column("name", _NAME, primary_key=True),
        sa.Column("owner", _ID, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
    )


def _make_access() -> None:
    op.create_table(
        "audit",
        sa.Column("id", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("who", _ID, nullable=False),
        sa.Column("action", _NAME, nullable=False),
        sa.Column("subject", sa.String(128), nullable=False),
        sa.Column("detail", sa.String(400), nullable=False, server_default=""),
        sa.Column("address", _ID, nullable=False, server_default=""),
    )
    op.create_index("audit_at", "audit", ["at"])
    op.create_table(
        "tokens",
        sa.Column("id", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("label", _ID, nullable=False, unique=True),
        sa.Column("role", _NAME, nullable=False),
        sa.Column("hashed", sa.String(200), nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "secrets_kept",
        sa.Column("name", _NAME, primary_key=True),
        sa.Column("value", sa.String(200), nullable=False),
    )
