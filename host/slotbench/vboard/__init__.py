"""The virtual ESP8266 board: flash, chip, loader model and the device modules run against them.

May import `slotbench.formats`, `slotbench.boards`, `slotbench.errors` and `slotbench.data_path`.
"""
