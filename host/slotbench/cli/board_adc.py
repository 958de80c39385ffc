"""`slotbench board adc`: the voltage at A0 of a virtual board."""

from __future__ import annotations

from pathlib import Path

import click

from slotbench.cli.board_control import send_request
from slotbench.cli.parameter_types import PATH

_FULL_SCALE = 1024


@click.command()
@click.argument("folder", type=PATH, metavar="DIR")
@click.argument("volts", type=float, metavar="VOLTS")
def adc(folder: Path, volts: float) -> None:
    """Put a voltage on A0 of the board that runs in DIR.

    VOLTS is the voltage at the chip, 0 to 1. The divider of a D1 mini or NodeMCU makes 3.2 V to 1 V.
    This needs --vm chip.

    Example: slotbench board adc lamp1 0.4
    """
    send_request(folder, {"command": "adc", "volts": volts})
    click.echo(f"A0: {volts:g} V; ADC(0).read() says {round(volts * _FULL_SCALE)}")
