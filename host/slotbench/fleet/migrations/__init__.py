"""How the tables of `slotbench.fleet.schema` came to be: one module for each change, run by Alembic."""
