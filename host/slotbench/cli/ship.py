"""`slotbench ship`: a firmware, a program, or both are tried, signed and published, in one go."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from slotbench import boards
from slotbench.application.bundle import Bundle
from slotbench.cli import preflight
from slotbench.cli.application_options import (
    application_options,
    bundle_fields,
    read_bundle,
    say_bundle,
    warn_of_secrets,
)
from slotbench.cli.image_file import read_firmware
from slotbench.cli.json_output import echo_result, json_option
from slotbench.cli.key_options import load_key, passphrase_option
from slotbench.cli.parameter_types import PATH, integer, name
from slotbench.cli.project_options import project_of, project_option
from slotbench.cli.published_head import (
    echo_application_patches, echo_head, echo_patches, notify_option, now, tell_boards,
)
from slotbench.cli.questions import agrees
from slotbench.doctor.findings import State
from slotbench.doctor.site_url import ask_site
from slotbench.errors import BenchError
from slotbench.formats.head import Head
from slotbench.formats.keys import Role
from slotbench.formats.release import Preflight
from slotbench.images import identify
from slotbench.project import PATCHES_MAX, Project
from slotbench.prove.chip.no_preflight import reason_for_none
from slotbench.release import application_shipping, documents, shipping
from slotbench.release.application_patches import application_patches
from slotbench.release.application_shipping import ApplicationShipment
from slotbench.release.expiry import warn_of_expiry
from slotbench.release.files import require_output
from slotbench.release.patches import PATCHES_USUAL
from slotbench.release.shipping import ReleasePaths, Shipment, Stage
from slotbench.release.sign import check_role
from slotbench.release.store import Store

if TYPE_CHECKING:
    from slotbench.cli.site_server import SiteServer

_RELEASES = "releases"
_NEXT = "boards install it at their next check; have one do it now: slotbench update"


@click.command()
@click.argument("firmware", type=PATH, nargs=-1, metavar="[FIRMWARE | USER1 USER2]")
@application_options
@click.option("--no-app", is_flag=True, help="The firmware alone, though slotbench.toml names a program.")
@click.option(
    "--for", "for_path", type=PATH, metavar="FIRMWARE",
    help="Firmware that boards run, to compile and try the program for.  [default: what is offered]")
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
@click.option(
    "--serve", "serves", is_flag=True,
    help="Then serve the site until Ctrl-C, with the cockpit, as `serve` does.")
@click.option("--open", "opens", is_flag=True, help="With --serve: open the cockpit in the browser.")
@click.option("--dry-run", is_flag=True, help="Show the plan; write nothing.")
@click.option("--yes", is_flag=True, help="Do not ask before it begins.")
@project_option("--product", field="product", type=name, required=True, help="Product it is for.")
@project_option(
    "--board", "board_names", field="board", multiple=True, required=True, metavar="BOARD",
    help="Board it may run on: a name or a .toml file; repeatable.")
@project_option(
    "--channel", field="channel", type=name, default="stable", help="Channel that offers it.  [stable]")
@project_option(
    "--patches", field="patches", type=click.IntRange(0, PATCHES_MAX), default=PATCHES_USUAL, metavar="N",
    help="Have patches from so many before it; 0: none.  [default: 3]")
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
    firmware: tuple[Path, ...], app: Path | None, no_app: bool, as_source: bool, brings_twoslot: bool,
    data: int, needs: int | None, not_secret: tuple[str, ...], for_path: Path | None, is_tried: bool,
    serves: bool, opens: bool, dry_run: bool, yes: bool, board_names: tuple[str, ...], site: Path,
    keys_path: Path, offline_key: Path, online_key: Path, broker: str | None, passphrase_file: Path | None,
    as_json: bool, fs_upgrade: bool, patches: int, **fields: Any,
) -> None:
    """Build, try, sign and publish a firmware .bin, a program, or both, so that boards are offered it.

    The plan is shown before anything is written, and the counter counts up by itself. After an
    interruption or a refusal, run the same command again: what is done is not done twice.

    With --app your program travels: boards switch to it on trial, and fall back by themselves. With a
    firmware too, both switch and fall back together.

    \b
    Example: slotbench ship firmware.bin
             slotbench ship --app app --version 1.4
             slotbench ship firmware.bin --app app --percent 10 --serve
    """
    if serves and as_json:
        raise click.UsageError("--serve goes on until Ctrl-C: it has no JSON")
    if opens and not serves:
        raise click.UsageError("--open needs --serve")
    app = None if no_app else app
    if not firmware and app is None:
        raise click.UsageError("give a firmware .bin, or --app DIR with your program, or both")
    images = [read_firmware(path) for path in firmware]
    target_boards = [boards.load(name) for name in board_names]
    if as_json and not (yes or dry_run):
        raise click.UsageError("--json asks nothing: add --yes or --dry-run")
    ctx = click.get_current_context()
    project = project_of(ctx)
    releases = project.releases if project is not None else Path(_RELEASES)
    paths = ReleasePaths(site=Store(site), keys_path=keys_path, releases=releases)
    beneath = None
    if app is not None:
        beneath = _firmware_beneath(for_path, images, paths, fields["channel"])
    bundle = _bundle_of(app, beneath, as_source, not_secret, brings_twoslot)

    def plan() -> _ShipPlan:
        return _plan(
            images, bundle, beneath, paths, boards=target_boards, fs_upgrade=fs_upgrade, data=data,
            needs=needs, patches=patches, **fields)

    planned = plan()
    reasons = planned.reasons(is_tried)
    if not as_json:
        _say_plan(planned, reasons, firmware, (offline_key, online_key))
    if bundle is not None:
        warn_of_secrets(bundle)
    server = _served(project, site, opens) if serves and not dry_run else None
    head = planned.last
    if not planned.is_done and not dry_run:
        if not agrees(yes):
            click.echo("nothing was written")
            ctx.exit(1)
        with redirect_stdout(sys.stderr) if as_json else nullcontext():
            head = _carry_out(planned, plan, reasons, passphrase_file, (offline_key, online_key), patches)
            tell_boards(broker, head)
    elif not as_json:
        _say_nothing_done(planned.last, serves, dry_run)
    if as_json:
        echo_result(_fields(planned, head, dry_run))
    elif server is not None:
        server.serve()
    elif project is not None and project.server is not None and head is not None and not dry_run:
        _ask_server(project.server, head)


def _served(project: Project | None, site: Path, opens: bool) -> SiteServer:
    from slotbench.cli.cockpit_server import project_server

    return project_server(project, site, opens=opens)


def _say_nothing_done(last: Head | None, serves: bool, dry_run: bool) -> None:
    """Say why nothing was done, and what boards do."""
    click.echo("dry run: nothing was written" if dry_run else "nothing is left to do")
    if last is not None and not serves:
        warn_of_expiry(last, now())
    if not dry_run:
        click.echo(_NEXT if serves else f"{_NEXT}; serve it: slotbench serve")


def _bundle_of(
    app: Path | None, beneath: bytes | None, as_source: bool, not_secret: Sequence[str], brings_twoslot: bool,
) -> Bundle | None:
    """The bundle of the program, None without one."""
    if app is not None:
        return read_bundle(app, beneath, as_source, not_secret, brings_twoslot=brings_twoslot)
    if brings_twoslot:
        raise click.UsageError("--twoslot needs --app DIR: it goes on trial with a program")
    return None


def _firmware_beneath(
    for_path: Path | None, images: Sequence[bytes], paths: ReleasePaths, channel: str,
) -> bytes | None:
    """The firmware that a program is compiled and tried for: what is named, shipped or offered; or None."""
    if for_path is not None:
        return read_firmware(for_path)
    if images:
        return images[0]
    keys = documents.read_keys(paths.keys_path)[1]
    found = application_shipping.channel_firmware(paths.site, keys, channel)
    return found[1] if found is not None else None


@dataclass(frozen=True, slots=True)
class _ShipPlan:
    """What is to be done with a firmware, with a program, or with both. `beneath` is the firmware that the
    program is tried under, None where none is known.
    """

    firmware: Shipment | None
    program: ApplicationShipment | None
    beneath: bytes | None

    @property
    def parts(self) -> list[Shipment | ApplicationShipment]:
        """What is there of both."""
        return [part for part in (self.firmware, self.program) if part is not None]

    @property
    def product(self) -> str:
        """The product."""
        part = self.parts[0]
        return part.release.product if isinstance(part, Shipment) else part.application.product

    @property
    def last(self) -> Head | None:
        """The head of the channel as it is."""
        return self.parts[0].last

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do."""
        return all(part.is_done for part in self.parts)

    def reasons(self, is_tried: bool) -> tuple[Preflight | None, Preflight | None]:
        """Why there will be no preflight of the firmware, and of the program; None: there is one."""
        boards = self.parts[0].boards
        firmware: Preflight | None = Preflight.SKIPPED
        if is_tried and self.firmware is not None:
            firmware = reason_for_none(boards[0], self.firmware.images[0])
        return firmware, preflight.reason_for_no_program(self.beneath, boards[0], is_tried)

    def stages(self) -> list[tuple[Path, Stage]]:
        """What another command would change meanwhile."""
        return [(part.path, part.stage) for part in self.parts]


def _plan(
    images: Sequence[bytes], bundle: Bundle | None, beneath: bytes | None, paths: ReleasePaths, *,
    fs_upgrade: bool, data: int, needs: int | None, counter: int | None, floor: int, patches: int,
    **fields: Any,
) -> _ShipPlan:
    """The plan. --counter and --floor are those of the firmware where there are both."""
    firmware = shipping.plan_shipment(
        images, paths, now=now(), fs_upgrade=fs_upgrade, counter=counter, floor=floor, patches=patches,
        **fields,
    ) if images else None
    program = application_shipping.plan_application(
        bundle, paths, now=now(), data=data, needs=needs, counter=None if images else counter,
        floor=0 if images else floor, firmware=firmware.release if firmware is not None else None,
        patches=patches, **fields,
    ) if bundle is not None else None
    return _ShipPlan(firmware, program, beneath)


def _ask_server(server: str, head: Head) -> None:
    """Say whether the boards' server offers this head, asked as a board would."""
    found = ask_site(server, head.product, head.channel, head).finding
    if found.state is State.OK:
        click.echo(found.what)
    else:
        click.echo(f"{found.what}; {found.cure}", err=True)


def _carry_out(
    planned: _ShipPlan, plan: Callable[[], _ShipPlan], reasons: tuple[Preflight | None, Preflight | None],
    passphrase_file: Path | None, key_paths: tuple[Path, Path], patches: int,
) -> Head:
    """Do what is planned. The passphrases come first: a mistake in one costs no preflight."""
    paths, firmware, program = planned.parts[0].paths, planned.firmware, planned.program
    keys = documents.read_keys(paths.keys_path)[1]
    typed: list[bytes] = []
    offline = None
    if any(part.stage in (Stage.NEW, Stage.BUILT) for part in planned.parts):
        offline = load_key(key_paths[0], passphrase_file, typed)
        check_role(offline, keys, Role.OFFLINE)
    online = load_key(key_paths[1], passphrase_file, typed)
    check_role(online, keys, Role.ONLINE)
    with shipping.only_one(paths):
        if plan().stages() != planned.stages():
            raise BenchError(
                "another command published meanwhile", where=str(paths.site.root),
                cure="run the same command again, for a new plan")
        if firmware is not None and firmware.stage is Stage.NEW:
            require_output(firmware.path)
            result = reasons[0] if reasons[0] is not None else preflight.run_for(
                firmware.images, firmware.boards, wanted=True, fs_version=firmware.release.fs_version,
                beside=firmware.path)
            shipping.write_release(firmware, result)
        if program is not None and program.stage is Stage.NEW:
            require_output(program.path)
            result = reasons[1] if reasons[1] is not None else preflight.run_for_program(
                program.bundle, planned.beneath, program.boards, wanted=True, beside=program.path)
            application_shipping.write_application(program, result)
        if offline is not None and firmware is not None and firmware.stage in (Stage.NEW, Stage.BUILT):
            shipping.sign(firmware, offline)
        if offline is not None and program is not None and program.stage in (Stage.NEW, Stage.BUILT):
            application_shipping.sign_application(program, offline)
        if firmware is not None:
            echo_patches(shipping.add_patches(firmware, patches))
        if program is not None:
            signed = documents.read_application(program.path, keys)[1]
            echo_application_patches(application_patches(paths.site, keys, signed, program.bundle))
        head = application_shipping.publish_together(firmware, program, online, now())
    echo_head(head, paths.site)
    click.echo(_NEXT)
    return head


def _say_plan(
    planned: _ShipPlan, reasons: tuple[Preflight | None, Preflight | None], files: tuple[Path, ...],
    key_paths: tuple[Path, Path],
) -> None:
    if planned.firmware is not None:
        click.echo(f"{', '.join(map(str, files))}: {identify(planned.firmware.images[0]).title}")
        release = planned.firmware.release
        _say_steps(
            planned.firmware, f"{release.version}, counter {release.counter}", reasons[0], key_paths[0])
    if planned.program is not None:
        say_bundle(planned.program.bundle, planned.program.boards)
        made = planned.program.application
        none_known = "no firmware is known; give --for FIRMWARE" if planned.beneath is None else ""
        _say_steps(
            planned.program, f"{made.version}, application counter {made.counter}", reasons[1], key_paths[0],
            none_known)
    last = planned.last
    if planned.is_done:
        assert last is not None
        click.echo(f"  publish    done before: {last.channel} offers it to {last.audience()}")
        return
    newest = next((part for part in reversed(planned.parts) if not part.is_done), planned.parts[0])
    before = f"offered until now: {f'{last.content()} for {last.audience()}' if last else 'nothing'}"
    share = newest.rollout
    who = f"{share.percent} % of the boards" + (f" and {', '.join(share.cohorts)}" if share.cohorts else "")
    why = f" ({newest.why})" if newest.why else ""
    click.echo(f"  publish    in {newest.paths.site.root} with {key_paths[1]}: "
               f"{newest.channel} offers it to {who}{why}; {before}")


def _say_steps(
    part: Shipment | ApplicationShipment, version: str, reason: Preflight | None, key_path: Path,
    left_out: str = "",
) -> None:
    """The steps of a firmware, or of a program, up to its signature."""
    made = part.release if isinstance(part, Shipment) else part.application
    is_new = part.stage is Stage.NEW
    click.echo(f"plan: {made.product} {version}, for {', '.join(made.boards)}")
    for board in part.boards:
        if board.bench_only:
            click.echo(f"  {board.name} is {boards.BENCH_ONLY}")
    words = {
        Stage.NEW: str(part.path), Stage.BUILT: f"{part.path}, done before",
        Stage.SIGNED: f"{part.path}, done before", Stage.OFFERED: "done before"}
    click.echo(f"  build      {words[part.stage]}")
    if is_new and reason is not None:
        why = left_out or preflight.words_for(reason).removeprefix("no preflight: ")
        click.echo(f"  preflight  left out: {why}")
    else:
        click.echo(f"  preflight  {'on the emulated chip, for a minute or two' if is_new else 'done before'}")
    is_signed = part.stage in (Stage.SIGNED, Stage.OFFERED)
    click.echo(f"  sign       {'done before' if is_signed else f'with {key_path}'}")


def _fields(planned: _ShipPlan, head: Head | None, dry_run: bool) -> dict[str, object]:
    firmware, program = planned.firmware, planned.program
    release = firmware.release if firmware is not None else None
    return {
        "product": planned.product,
        "channel": planned.parts[0].channel,
        "version": release.version if release is not None else None,
        "counter": release.counter if release is not None else None,
        "stage_before": firmware.stage if firmware is not None else None,
        "release": firmware.path.as_posix() if firmware is not None else None,
        "application": None if program is None else {
            "version": program.application.version, "counter": program.application.counter,
            "stage_before": program.stage, "file": program.path.as_posix(), **bundle_fields(program.bundle)},
        "is_dry_run": dry_run, "changed": not planned.is_done and not dry_run, "head": head}
