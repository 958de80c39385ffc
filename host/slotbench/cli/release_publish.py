"""`slotbench release publish`: a signed release goes into the served directory."""

from __future__ import annotations

from pathlib import Path

import click
from click.core import ParameterSource

from slotbench.cli.image_file import read_image
from slotbench.cli.key_options import load_key, passphrase_option
from slotbench.cli.parameter_types import PATH, interval, name
from slotbench.cli.published_head import echo_head, notify_option, now, tell_boards
from slotbench.release.publish import Rollout
from slotbench.release.publish import publish_release
from slotbench.release.publish import refresh_heads
from slotbench.release.store import Store


@click.command()
@click.argument("paths", type=PATH, nargs=-1, metavar="[FILE] DIR")
@click.option("--key", "key_path", type=PATH, required=True, help="The online key (.pem).")
@click.option("--keys", "keys_path", type=PATH, required=True, help="The product's keys file.")
@click.option(
    "--image", "image_paths", type=PATH, multiple=True, help="The firmware that was built; repeatable.")
@click.option("--channel", type=name, default="stable", show_default=True)
@click.option(
    "--percent", type=click.IntRange(0, 100), default=100, show_default=True,
    help="Percentage of the boards.")
@click.option(
    "--cohort", "cohorts", type=name, multiple=True,
    help="Cohort that gets it regardless of --percent; repeatable.")
@click.option("--paused", is_flag=True, help="Publish it paused: no board begins the update.")
@click.option(
    "--days", type=click.IntRange(1, 3650), default=30, show_default=True,
    help="Until the head expires.")
@click.option(
    "--interval", "interval_s", type=interval, metavar="SECONDS",
    help="Seconds between two checks of a board, 60-604800; 0: its own setting.  [default: as the last head]")
@click.option(
    "--allow-older", is_flag=True, help="The counter may be below that of the channel's head.")
@click.option("--refresh", is_flag=True, help="Sign all heads of the product in DIR again.")
@notify_option
@passphrase_option
@click.pass_context
def publish(
    ctx: click.Context, paths: tuple[Path, ...], key_path: Path, keys_path: Path,
    image_paths: tuple[Path, ...], channel: str, percent: int, cohorts: tuple[str, ...],
    paused: bool, days: int, interval_s: int | None, allow_older: bool, refresh: bool, broker: str | None,
    passphrase_file: Path | None,
) -> None:
    """Publish the signed release FILE in the directory DIR and point the channel's head at it.

    \b
    Example: slotbench release publish sensor-7.release www --image firmware.bin \\
                 --key keys/online.pem --keys keys/sensor.keys
    From a timer: slotbench release publish --refresh www --key keys/online.pem --keys keys/sensor.keys
    """
    if refresh:
        _refuse_beside_refresh(ctx)
    if len(paths) != (1 if refresh else 2):
        raise click.UsageError("give DIR with --refresh, FILE and DIR without", ctx)
    if not refresh and not image_paths:
        raise click.UsageError("Missing option '--image'", ctx)
    store = Store(paths[-1])
    key = load_key(key_path, passphrase_file)
    if refresh:
        for head in refresh_heads(store, keys_path, key, now(), days=days):
            echo_head(head, store)
        return
    images = [read_image(path) for path in image_paths]
    rollout = Rollout(percent=percent, cohorts=cohorts, paused=paused, days=days, interval_s=interval_s)
    head = publish_release(
        store, paths[0], keys_path, images, key, now(),
        channel=channel, rollout=rollout, allow_older=allow_older)
    echo_head(head, store)
    tell_boards(broker, head)


def _refuse_beside_refresh(ctx: click.Context) -> None:
    allowed = {"paths", "key_path", "keys_path", "days", "refresh", "passphrase_file"}
    for param in ctx.command.params:
        given = ctx.get_parameter_source(str(param.name)) is ParameterSource.COMMANDLINE
        if given and param.name not in allowed:
            raise click.UsageError(f"{param.opts[0]} does not go with --refresh", ctx)
