"""What Alembic runs: the changes that are due, over the connection that `FleetDatabase` gives it."""

from __future__ import annotations

from alembic import context

from slotbench.fleet.schema import META

if hasattr(context, "config"):  # Alembic runs it; whoever imports it changes nothing
    context.configure(connection=context.config.attributes["connection"], target_metadata=META)
    context.run_migrations()
