"""The gates: what a machine can say about this tree. tests/gates plants defects for each to find.

One module a gate, each with `run(root, report)`: it looks at the tree under root and at nothing else.
"""
