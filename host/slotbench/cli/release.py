"""`slotbench release`: from a firmware image to a signed release on a server, and its rollout."""

from __future__ import annotations

<<<<<<< HEAD
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

=======
>>>>>>> 503cefcbe22b6de4b118eda00ef3e87ea604720a
import click

<<<<<<< HEAD
from slotbench import boards
from slotbench.cli import preflight
from slotbench.cli import rollout as rollout_verbs
from slotbench.cli.common import (
    PATH,
    echo_head,
    integer,
    interval,
    load_key,
    name,
    notify_option,
    now,
    passphrase_option,
    tell_boards,
)
from slotbench.errors import BenchError
from slotbench.formats.release import Preflight, Release
from slotbench.release import documents
from slotbench.release.build import build as build_release
from slotbench.release.build import parse_image
from slotbench.release.describe import PREFLIGHT_WORDS, describe
from slotbench.release.files import read_bytes, write_atomic
from slotbench.release.publish import Rollout
from slotbench.release.publish import publish as publish_release
from slotbench.release.publish import refresh as refresh_heads
from slotbench.release.sign import sign_file
from slotbench.release.store import Store

_IMAGE_BYTES_MAX = 16 * 1024 * 1024
=======
from slotbench.cli.release_build import build
from slotbench.cli.release_list import list_
from slotbench.cli.release_notify import notify
from slotbench.cli.release_pause import pause
from slotbench.cli.release_promote import promote
from slotbench.cli.release_publish import publish
from slotbench.cli.release_resume import resume
from slotbench.cli.release_show import show
from slotbench.cli.release_sign import sign
from slotbench.cli.release_withdraw import withdraw
>>>>>>> 503cefcbe22b6de4b118eda00ef3e87ea604720a


@click.group()
def release() -> None:
    """Build, sign, publish, roll out and look at releases."""


for _verb in (build, sign, publish, show, promote, pause, resume, withdraw, notify, list_):
    release.add_command(_verb)
<<<<<<< HEAD


@release.command()
@click.argument("firmware", type=PATH, nargs=-1, required=True, metavar="FIRMWARE | USER1 USER2")
@click.option("--product", type=name, required=True, help="Product the firmware is for.")
@click.option(
    "--board", "board_names", multiple=True, required=True, metavar="BOARD",
    help="Board it may run on: a name or a .toml file; repeatable.")
@click.option(
    "--channel", "channels", type=name, multiple=True, default=("stable",), show_default=True,
    help="Channel it may appear in; repeatable.")
@click.option("--counter", type=integer, required=True, help="Order of releases: higher is newer.")
@click.option("--version", help="For people, up to 16 characters.  [default: MicroPython's]")
@click.option(
    "--fs-start", type=integer, help="Flash offset of its filesystem.  [default: from the image]")
@click.option(
    "--fs-version", type=integer, help="littlefs disk version it writes.  [default: by MicroPython's]")
@click.option("--fs-upgrade", is_flag=True, help="A newer littlefs than the fallback's is meant.")
@click.option("--mpy-abi", type=integer, help=".mpy version it imports.  [default: by MicroPython's]")
@click.option(
    "--floor", type=integer, default=0, help="Once confirmed, boards never go below this counter.")
@click.option("--notes", default="", help="Up to 200 characters for people.")
@click.option(
    "--preflight/--no-preflight", "is_tried", default=True, show_default=True,
    help="Start it on the emulated chip first.")
@click.option("-o", "--output", type=PATH, metavar="FILE", help="[default: PRODUCT-COUNTER.release]")
def build(
    firmware: tuple[Path, ...], board_names: tuple[str, ...], is_tried: bool, output: Path | None, **fields: Any,
) -> None:
    """Check a firmware .bin for every board named and write the release, not signed yet.

    Boards with an in-place map take two files, linked for slot A and slot B. A MicroPython firmware is started
    on the emulated chip; how that went travels with the release, and its details lie beside it.

    \b
    Example: slotbench release build firmware.bin --product sensor --board d1_mini --counter 7
    """
    images = [read_bytes(path, _IMAGE_BYTES_MAX) for path in firmware]
    target_boards = [boards.load(name) for name in board_names]
    for path, data in zip(firmware, images):
        with documents.naming(path):
            parse_image(data)
    made = build_release(*images, boards=target_boards, created=now(), **fields)
    path = output or Path(f"{made.product}-{made.counter}.release")
    result = preflight.run_for(
        images, target_boards, wanted=is_tried, fs_version=made.fs_version, beside=path)
    made = replace(made, preflight=result)
    write_atomic(path, made.to_payload() + b"\n")
    if result is Preflight.FAILED:
        raise BenchError(
            "its preflight failed, so it cannot be signed", where=str(path),
            do=f"mend the firmware; details are in {preflight.details_path(path)}")
    click.echo(f"{path}: {made.product} {made.version}, counter {made.counter}; sign it next")
    for board in target_boards:
        if board.bench_only:
            click.echo(f"{board.name}: {boards.BENCH_ONLY}")
    if result is not Preflight.PASSED:
        click.echo(preflight.words_for(result))


@release.command()
@click.argument("file", type=PATH)
@click.option("--key", "key_path", type=PATH, required=True, help="An offline key (.pem).")
@click.option("--keys", "keys_path", type=PATH, help="The product's keys file, to check the key against.")
@passphrase_option
def sign(file: Path, key_path: Path, keys_path: Path | None, passphrase_file: Path | None) -> None:
    """Sign a release in place with an offline key.

    Example: slotbench release sign sensor-7.release --key keys/offline.pem --keys keys/sensor.keys
    """
    keys = documents.read_keys(keys_path)[1] if keys_path else None
    signed = sign_file(file, load_key(key_path, passphrase_file), keys)
    result = Release.from_payload(signed.payload).preflight
    if result is not Preflight.PASSED:
        click.echo(f"{file}: {PREFLIGHT_WORDS[result]}")
    click.echo(f"{file}: signed by key {signed.key_id}; publish it next")


@release.command()
@click.argument("paths", type=PATH, nargs=-1, metavar="[FILE] DIR")
@click.option("--key", "key_path", type=PATH, required=True, help="The online key (.pem).")
@click.option("--keys", "keys_path", type=PATH, required=True, help="The product's keys file.")
@click.option(
    "--image", "image_paths", type=PATH, multiple=True, help="The firmware that was built; repeatable.")
@click.option("--channel", type=name, default="stable", show_default=True)
@click.option(
    "--percent", type=click.IntRange(0, 100), default=100, show_default=True, help="Of the boards.")
@click.option(
    "--cohort", "cohorts", type=name, multiple=True,
    help="Gets it whatever --percent says; repeatable.")
@click.option("--paused", is_flag=True, help="Nobody begins this update.")
@click.option(
    "--days", type=click.IntRange(1, 3650), default=30, show_default=True,
    help="Until the head expires.")
@click.option(
    "--interval", "interval_s", type=interval, metavar="SECONDS",
    help="Between two looks of a board, 60-604800; 0: as each is set.  [default: as the last head says]")
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
    """Put the signed release FILE into the directory DIR and point the channel's head at it.

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
    images = [read_bytes(path, _IMAGE_BYTES_MAX) for path in image_paths]
    rollout = Rollout(percent=percent, cohorts=cohorts, paused=paused, days=days, interval_s=interval_s)
    head = publish_release(
        store, paths[0], keys_path, images, key, now(),
        channel=channel, rollout=rollout, allow_older=allow_older)
    echo_head(head, store)
    tell_boards(broker, head)


@release.command()
@click.argument("file", type=PATH)
@click.option("--keys", "keys_path", type=PATH, help="The product's keys file, to check the signature.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of words.")
def show(file: Path, keys_path: Path | None, as_json: bool) -> None:
    """Say what FILE is: a release, head or keys document, or a firmware .bin.

    Example: slotbench release show www/heads/sensor/stable.head --keys keys/sensor.keys
    """
    keys = documents.read_keys(keys_path)[1] if keys_path else None
    described = describe(file, keys)
    if as_json:
        click.echo(json.dumps(described.fields, indent=2))
        return
    click.echo(f"{file}: {described.title}")
    width = max(len(label) for label, _ in described.lines)
    for label, words in described.lines:
        click.echo(f"  {label:{width}}  {words}")


def _refuse_beside_refresh(ctx: click.Context) -> None:
    allowed = {"paths", "key_path", "keys_path", "days", "refresh", "passphrase_file"}
    for param in ctx.command.params:
        given = ctx.get_parameter_source(str(param.name)) is ParameterSource.COMMANDLINE
        if given and param.name not in allowed:
            raise click.UsageError(f"{param.opts[0]} does not go with --refresh", ctx)
=======
>>>>>>> 503cefcbe22b6de4b118eda00ef3e87ea604720a
