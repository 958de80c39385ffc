"""The option --vm: what runs the Python of a virtual board."""

from __future__ import annotations

import click

from slotbench.vboard.vms import VMS

__all__ = ["vm_option"]

vm_option = click.option(
    "--vm", type=click.Choice(list(VMS)), default="cpython", show_default=True,
    help="What runs the board's Python: this process, or the real MicroPython VM with an ESP8266's heap.")
"""Gives the command a parameter `vm`, a key of VMS."""
