"""`slotbench prove programs`: what people do on this chip, run on the emulated one and on each VM."""

from __future__ import annotations

from pathlib import Path

import click

from slotbench import boards
from slotbench.cli.json_output import echo_result, json_option
from slotbench.cli.parameter_types import PATH
from slotbench.errors import BenchError
from slotbench.prove.programs.table import CHIP, markdown, run_on_chip, run_on_vms, summary
from slotbench.release.files import read_bytes

_IMAGE_BYTES_MAX = 16 * 1024 * 1024


@click.command()
@click.argument("image", type=PATH, metavar="FIRMWARE")
@click.option(
    "--board", "board_name", default="d1_mini", show_default=True, metavar="NAME",
    help="Board file, by name or path.")
@click.option("--markdown", "as_markdown", is_flag=True, help="The table of the page programs.md.")
@json_option
def programs(image: Path, board_name: str, as_markdown: bool, as_json: bool) -> None:
    """Run programs of the kind that people write for this chip, and say which work where.

    Each is run on FIRMWARE on the emulated chip, and on each VM. It fails if one does not work on the chip.

    \b
    Example: slotbench prove programs firmware.bin
    """
    profile, firmware = boards.load(board_name), read_bytes(image, _IMAGE_BYTES_MAX)
    quiet = as_json or as_markdown
    say = (lambda line: None) if quiet else click.echo
    results = {CHIP: run_on_chip(profile, firmware, say), **run_on_vms(profile, say)}
    if as_json:
        echo_result(results)
    else:
        for line in markdown(results) if as_markdown else summary(results):
            click.echo(line)
    failed = [f"{name}: {wrong}" for name, wrong in results[CHIP].items() if wrong]
    if failed:
        raise BenchError(f"{len(failed)} programs do not work on the emulated chip", where=failed[0])
