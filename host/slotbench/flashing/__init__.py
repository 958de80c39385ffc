"""Writing a board's flash over USB: the plan of what goes where, and its steps.

May import `slotbench.inspection`, `slotbench.formats`, `slotbench.boards` and `slotbench.errors`.
"""
