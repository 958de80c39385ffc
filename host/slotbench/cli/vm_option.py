"""The option --vm: what runs the Python of a virtual board."""

from __future__ import annotations

import click

from slotbench.vboard.vms import VMS

__all__ = ["BOARD_VMS", "CHIP", "board_vm_option", "vm_option"]

CHIP = "chip"
"""The emulated chip, which runs a board's own firmware: not a DeviceVM, so not in VMS."""

vm_option = click.option(
    "--vm", type=click.Choice(list(VMS)), default="cpython", show_default=True,
    help="What runs the board's Python: this process, or the real MicroPython VM with an ESP8266's heap.")
"""Gives the command a parameter `vm`, a key of VMS."""

BOARD_VMS = (*VMS, CHIP)
"""What can run a board."""

board_vm_option = click.option(
    "--vm", type=click.Choice(BOARD_VMS),
    help="What runs the board: its Python in this process, or on the real MicroPython VM with an ESP8266's "
    "heap; or its firmware, byte for byte, on an emulated chip.  [default: what `board new` chose, else "
    "cpython]")
"""Gives the command a parameter `vm`, one of BOARD_VMS, or None."""
