"""`slotbench prove suite`: MicroPython's own tests, on the emulated chip and on the MicroPython VM."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import click

from slotbench import boards
from slotbench.boards import BoardProfile
from slotbench.cli.json_output import echo_result, json_option
from slotbench.cli.parameter_types import PATH
from slotbench.errors import BenchError
from slotbench.micropython_vm import suite_cache
from slotbench.prove.programs.on_chip import ChipPrograms
from slotbench.prove.programs.on_vm import VmPrograms
from slotbench.prove.programs.program import Program
from slotbench.prove.suite.cases import CHIP, VM, SuiteCase, cases
from slotbench.prove.suite.results import SuiteResult, run_suite, suite_table
from slotbench.release.files import read_bytes
from slotbench.vboard.signals import BenchViolation
from slotbench.vboard.vms import VMS

_IMAGE_BYTES_MAX = 16 * 1024 * 1024


@click.command()
@click.argument("image", type=PATH, metavar="FIRMWARE")
@click.option(
    "--tests", "folder", type=PATH, metavar="DIR",
    help="tests of MicroPython's source.  [default: what `tools/get-micropython --tests` fetched]")
@click.option(
    "--every", type=click.IntRange(1), default=1, show_default=True, metavar="N",
    help="Every Nth test only.")
@click.option(
    "--board", "board_name", default="d1_mini", show_default=True, metavar="NAME",
    help="Board file, by name or path.")
@json_option
def suite(image: Path, folder: Path | None, every: int, board_name: str, as_json: bool) -> None:
    """Run MicroPython's own tests on FIRMWARE on the emulated chip, and on the MicroPython VM.

    It prints how many passed, and why others did not. It fails where there is no reason.

    \b
    Example: slotbench prove suite firmware.bin --every 20
    """
    profile, chosen = boards.load(board_name), list(cases(folder or suite_cache()))[::every]
    results = [_on_chip(profile, read_bytes(image, _IMAGE_BYTES_MAX), chosen), _on_vm(profile, chosen)]
    if as_json:
        echo_result(results)
    else:
        for line in suite_table(results):
            click.echo(line)
    wrong = [f"{it.where}: {name}: {said!r}" for it in results for name, said in it.unexplained.items()]
    if wrong:
        raise BenchError(f"{len(wrong)} tests fail for no known reason", where="; ".join(wrong[:5]))


def _on_chip(profile: BoardProfile, image: bytes, chosen: Sequence[SuiteCase]) -> SuiteResult:
    with closing(ChipPrograms(profile, image)) as chip:
        return run_suite(CHIP, chosen, lambda program: chip.run(program)[0])


def _on_vm(profile: BoardProfile, chosen: Sequence[SuiteCase]) -> SuiteResult:
    vm = VmPrograms(profile, VMS[VM])

    def run(program: Program) -> str:
        try:
            return vm.run(program)
        except BenchViolation as error:
            return str(error)

    return run_suite(VM, chosen, run)
