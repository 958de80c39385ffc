"""`slotbench status`: the status of a board, from the board itself or from a dump of its flash."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import click

from slotbench.cli.board_prompt import query_status, without_main_option
from slotbench.cli.json_output import echo_result, json_option
from slotbench.cli.parameter_types import PATH
from slotbench.cli.project_options import project_port
from slotbench.errors import USAGE, BenchError
from slotbench.formats.journal import Report
from slotbench.formats.release import is_development
from slotbench.formats.rtc import BootReason
from slotbench.images import identify
from slotbench.inspection.dump import DUMP_BYTES_MAX, identify_board, is_stock_flash
from slotbench.inspection.stock import firmware_at_start
from slotbench.release.files import read_bytes
from slotbench.repl.package import mixed_versions
from slotbench.vboard.forecast.status import BoardStatus
from slotbench.vboard.forecast.status import status as status_of

_OF_APPLICATIONS: Final = (
    "app", "app_folder", "app_counter", "app_confirmed", "app_bad", "app_report", "app_trace")
"""Keys of the board's dict that have words here."""


@click.command()
@click.option("--dump", type=PATH, metavar="FILE", help="The whole flash of a board.")
@click.option("--port", metavar="PORT", help="Serial port of a connected board.  [default: the project's]")
@without_main_option
@click.option(
    "--board", metavar="NAME", help="Board file, by name or path.  [default: the one whose map fits]")
@json_option
def status(dump: Path | None, port: str | None, without_main: bool, board: str | None, as_json: bool) -> None:
    """Say what runs on a board: the result of its twoslot.status().

    A connected board (--port) is asked. Its application is stopped before and started again
    afterwards. For a dump (--dump) it is the result after the next start. The dump does not contain
    RTC memory, so slot and why are what the loader would do next.

    \b
    Example: slotbench status --port /dev/ttyUSB0
             slotbench status --dump flash.bin --json
    """
    if dump is None and port is None:
        port = project_port(click.get_current_context(), "option '--port' or '--dump'")
    if (dump is None) == (port is None):
        raise click.UsageError("give --port PORT or --dump FILE, one of them")
    if port is not None:
        told = BoardStatus.of_board(query_status(port, without_main=without_main))
        _say(told, as_json, f"{port}: the board says")
        return
    assert dump is not None
    data = read_bytes(dump, DUMP_BYTES_MAX)
    if is_stock_flash(data):
        raise BenchError(
            f"a board without twoslot: it starts {identify(firmware_at_start(data)).title}", where=str(dump),
            cure="set it up with `slotbench flash --from-stock`, or see `slotbench inspect`", exit_code=USAGE)
    chosen = identify_board(data, str(dump), board)
    data = data[: chosen.chip_bytes]
    head = f"{dump}: {chosen.name} after its next start (slot and why are what the loader would do next)"
    _say(status_of(chosen, data), as_json, head)


def _say(facts: BoardStatus, as_json: bool, head: str) -> None:
    if as_json:
        echo_result(facts.as_dict())
        return
    click.echo(head)
    for label, words in _lines(facts):
        click.echo(f"  {label:9}  {words}")


def _lines(facts: BoardStatus) -> list[tuple[str, str]]:
    def words(member: BootReason | Report) -> str:
        return f"{int(member)} ({member.name.lower().replace('_', ' ')})"

    hook = [("hook", "boot.py does not run it: the next update repairs that, or is refused (76)")]
    mixed = [("hook", words) for words in [mixed_versions(facts.twoslot, facts.hook_version)] if words]
    slots = [
        ("firmware", f"MicroPython {facts.version}, stock: no loader, no slots"),
        ("head", f"seq {facts.head}")]
    if facts.slot is not None:
        slots = [
            ("slot", facts.slot),
            ("version", f"{facts.version}, counter {facts.counter}"),
            ("why", words(BootReason(facts.why))),
            ("confirmed", "yes" if facts.confirmed else "no"),
            ("spare", facts.spare or "nothing"),
            ("floor", str(facts.floor)),
            ("bad", f"{facts.bad} and below" if facts.bad else "none"),
            ("head", f"seq {facts.head}"),
            ("report", words(Report(facts.report))),
            ("next", f"slot {facts.next}" if facts.next else "nothing boots"),
        ]
    return [
        *slots,
        *([("twoslot", facts.twoslot.replace(" ", ", "))] if facts.twoslot else []),
        *(hook if facts.hook is False else []),
        *mixed,
        *_application_lines(facts.more),
        *((key, str(value)) for key, value in facts.more.items() if key not in _OF_APPLICATIONS),
    ]


def _application_lines(told: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """What a board that has applications says of them."""
    if "app_counter" not in told:
        return
    if told.get("app_folder") is None:
        yield "program", "/main.py: no application runs"
    else:
        state = "confirmed" if told.get("app_confirmed") else "on trial"
        counter = told["app_counter"]
        if isinstance(counter, int) and is_development(counter):
            state = "for development: slotbench watch"
        yield "program", f"{told.get('app')}, counter {counter}, folder {told['app_folder']}, {state}"
    if bad := told.get("app_bad"):
        yield "", f"bad: {bad} and below"
    report = told.get("app_report")
    if isinstance(report, int) and report in list(Report) and report != Report.NOTHING:
        yield "", f"report: {report} ({Report(report).name.lower().replace('_', ' ')})"
    if trace := told.get("app_trace"):
        yield "", "the last one that failed ended by:"
        yield from (("", f"  {line}") for line in str(trace).splitlines())
