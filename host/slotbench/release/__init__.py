"""Making releases: keys, signed documents, and the site of static files that offers them.

Imports `slotbench.formats`, `slotbench.boards` and `slotbench.errors`, but neither Flask nor click.
"""
