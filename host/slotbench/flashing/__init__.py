"""What has to lie where on a board's flash.

May import `slotbench.formats`, `slotbench.boards` and `slotbench.errors`.
"""
