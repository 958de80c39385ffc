"""`slotbench release publish`: a signed release or application goes into the served directory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
from click.core import ParameterSource

from slotbench.cli.image_file import read_image
from slotbench.cli.json_output import is_json, result_json_option
from slotbench.cli.key_options import load_key, passphrase_option
from slotbench.cli.parameter_types import PATH, integer, interval, name
from slotbench.cli.project_options import project_of, project_option
from slotbench.cli.published_head import (
    echo_application_patches, echo_head, echo_patches, notify_option, now, tell_boards,
)
from slotbench.errors import USAGE, BenchError
from slotbench.project import PATCHES_MAX
from slotbench.release import documents
from slotbench.release.application_patches import application_patches
from slotbench.release.applications import APPLICATION_SUFFIX, files_folder, read_written_bundle
from slotbench.release.keys import SigningKey
from slotbench.release.patches import PATCHES_USUAL, write_patches
from slotbench.release.publish import Rollout, publish_offer, refresh_heads, unusable_releases
from slotbench.release.repair import repair_site
from slotbench.release.store import Store


@click.command()
@click.argument("paths", type=PATH, nargs=-1, metavar="[FILE]... DIR")
@project_option(
    "--key", "key_path", field="online_key", type=PATH, required=True, help="The online key (.pem).")
@project_option(
    "--keys", "keys_path", field="keys", type=PATH, required=True, help="The product's keys file.")
@click.option(
    "--image", "image_paths", type=PATH, multiple=True, help="The firmware that was built; repeatable.")
@project_option("--channel", field="channel", type=name, default="stable", help="[default: stable]")
@click.option(
    "--percent", type=click.IntRange(0, 100), default=100, show_default=True,
    help="Percentage of the boards.")
@click.option(
    "--cohort", "cohorts", type=name, multiple=True,
    help="Cohort that gets it regardless of --percent; repeatable.")
@project_option(
    "--patches", field="patches", type=click.IntRange(0, PATCHES_MAX), default=PATCHES_USUAL, metavar="N",
    help="Have patches from so many before it; 0: none.  [default: 3]")
@click.option("--paused", is_flag=True, help="Publish it paused: no board begins the update.")
@click.option(
    "--days", type=click.IntRange(1, 3650), default=30, show_default=True,
    help="Until the head expires.")
@click.option(
    "--interval", "interval_s", type=interval, metavar="SECONDS",
    help="Seconds between two checks of a board, 60-604800; 0: its own setting.  [default: as the last head]")
@click.option(
    "--allow-older", is_flag=True,
    help="Its counter may be below that of the channel's head, and its firmware may lack what that has.")
@click.option("--refresh", is_flag=True, help="Sign all heads of the product in DIR again.")
@click.option(
    "--repair", "is_repair", is_flag=True,
    help="The same where heads in DIR are damaged, missing, old, or of a wrong time.")
@click.option(
    "--above", type=integer, metavar="SEQ",
    help="With --repair: the head seq that `slotbench status` shows on a board.")
@notify_option
@passphrase_option
@result_json_option
@click.pass_context
def publish(
    ctx: click.Context, paths: tuple[Path, ...], key_path: Path, keys_path: Path,
    image_paths: tuple[Path, ...], channel: str, percent: int, cohorts: tuple[str, ...],
    paused: bool, days: int, interval_s: int | None, allow_older: bool, refresh: bool, is_repair: bool,
    above: int | None, broker: str | None, passphrase_file: Path | None, patches: int,
) -> None:
    """Publish the signed FILE, a release or an application, in the directory DIR and point the channel's
    head at it. A release and an application that are given together switch and fall back together.

    \b
    Example: slotbench release publish sensor-7.release www --image firmware.bin \\
                 --key keys/online.pem --keys keys/sensor.keys
             slotbench release publish sensor-app-3.application www \\
                 --key keys/online.pem --keys keys/sensor.keys
    From a timer: slotbench release publish --refresh www --key keys/online.pem --keys keys/sensor.keys

    `slotbench release upload` copies DIR to a static host or an object store.

    What was published is written down beside the keys, in PRODUCT.published: keep it with them.
    """
    whole_site = "--refresh" if refresh else "--repair" if is_repair else None
    if whole_site:
        _refuse_beside(ctx, whole_site)
    project = project_of(ctx)
    if project is not None and (not paths if whole_site else bool(paths) and paths[-1].is_file()):
        paths = (*paths, project.site)
    if not (len(paths) == 1 if whole_site else 2 <= len(paths) <= 3):
        if project is not None and paths and not paths[-1].exists():
            raise BenchError("no such file", where=str(paths[-1]), cure="check the path", exit_code=USAGE)
        raise click.UsageError(f"give DIR with {whole_site or '--refresh'}, FILE and DIR without", ctx)
    release, application = (None, None) if whole_site else _parts(paths[:-1], ctx)
    if release is not None and not image_paths:
        raise click.UsageError("Missing option '--image'", ctx)
    if above is not None and not is_repair:
        raise click.UsageError("--above needs --repair", ctx)
    store = Store(paths[-1])
    key = load_key(key_path, passphrase_file)
    if refresh:
        _refresh(store, keys_path, key, days)
        return
    if is_repair:
        _repair(store, keys_path, key, days, above or 0)
        return
    images = [read_image(path) for path in image_paths]
    rollout = Rollout(percent=percent, cohorts=cohorts, paused=paused, days=days, interval_s=interval_s)
    if release is not None:
        keys = documents.read_keys(keys_path)[1]
        echo_patches(write_patches(store, keys, documents.read_release(release, keys)[1], images, patches))
    bundle = read_written_bundle(files_folder(application)) if application is not None else None
    if application is not None and bundle is not None:
        keys = documents.read_keys(keys_path)[1]
        signed = documents.read_application(application, keys)[1]
        echo_application_patches(application_patches(store, keys, signed, bundle))
    head = publish_offer(
        store, keys_path, key, now(), channel=channel, rollout=rollout, allow_older=allow_older,
        release=(release, images) if release is not None else None,
        application=(application, bundle) if application is not None and bundle is not None else None)
    echo_head(head, store)
    tell_boards(broker, head)


def _parts(paths: Sequence[Path], ctx: click.Context) -> tuple[Path | None, Path | None]:
    """The release and the application of these files."""
    applications = [path for path in paths if path.suffix == APPLICATION_SUFFIX]
    releases = [path for path in paths if path not in applications]
    if max(len(applications), len(releases)) > 1:
        raise click.UsageError("give one release, or one application, or one of each", ctx)
    return next(iter(releases), None), next(iter(applications), None)


def _refresh(store: Store, keys_path: Path, key: SigningKey, days: int) -> None:
    heads = refresh_heads(store, keys_path, key, now(), days=days)
    for head in heads:
        echo_head(head, store)
    left = unusable_releases(store, documents.read_keys(keys_path)[1], heads)
    cure = f"sign it with a key of {keys_path} and publish it again"
    _require_nothing_left([f"{what}; {cure}" for what in left])


def _repair(store: Store, keys_path: Path, key: SigningKey, days: int, above: int) -> None:
    repair = repair_site(store, keys_path, key, now(), days=days, above=above)
    for what in repair.mended:
        click.echo(what, err=is_json())
    for head in repair.heads:
        echo_head(head, store)
    _require_nothing_left(repair.left)


def _require_nothing_left(left: Sequence[str]) -> None:
    """Raise BenchError for the last of these; the others are printed as errors too."""
    for what in left[:-1]:
        click.echo(f"slotbench: {what}", err=True)
    if left:
        what, _, cure = left[-1].partition("; ")
        raise BenchError(what, cure=cure)


def _refuse_beside(ctx: click.Context, whole_site: str) -> None:
    allowed = {
        "paths", "key_path", "keys_path", "days", "passphrase_file", "above", "json",
        "refresh" if whole_site == "--refresh" else "is_repair"}
    for param in ctx.command.params:
        given = ctx.get_parameter_source(str(param.name)) is ParameterSource.COMMANDLINE
        if given and param.name not in allowed:
            raise click.UsageError(f"{param.opts[0]} does not go with {whole_site}", ctx)
