"""`slotbench ship`: a firmware is built into a release, tried, signed and published, in one go."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import Any

import click

from slotbench import boards
from slotbench.boards import BoardProfile
from slotbench.cli import preflight
from slotbench.cli.image_file import read_firmware
from slotbench.cli.json_output import echo_result, json_option
from slotbench.cli.key_options import load_key, passphrase_option
from slotbench.cli.parameter_types import PATH, integer, name
from slotbench.cli.project_options import project_of, project_option
from slotbench.cli.published_head import echo_head, echo_patches, notify_option, now, tell_boards
from slotbench.cli.questions import agrees
from slotbench.cli.site_server import SiteServer, listening_place
from slotbench.doctor.findings import State
from slotbench.doctor.site_url import ask_site
from slotbench.errors import BenchError
from slotbench.formats.head import Head
from slotbench.formats.keys import Role
from slotbench.formats.release import Preflight
from slotbench.images import identify
from slotbench.prove.chip.preflight import reason_for_none
from slotbench.release import documents, shipping
from slotbench.release.expiry import warn_of_expiry
from slotbench.release.files import require_output
from slotbench.release.patches import PATCHES_USUAL
from slotbench.release.shipping import ReleasePaths, Shipment, Stage
from slotbench.release.sign import check_role
from slotbench.release.store import Store

_RELEASES = "releases"
_NEXT = "boards install it at their next check; have one do it now: slotbench update"


@click.command()
@click.argument("firmware", type=PATH, nargs=-1, required=True, metavar="FIRMWARE | USER1 USER2")
@click.option("--version", help="Version shown to people, up to 16 characters.  [default: MicroPython's]")
@click.option(
    "--percent", type=click.IntRange(0, 100),
    help="Percentage of the boards.  [default: 100; as it is, if it is offered already]")
@click.option("--notes", default="", help="Up to 200 characters for people.")
@click.option(
    "--cohort", "cohorts", type=name, multiple=True,
    help="Cohort that gets it regardless of --percent; repeatable.")
@click.option("--counter", type=integer, help="Order of releases.  [default: one more than the last]")
@click.option(
    "--floor", type=integer, default=0, help="Once confirmed, boards never go below this counter.")
@click.option(
    "--fs-upgrade", is_flag=True, help="Accept a newer littlefs than the fallback release has.")
@click.option(
    "--preflight/--no-preflight", "is_tried", default=True, show_default=True,
    help="Start it on the emulated chip first.")
@click.option("--serve", "serves", is_flag=True, help="Then serve the site until Ctrl-C.")
@click.option("--dry-run", is_flag=True, help="Show the plan; write nothing.")
@click.option("--yes", is_flag=True, help="Do not ask before it begins.")
@project_option("--product", field="product", type=name, required=True, help="Product the firmware is for.")
@project_option(
    "--board", "board_names", field="board", multiple=True, required=True, metavar="BOARD",
    help="Board it may run on: a name or a .toml file; repeatable.")
@project_option(
    "--channel", field="channel", type=name, default="stable", help="Channel that offers it.  [stable]")
@click.option(
    "--patches", type=click.IntRange(0, 20), default=PATCHES_USUAL, metavar="N",
    help="Have patches from so many releases before it; 0: none.  [default: 3]")
@project_option("--site", field="site", type=PATH, required=True, help="The folder that is served.")
@project_option(
    "--keys", "keys_path", field="keys", type=PATH, required=True, help="The product's keys file.")
@project_option(
    "--offline-key", field="offline_key", type=PATH, required=True, help="An offline key, for the release.")
@project_option(
    "--online-key", field="online_key", type=PATH, required=True, help="The online key, for the head.")
@notify_option
@passphrase_option
@json_option
def ship(
    firmware: tuple[Path, ...], is_tried: bool, serves: bool, dry_run: bool, yes: bool,
    board_names: tuple[str, ...], site: Path, keys_path: Path, offline_key: Path, online_key: Path,
    broker: str | None, passphrase_file: Path | None, as_json: bool, patches: int, **fields: Any,
) -> None:
    """Build, try, sign and publish a firmware .bin, so that boards are offered it.

    The plan is shown before anything is written, and the counter counts up by itself. After an
    interruption or a refusal, run the same command again: what is done is not done twice.

    \b
    Example: slotbench ship firmware.bin
             slotbench ship firmware.bin --version 1.3 --percent 10 --serve
    """
    if serves and as_json:
        raise click.UsageError("--serve goes on until Ctrl-C: it has no JSON")
    images = [read_firmware(path) for path in firmware]
    target_boards = [boards.load(name) for name in board_names]
    if as_json and not (yes or dry_run):
        raise click.UsageError("--json asks nothing: add --yes or --dry-run")
    ctx = click.get_current_context()
    project = project_of(ctx)
    releases = project.releases if project is not None else Path(_RELEASES)
    paths = ReleasePaths(site=Store(site), keys_path=keys_path, releases=releases)

    def plan() -> Shipment:
        return shipping.plan_shipment(
            images, paths, boards=target_boards, now=now(), patches=patches, **fields)

    planned = plan()
    reason = _reason_for_no_preflight(planned, target_boards, is_tried)
    if not as_json:
        _say_plan(planned, reason, firmware, (offline_key, online_key))
    server = None
    if serves and not dry_run:
        server = SiteServer.listen(site, listening_place(project, None, None), project=project)
    head = planned.last
    if not planned.is_done and not dry_run:
        if not agrees(yes):
            click.echo("nothing was written")
            ctx.exit(1)
        with redirect_stdout(sys.stderr) if as_json else nullcontext():
            head = _carry_out(planned, plan, reason, passphrase_file, (offline_key, online_key), patches)
            tell_boards(broker, head)
    elif not as_json:
        click.echo("dry run: nothing was written" if dry_run else "nothing is left to do")
        if planned.last is not None and not serves:
            warn_of_expiry(planned.last, now())
        if not dry_run:
            click.echo(_NEXT if serves else f"{_NEXT}; serve it: slotbench serve")
    if as_json:
        echo_result(_fields(planned, head, dry_run))
    elif server is not None:
        server.serve()
    elif project is not None and project.server is not None and head is not None and not dry_run:
        _ask_server(project.server, head)


def _ask_server(server: str, head: Head) -> None:
    """Say whether the boards' server offers this head, asked as a board would."""
    found = ask_site(server, head.product, head.channel, head).finding
    if found.state is State.OK:
        click.echo(found.what)
    else:
        click.echo(f"{found.what}; {found.cure}", err=True)


def _carry_out(
    planned: Shipment, plan: Callable[[], Shipment], reason: Preflight | None, passphrase_file: Path | None,
    key_paths: tuple[Path, Path], patches: int,
) -> Head:
    """Do what is planned. The passphrases come first: a mistake in one costs no preflight."""
    keys = documents.read_keys(planned.paths.keys_path)[1]
    typed: list[bytes] = []
    offline = None
    if planned.stage in (Stage.NEW, Stage.BUILT):
        offline = load_key(key_paths[0], passphrase_file, typed)
        check_role(offline, keys, Role.OFFLINE)
    online = load_key(key_paths[1], passphrase_file, typed)
    check_role(online, keys, Role.ONLINE)
    with shipping.only_one(planned.paths):
        again = plan()
        if (again.release.counter, again.stage) != (planned.release.counter, planned.stage):
            raise BenchError(
                "another command published meanwhile", where=str(planned.paths.site.root),
                cure="run the same command again, for a new plan")
        if planned.stage is Stage.NEW:
            require_output(planned.path)
            result = reason if reason is not None else preflight.run_for(
                planned.images, planned.boards, wanted=True, fs_version=planned.release.fs_version,
                beside=planned.path)
            shipping.write_release(planned, result)
        if offline is not None:
            shipping.sign(planned, offline)
        echo_patches(shipping.add_patches(planned, patches))
        head = shipping.publish(planned, online, now())
    echo_head(head, planned.paths.site)
    click.echo(_NEXT)
    return head


def _reason_for_no_preflight(
    planned: Shipment, targets: list[BoardProfile], is_tried: bool,
) -> Preflight | None:
    """Why there will be no preflight; None: there is one."""
    return reason_for_none(targets[0], planned.images[0]) if is_tried else Preflight.SKIPPED


def _say_plan(
    planned: Shipment, reason: Preflight | None, files: tuple[Path, ...], key_paths: tuple[Path, Path],
) -> None:
    release, last = planned.release, planned.last
    is_new = planned.stage is Stage.NEW
    click.echo(f"{', '.join(map(str, files))}: {identify(planned.images[0]).title}")
    click.echo(f"plan: {release.product} {release.version}, counter {release.counter}, "
               f"for {', '.join(release.boards)}")
    for board in planned.boards:
        if board.bench_only:
            click.echo(f"  {board.name} is {boards.BENCH_ONLY}")
    words = {
        Stage.NEW: str(planned.path), Stage.BUILT: f"{planned.path}, done before",
        Stage.SIGNED: f"{planned.path}, done before", Stage.OFFERED: "done before"}
    click.echo(f"  build      {words[planned.stage]}")
    if is_new and reason is not None:
        click.echo(f"  preflight  left out: {preflight.words_for(reason).removeprefix('no preflight: ')}")
    else:
        click.echo(f"  preflight  {'on the emulated chip, for a minute or two' if is_new else 'done before'}")
    is_signed = planned.stage in (Stage.SIGNED, Stage.OFFERED)
    click.echo(f"  sign       {'done before' if is_signed else f'with {key_paths[0]}'}")
    if planned.is_done:
        assert last is not None
        click.echo(f"  publish    done before: {last.channel} offers it to {last.audience()}")
        return
    before = f"offered until now: {f'counter {last.counter} for {last.audience()}' if last else 'nothing'}"
    share = planned.rollout
    who = f"{share.percent} % of the boards" + (f" and {', '.join(share.cohorts)}" if share.cohorts else "")
    why = f" ({planned.why})" if planned.why else ""
    click.echo(f"  publish    in {planned.paths.site.root} with {key_paths[1]}: "
               f"{planned.channel} offers it to {who}{why}; {before}")


def _fields(planned: Shipment, head: Head | None, dry_run: bool) -> dict[str, object]:
    release = planned.release
    return {
        "product": release.product, "version": release.version, "counter": release.counter,
        "channel": planned.channel, "stage_before": planned.stage, "is_dry_run": dry_run,
        "changed": not planned.is_done and not dry_run, "release": planned.path.as_posix(),
        "head": head}
