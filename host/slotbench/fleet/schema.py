"""The tables of a fleet's database. All times are Unix seconds, UTC; names come from FORMATS.

A change of a table needs a migration (`slotbench.fleet.migrations`): a test compares the two.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, MetaData, String, Table, Text

__all__ = [
    "META", "asks", "audit", "boards", "ddi_actions", "ddi_targets", "ddi_tokens", "events", "heads",
    "images", "installs", "leases", "releases", "rollouts", "searched_text", "secrets_kept", "tokens",
    "webhooks",
]

META: Final = MetaData()
_NUMBER = BigInteger().with_variant(Integer, "sqlite")
"""A number that counts rows: SQLite counts by itself in its own integers only."""
_ID, _NAME, _DIGEST = String(64), String(32), String(64)

boards = Table(
    "boards", META,
    Column("device_id", _ID, primary_key=True),
    Column("name", _ID, nullable=False, server_default=""),
    Column("place", _ID, nullable=False, server_default=""),
    Column("searched", String(200), nullable=False, server_default=""),
    Column("product", _NAME, nullable=False, server_default=""),
    Column("channel", _NAME, nullable=False, server_default=""),
    Column("running", BigInteger, nullable=False),
    Column("report", Integer, nullable=False),
    Column("report_counter", BigInteger, nullable=False),
    Column("app_running", BigInteger, nullable=False, server_default="0"),
    Column("app_report", Integer, nullable=False, server_default="0"),
    Column("app_report_counter", BigInteger, nullable=False, server_default="0"),
    Column("target", BigInteger, nullable=False, server_default="0"),
    Column("target_at", BigInteger, nullable=False, server_default="0"),
    Column("progress", Integer, nullable=False, server_default="0"),
    Column("address", _ID, nullable=False, server_default=""),
    Column("first_seen", BigInteger, nullable=False),
    Column("last_seen", BigInteger, nullable=False),
    Column("requests", BigInteger, nullable=False, server_default="0"),
    Column("events", Integer, nullable=False, server_default="0"),
    Column("told_start", BigInteger, nullable=False, server_default="0"),
    Column("told_number", BigInteger, nullable=False, server_default="0"),
    Column("told_at", BigInteger, nullable=False, server_default="0"),
    Column("free_heap", BigInteger, nullable=False, server_default="0"),
    Column("rssi", Integer, nullable=False, server_default="0"),
    Column("reset_cause", Integer, nullable=False, server_default="0"),
    Column("error_code", Integer, nullable=False, server_default="-1"),
    Column("error_where", BigInteger, nullable=False, server_default="0"),
    Column("error_at", BigInteger, nullable=False, server_default="0"),
    Column("trace", String(240), nullable=False, server_default=""),
    Column("board", _NAME, nullable=False, server_default=""),
    Column("slot", Integer, nullable=False, server_default="-1"),
    Column("spare", BigInteger, nullable=False, server_default="-1"),
    Index(
        "boards_channel", "product", "channel", "running", "report_counter", "last_seen", "report",
        "device_id"),
    Index("boards_last_seen", "last_seen"),
    Index("boards_report", "report", "product", "channel", "report_counter", "running"),
    Index("boards_app_report", "app_report", "product", "channel", "app_report_counter", "app_running"),
    Index(
        "boards_program", "product", "channel", "app_running", "app_report_counter", "last_seen",
        "app_report", "device_id"),
    Index("boards_target_at", "target_at"),
    Index("boards_board", "board"),
)
"""One row for each board. `searched` is id, name and place in small letters (`searched_text`), `target` the
counter whose image it fetched last, and `progress` how many bytes of it; `app_...` are of its program. The
columns from `told_start` on are what it reported (FORMATS, board report), the last time at `told_at`, 0:
never. `board` is its profile, "" where that is not known; `slot` and `spare` are the slot that runs, and
the counter in the other one, -1: not known. What rollouts count is in the indexes, so that no board is read
for it.
"""
_IS_AHEAD: Final = boards.c.target > boards.c.running
Index(
    "boards_updating", boards.c.product, boards.c.channel, boards.c.target, boards.c.last_seen,
    boards.c.report_counter, boards.c.report, boards.c.running, sqlite_where=_IS_AHEAD,
    postgresql_where=_IS_AHEAD)

events = Table(
    "events", META,
    Column("id", _NUMBER, primary_key=True, autoincrement=True),
    Column("device_id", _ID, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("kind", _NAME, nullable=False),
    Column("counter", BigInteger, nullable=False, server_default="0"),
    Column("detail", String(200), nullable=False, server_default=""),
    Index("events_board", "device_id", "id"),
    Index("events_at", "at"),
)
"""The history of each board: only what changed."""

releases = Table(
    "releases", META,
    Column("digest", _DIGEST, primary_key=True),
    Column("product", _NAME, nullable=False),
    Column("counter", BigInteger, nullable=False),
    Column("version", _NAME, nullable=False),
    Column("channels", Text, nullable=False),
    Column("boards", Text, nullable=False),
    Column("notes", Text, nullable=False),
    Column("preflight", _NAME, nullable=False),
    Column("floor", BigInteger, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("bytes", Integer, nullable=False),
    Index("releases_counter", "product", "counter"),
)
"""The releases that were seen in the site. They stay when the site no longer has them."""

images = Table(
    "images", META,
    Column("sha256", _DIGEST, primary_key=True),
    Column("digest", _DIGEST, primary_key=True),
    Column("product", _NAME, nullable=False),
    Column("counter", BigInteger, nullable=False),
    Column("bytes", Integer, nullable=False),
)
"""Which release an image belongs to."""

heads = Table(
    "heads", META,
    Column("product", _NAME, primary_key=True),
    Column("channel", _NAME, primary_key=True),
    Column("epoch", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("digest", _DIGEST, nullable=False),
    Column("counter", BigInteger, nullable=False),
    Column("percent", Integer, nullable=False),
    Column("cohorts", Text, nullable=False),
    Column("devices", Text, nullable=False, server_default="[]"),
    Column("paused", Boolean, nullable=False),
    Column("interval_s", Integer, nullable=False),
    Column("issued", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("seen", BigInteger, nullable=False),
)
"""The heads that were seen in the site: a copy. What counts is the site, and the file beside the keys."""

rollouts = Table(
    "rollouts", META,
    Column("id", _NUMBER, primary_key=True, autoincrement=True),
    Column("product", _NAME, nullable=False),
    Column("channel", _NAME, nullable=False),
    Column("digest", _DIGEST, nullable=False),
    Column("counter", BigInteger, nullable=False),
    Column("state", _NAME, nullable=False),
    Column("reason", String(200), nullable=False, server_default=""),
    Column("plan", Text, nullable=False),
    Column("percent", Integer, nullable=False, server_default="0"),
    Column("step_at", BigInteger, nullable=False, server_default="0"),
    Column("failed_before", Integer, nullable=False, server_default="0"),
    Column("silent_before", Integer, nullable=False, server_default="0"),
    Column("seq", BigInteger, nullable=False, server_default="0"),
    Column("created", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False),
    Column("by", _ID, nullable=False),
    Index("rollouts_channel", "product", "channel", "state"),
)
"""A rollout in steps. `percent` is the step that was signed last, at `step_at`, by the head `seq`."""

audit = Table(
    "audit", META,
    Column("id", _NUMBER, primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False),
    Column("who", _ID, nullable=False),
    Column("action", _NAME, nullable=False),
    Column("subject", String(128), nullable=False),
    Column("detail", String(400), nullable=False, server_default=""),
    Column("address", _ID, nullable=False, server_default=""),
    Index("audit_at", "at"),
)
"""Who did what, and when. Rows are added and never changed."""

tokens = Table(
    "tokens", META,
    Column("id", _NUMBER, primary_key=True, autoincrement=True),
    Column("label", _ID, nullable=False, unique=True),
    Column("role", _NAME, nullable=False),
    Column("hashed", String(200), nullable=False),
    Column("created", BigInteger, nullable=False),
)
"""The logins: never the token, only its scrypt hash."""

secrets_kept = Table(
    "secrets_kept", META,
    Column("name", _NAME, primary_key=True),
    Column("value", String(200), nullable=False),
)
"""What all processes of one fleet share, such as the key that signs sessions."""

webhooks = Table(
    "webhooks", META,
    Column("id", _NUMBER, primary_key=True, autoincrement=True),
    Column("url", String(400), nullable=False, unique=True),
    Column("secret", _DIGEST, nullable=False),
    Column("audit_id", BigInteger, nullable=False),
    Column("event_id", BigInteger, nullable=False),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("next_at", BigInteger, nullable=False, server_default="0"),
    Column("problem", String(200), nullable=False, server_default=""),
)
"""Who is told what happens: told up to the rows `audit_id` and `event_id`, tried again from `next_at` on."""

installs = Table(
    "installs", META,
    Column("device_id", _ID, primary_key=True),
    Column("product", _NAME, nullable=False),
    Column("channel", _NAME, nullable=False),
    Column("cancel", Boolean, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("by", _ID, nullable=False),
)
"""Boards that somebody asked to list in their channel's head, or with `cancel` to take from it."""

asks = Table(
    "asks", META,
    Column("product", _NAME, primary_key=True),
    Column("channel", _NAME, primary_key=True),
    Column("digest", _DIGEST, nullable=False),
    Column("step", _NAME, nullable=False),
    Column("percent", Integer, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("by", _ID, nullable=False),
    Column("problem", String(200), nullable=False, server_default=""),
)
"""What somebody asked of a channel's release in which no rollout is under way."""

leases = Table(
    "leases", META,
    Column("name", _NAME, primary_key=True),
    Column("owner", _ID, nullable=False),
    Column("until", BigInteger, nullable=False),
)
"""Which process runs the rollouts, and until when unless it says so again."""

ddi_tokens = Table(
    "ddi_tokens", META,
    Column("id", _NUMBER, primary_key=True, autoincrement=True),
    Column("kind", _NAME, nullable=False),
    Column("label", _ID, nullable=False),
    Column("product", _NAME, nullable=False),
    Column("channel", _NAME, nullable=False),
    Column("hashed", _DIGEST, nullable=False, unique=True),
    Column("created", BigInteger, nullable=False),
    Index("ddi_tokens_label", "kind", "label", unique=True),
)
"""What devices that speak hawkBit's DDI show: a token of one device, `label` is its id, or of a gateway."""

ddi_targets = Table(
    "ddi_targets", META,
    Column("device_id", _ID, primary_key=True),
    Column("running", BigInteger, nullable=False, server_default="0"),
    Column("report", Integer, nullable=False, server_default="0"),
    Column("report_counter", BigInteger, nullable=False, server_default="0"),
    Column("attributes", Text, nullable=False, server_default="{}"),
    Column("attributes_at", BigInteger, nullable=False, server_default="0"),
    Column("created", BigInteger, nullable=False),
)
"""The devices that speak DDI: what they said of themselves, at `attributes_at`; 0 asks for it again."""

ddi_actions = Table(
    "ddi_actions", META,
    Column("id", _NUMBER, primary_key=True, autoincrement=True),
    Column("device_id", _ID, nullable=False),
    Column("digest", _DIGEST, nullable=False),
    Column("counter", BigInteger, nullable=False),
    Column("state", _NAME, nullable=False),
    Column("is_fetched", Boolean, nullable=False, default=False),
    Column("created", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False),
    Index("ddi_actions_device", "device_id", "id"),
)
"""One release that was offered to one of them, and how that ended."""


def searched_text(device_id: str, name: str, place: str) -> str:
    """What a search looks at."""
    return f"{device_id} {name} {place}".casefold()[:200]
