"""Making releases: keys, documents and the static directory that serves them.

Imports `slotbench.formats`, `slotbench.boards` and `slotbench.errors`; knows nothing of Flask or
click.
"""
