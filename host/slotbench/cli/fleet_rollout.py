"""`slotbench fleet rollout`: rollouts that go on by themselves, and stop by themselves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from slotbench.cli.fleet_database import database_option, opened_database
from slotbench.cli.json_output import echo_result, json_option
from slotbench.cli.lazy_group import LazyGroup
from slotbench.cli.parameter_types import PATH, name
from slotbench.cli.project_options import ProjectArgument, project_option
from slotbench.cli.published_head import now
from slotbench.cli.signer_options import chosen_signer, signer_options
from slotbench.errors import USAGE, BenchError
from slotbench.release import documents

if TYPE_CHECKING:
    from slotbench.fleet.database import FleetDatabase
    from slotbench.fleet.rollout_store import RolloutView
    from slotbench.release.signer import HeadSigner

_HERE = "slotbench.cli.fleet_rollout"
_VERBS = {
    "Rollout": {
        "start": (f"{_HERE}:start", "Offer the channel's release in steps."),
        "pause": (f"{_HERE}:pause", "Let no more boards begin; continue later."),
        "resume": (f"{_HERE}:resume", "Go on; what failed so far is accepted."),
        "abort": (f"{_HERE}:abort", "Pause it for good."),
        "list": (f"{_HERE}:list_", "List rollouts, and what boards proved."),
    },
}


@click.group(cls=LazyGroup, sections=_VERBS)
def rollout() -> None:
    """Roll a release out in steps that are watched: failures and silence pause it."""


@click.command()
@click.argument("site", cls=ProjectArgument, field="site", type=PATH, metavar="[SITE]")
@project_option("--channel", field="channel", type=name, default="stable", help="[default: stable]")
@click.option("--steps", default="1,10,50,100", show_default=True, help="Percentages of the boards.")
@click.option("--soak", default="24h", show_default=True, help="How long a step is watched at least.")
@click.option(
    "--proven", type=click.IntRange(0, 100), default=80, show_default=True,
    help="Percentage of a step's boards that confirm it before the next step.")
@click.option(
    "--max-failed", type=click.IntRange(0, 100), default=5, show_default=True,
    help="Percentage of the boards that began; more failures pause it.")
@click.option(
    "--max-silent", type=click.IntRange(0, 100), default=10, show_default=True,
    help="The same for boards that fell silent.")
@click.option("--silence", default="1h", show_default=True, help="Silence of a board that began; it counts.")
@click.option("--cohort", "cohorts", type=name, multiple=True, help="Cohort that is in at once; repeatable.")
@click.option("--window", default="", metavar="HH:MM-HH:MM", help="Steps begin in these hours (UTC) only.")
@signer_options
@database_option
@json_option
@click.pass_context
def start(
    ctx: click.Context, site: Path, channel: str, steps: str, soak: str, proven: int, max_failed: int,
    max_silent: int, silence: str, cohorts: tuple[str, ...], window: str, keys_path: Path | None,
    key_path: Path | None, signer: str | None, passphrase_file: Path | None, database: str | None,
    as_json: bool,
) -> None:
    """Roll the release that the channel of SITE offers out in steps, or its program.

    Publish it to nobody first: slotbench ship firmware.bin --percent 0

    \b
    Example: slotbench fleet rollout start --steps 5,25,100 --soak 12h --window 22:00-05:00
    """
    required = _required_keys(keys_path)
    key = chosen_signer(keys_path, key_path, signer, passphrase_file, is_required=False)
    with opened_database(ctx, database) as opened:
        from slotbench.fleet.audit_log import Actor
        from slotbench.fleet.board_list import late_after
        from slotbench.fleet.rollout_plan import RolloutPlan, parse_duration, parse_steps
        from slotbench.fleet.rollout_runner import read_channel_head
        from slotbench.fleet.rollout_store import begin_rollout
        from slotbench.release.store import Store

        plan = RolloutPlan(
            steps=parse_steps(steps), soak_s=parse_duration(soak), proven=proven, failed=max_failed,
            silent=max_silent, silence_s=parse_duration(silence), cohorts=cohorts, window=window)
        product = documents.read_keys(required)[1].product
        head = read_channel_head(Store(site), product, channel)
        if head is None:
            raise BenchError(
                f"nothing is published for {product} in the channel {channel}", where=str(site),
                cure="publish a release to nobody first: slotbench ship firmware.bin --percent 0",
                exit_code=USAGE)
        with opened.writing() as connection:
            number = begin_rollout(
                connection, Actor.of_command_line(), now(), head, plan, late_after(connection))
        _tell(opened, number, site, keys_path, key, as_json)


def _asking(what: str) -> click.Command:
    """The verb that asks a rollout to pause, resume or abort."""

    @click.command(what, help=_HELP[what])
    @click.argument("site", cls=ProjectArgument, field="site", type=PATH, metavar="[SITE]")
    @click.option("--id", "number", type=int, metavar="NUMBER", help="Which one.  [default: the only one]")
    @signer_options
    @database_option
    @json_option
    @click.pass_context
    def verb(
        ctx: click.Context, site: Path, number: int | None, keys_path: Path | None, key_path: Path | None,
        signer: str | None, passphrase_file: Path | None, database: str | None, as_json: bool,
    ) -> None:
        key = chosen_signer(keys_path, key_path, signer, passphrase_file, is_required=False)
        with opened_database(ctx, database) as opened:
            from slotbench.fleet.audit_log import Actor
            from slotbench.fleet.rollout_store import ask_rollout

            with opened.writing() as connection:
                chosen = _only_rollout(opened) if number is None else number
                ask_rollout(connection, Actor.of_command_line(), now(), chosen, what)
            _tell(opened, chosen, site, keys_path, key, as_json)

    return verb


_HELP = {
    "pause": "Let no more boards begin the update of a rollout, until `resume`. Updates under way go on.",
    "resume": "Go on with a paused rollout. Failures and silence so far are accepted, and count no more.",
    "abort": "Pause a rollout for good. `slotbench release withdraw` offers the release before again."}
pause, resume, abort = (_asking(what) for what in _HELP)


@click.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=10, show_default=True, help="Most rollouts.")
@database_option
@json_option
@click.pass_context
def list_(ctx: click.Context, limit: int, database: str | None, as_json: bool) -> None:
    """List rollouts, the newest first."""
    with opened_database(ctx, database) as opened:
        from slotbench.fleet.board_list import late_after
        from slotbench.fleet.rollout_store import list_rollouts, rollout_evidence
        from slotbench.fleet.rollout_words import next_step_words

        with opened.reading() as connection:
            late_s = late_after(connection)
            found = [
                (view, rollout_evidence(connection, view, now(), late_s))
                for view in list_rollouts(connection, limit)]
    if as_json:
        echo_result([{"rollout": view, "evidence": evidence} for view, evidence in found])
        return
    for view, evidence in found:
        click.echo(
            f"{_line(view)}; of {evidence.known} boards {evidence.begun} began, "
            f"{evidence.confirmed} confirmed, {evidence.failed} failed, {evidence.silent} silent")
        if words := next_step_words(view, now()):
            click.echo(f"  {words}")
    if not found:
        click.echo("No rollout yet. Publish to nobody, then start one:")
        click.echo("  slotbench ship firmware.bin --percent 0")
        click.echo("  slotbench fleet rollout start")


def _only_rollout(database: FleetDatabase) -> int:
    from slotbench.fleet.rollout_store import open_rollouts

    with database.reading() as connection:
        found = [view.id for view in open_rollouts(connection)]
    if len(found) != 1:
        raise BenchError(
            f"{len(found)} rollouts are under way" if found else "no rollout is under way",
            cure="see `slotbench fleet rollout list`, and give --id NUMBER", exit_code=USAGE)
    return found[0]


def _required_keys(keys_path: Path | None) -> Path:
    if keys_path is None:
        raise click.UsageError("give --keys FILE: the keys file of the product")
    return keys_path


def _tell(
    database: FleetDatabase, number: int, site: Path, keys_path: Path | None, key: HeadSigner | None,
    as_json: bool,
) -> None:
    """Sign what is due, if that can be done here, and say where the rollout stands."""
    from slotbench.fleet.rollout_runner import RolloutRunner
    from slotbench.fleet.rollout_store import find_rollout

    if key is not None:
        runner = RolloutRunner(database, site, _required_keys(keys_path), key, now)
        runner.step()
        runner.leave()
    with database.reading() as connection:
        view = find_rollout(connection, number)
    assert view is not None
    if as_json:
        echo_result({"rollout": view, "signed_here": key is not None})
        return
    click.echo(_line(view))
    if key is None:
        click.echo("The process with the online key does it: `slotbench serve --sign`, `slotbench fleet run`")


def _line(view: RolloutView) -> str:
    what = f"rollout {view.id}: {view.product}/{view.channel} {view.content} is {view.state}"
    reason = f" ({view.reason})" if view.reason else ""
    return f"{what} at {view.percent} %{reason}"
