"""`slotbench doctor`: what usually goes wrong, and the cure of each."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from slotbench.cli.board_prompt import without_main_option
from slotbench.cli.json_output import echo_result, json_option
from slotbench.cli.project_options import project_of
from slotbench.cli.published_head import now
from slotbench.doctor.board import check_board
from slotbench.doctor.computer import check_clock, check_port, check_tools
from slotbench.doctor.findings import Diagnosis, State, all_well, as_finding, warning
from slotbench.doctor.project_files import check_files, check_heads, check_server_address
from slotbench.doctor.site_url import ask_site
from slotbench.errors import BenchError
from slotbench.formats.head import Head
from slotbench.project import Project
from slotbench.repl.prompt import start_application, stop_application
from slotbench.repl.transports import Mpremote
from slotbench.terminal import GREEN, RED, YELLOW, echo_colored

_COLORS = {State.OK: GREEN, State.WARNING: YELLOW, State.WRONG: RED}


@click.command()
@click.option("--port", metavar="PORT", help="Serial port of the board.  [default: the project's]")
@click.option(
    "--ask-board", is_flag=True,
    help="Also ask the board there: its settings, keys, network. Its program is stopped for that.")
@click.option("--no-server", is_flag=True, help="Do not ask the project's server.")
@without_main_option
@json_option
@click.pass_context
def doctor(
    ctx: click.Context, port: str | None, ask_board: bool, no_server: bool, without_main: bool, as_json: bool,
) -> None:
    """Look at what usually goes wrong, and say the cure of each.

    It looks at tools, clock and ports of this computer, at the project of this folder, and at its
    server as a board would ask it. It changes nothing, and resets no board. The exit code is 1 when
    something is wrong; a warning is not.

    \b
    Example: slotbench doctor
             slotbench doctor --port /dev/ttyUSB0 --ask-board
    """
    project = project_of(ctx)
    chosen = port or (project.port if project is not None else None)
    if ask_board and (project is None or chosen is None):
        raise click.UsageError("--ask-board needs a project, and a port: here, or in slotbench.toml")
    found: list[Diagnosis] = []
    for finding in _findings(project, chosen, asks_server=not no_server):
        _tell(finding, found, as_json)
    if ask_board and project is not None and chosen is not None:
        for finding in _on_board(chosen, project, without_main):
            _tell(finding, found, as_json)
    if as_json:
        echo_result(found)
    wrong = sum(finding.state is State.WRONG for finding in found)
    if wrong:
        raise BenchError(
            f"{wrong} of {len(found)} checks found something wrong", cure="do what is said beside each")


def _findings(project: Project | None, port: str | None, *, asks_server: bool) -> Iterator[Diagnosis]:
    yield from check_tools()
    yield from check_port(port)
    latest = [0]
    server_s = None
    if project is None:
        yield warning("project", "no slotbench.toml here or above", "slotbench init NAME")
    else:
        yield all_well("project", f"{project.path}: {project.product} for {project.board}")
        yield from check_files(project)
        offered: Head | None = None
        for finding, head in check_heads(project, now(), latest):
            yield finding
            offered = head if head is not None and head.channel == project.channel else offered
        if (address := check_server_address(project)) is not None:
            yield address
        if project.server is not None and asks_server:
            answer = ask_site(project.server, project.product, project.channel, offered)
            server_s = answer.server_s
            yield answer.finding
    yield check_clock(now(), max(latest), server_s)


def _on_board(port: str, project: Project, without_main: bool) -> list[Diagnosis]:
    found: list[Diagnosis] = []
    with as_finding("board", found):
        stop_application(port, without_main=without_main)
        try:
            found.extend(check_board(Mpremote(port), port, project))
        finally:
            start_application(port)
    return found


def _tell(finding: Diagnosis, found: list[Diagnosis], as_json: bool) -> None:
    found.append(finding)
    if as_json:
        return
    echo_colored(f"{finding.state:8} {finding.check}: {finding.what}", _COLORS[finding.state], sys.stdout)
    if finding.cure:
        click.echo(f"{'':8}   {finding.cure}")
