"""`slotbench preflight`: a firmware or a program starts on an emulated chip before it gets near a board."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from slotbench import boards
from slotbench.application.bundle import Bundle
from slotbench.boards import BoardProfile
from slotbench.cli.application_options import read_bundle
from slotbench.cli.image_file import read_firmware
from slotbench.cli.json_output import echo_result, json_option
from slotbench.cli.parameter_types import PATH
from slotbench.cli.project_options import project_option
from slotbench.errors import BenchError
from slotbench.formats.release import Preflight
from slotbench.prove.chip.no_preflight import reason_for_none
from slotbench.release.describe import PREFLIGHT_WORDS
from slotbench.release.files import write_atomic

if TYPE_CHECKING:
    from slotbench.prove.chip.preflight import PreflightReport


@click.command("preflight")
@click.argument("firmware", type=PATH, metavar="FIRMWARE")
@project_option(
    "--board", "board_name", field="board", default="d1_mini", metavar="NAME",
    help="Board file, by name or path.  [default: d1_mini]")
@click.option(
    "--app", "app", type=PATH, metavar="DIR",
    help="Start your program under this firmware: the folder with main.py.")
@click.option("--source", "as_source", is_flag=True, help="With --app: leave its modules as they are.")
@click.option("--seed", default=0, show_default=True, help="Repeats a run exactly.")
@click.option("--console", is_flag=True, help="Show what the board prints.")
@json_option
def command(
    firmware: Path, board_name: str, app: Path | None, as_source: bool, seed: int, console: bool,
    as_json: bool,
) -> None:
    """Start a firmware .bin on an emulated chip, through slotboot, in a trial.

    It has to run the boot hook in time, make its filesystem where the board has it, import twoslot and check,
    leave heap and stack for an application, and feed its watchdogs for two minutes of its time or 1.5 G
    instructions. It says which twoslot it runs: the one frozen into it, or files. What this cannot show:
    radio, brown-out, real flash parts, cache timing.

    With --app your program is tried instead: it runs for half a minute of its time as the board's
    application, and what it leaves of heap and stack is said. Parts that it talks to are not there.

    \b
    Example: slotbench preflight firmware.bin --board d1_mini
             slotbench preflight firmware.bin --app app
    """
    image = read_firmware(firmware)
    board = boards.load(board_name)
    if (reason := reason_for_none(board, image)) is not None:
        raise BenchError(
            PREFLIGHT_WORDS[reason], where=str(firmware),
            cure=_CURES.get(reason, "give a MicroPython .bin and a board that runs it"))

    def say(text: str) -> None:
        if console:
            click.echo(text, nl=False, err=True)

    from slotbench.prove.chip.preflight import preflight
    from slotbench.prove.chip.program_preflight import program_preflight

    if app is None:
        report = preflight(image, board, seed=seed, say=say)
    else:
        report = program_preflight(read_bundle(app, image, as_source), image, board, seed=seed, say=say)
    if as_json:
        echo_result(json.loads(report.to_json()))
    else:
        say_report(report)
    if report.result is not Preflight.PASSED:
        what, where = ("firmware", firmware) if app is None else ("program", app)
        raise BenchError(
            f"this {what} is not fit to be released", where=str(where), cure="see what failed above")


_CURES = {
    Preflight.NO_COMPILER: "install a C compiler (apt install gcc), or: pip install 'twoslot[chip]'",
    Preflight.NO_NETWORK: "install libslirp (apt install libslirp0)",
}


def say_report(report: PreflightReport) -> None:
    """What an image had to show, and whether it did."""
    for check in report.checks:
        click.echo(f"  {'ok    ' if check.passed else 'FAILED'}  {check.name}: {check.seen}")
    for line in report.crash:
        click.echo(f"          {line}")


def run_for(
    images: Sequence[bytes], targets: Sequence[BoardProfile], *, wanted: bool, fs_version: int | None = None,
    beside: Path | None = None,
) -> Preflight:
    """The preflight of a release: of its image on each map of its boards, said as it goes; or why there is
    none.

    `beside` is the release's file, which gets the details beside it. Raises BenchError when the chip cannot
    be emulated though everything for it is here.
    """
    if not wanted:
        result: Preflight | None = Preflight.SKIPPED
    else:
        result = reason_for_none(targets[0], images[0])
    if result is not None:
        return result
    from slotbench.prove.chip.preflight import preflight

    result = Preflight.PASSED
    for number, board in enumerate(_different(targets)):
        click.echo(f"preflight on the emulated chip, as {board.name}:")
        report = preflight(images[0], board, fs_version=fs_version)
        say_report(report)
        if report.result is Preflight.FAILED:
            result = Preflight.FAILED
        if beside is not None:
            write_atomic(details_path(beside, number), report.to_json())
    return result


def run_for_program(
    bundle: Bundle, image: bytes | None, targets: Sequence[BoardProfile], *, wanted: bool,
    beside: Path | None = None,
) -> Preflight:
    """The preflight of an application under a firmware, on each map of its boards, said as it goes; or why
    there is none. As `run_for`.
    """
    reason = reason_for_no_program(image, targets[0], wanted)
    if reason is not None:
        return reason
    assert image is not None
    from slotbench.prove.chip.program_preflight import program_preflight

    result = Preflight.PASSED
    for number, board in enumerate(_different(targets)):
        click.echo(f"preflight of the application on the emulated chip, as {board.name}:")
        report = program_preflight(bundle, image, board)
        say_report(report)
        if report.result is Preflight.FAILED:
            result = Preflight.FAILED
        if beside is not None:
            write_atomic(details_path(beside, number), report.to_json())
    return result


def reason_for_no_program(image: bytes | None, board: BoardProfile, wanted: bool) -> Preflight | None:
    """Why an application gets no preflight; None: it gets one."""
    if not wanted or image is None:
        return Preflight.SKIPPED
    return reason_for_none(board, image)


def words_for(result: Preflight) -> str:
    """What people are told of a result, with a cure where there is one."""
    return f"{PREFLIGHT_WORDS[result]}; {_CURES[result]}" if result in _CURES else PREFLIGHT_WORDS[result]


def details_path(release: Path, number: int = 0) -> Path:
    """Where the details of a release's preflight lie: beside it."""
    again = f"-{number + 1}" if number else ""
    return release.with_name(f"{release.stem}{again}.preflight.json")


def _different(targets: Sequence[BoardProfile]) -> list[BoardProfile]:
    """One board of each flash map."""
    found: dict[object, BoardProfile] = {}
    for board in targets:
        found.setdefault((board.slots, board.filesystem, board.window, board.sdk), board)
    return list(found.values())
