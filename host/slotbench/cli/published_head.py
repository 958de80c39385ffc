"""What verbs that sign a head share: their options, and what they print once it is published."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from slotbench.cli.json_output import add_result, is_json, result_json_option
from slotbench.cli.key_options import load_key, passphrase_option
from slotbench.cli.parameter_types import PATH, mqtt_broker, name
from slotbench.cli.project_options import ProjectArgument, project_option
from slotbench.formats.head import Head
from slotbench.release.application_patches import ApplicationPatch
from slotbench.release.notify import notify_boards
from slotbench.release.patches import WrittenPatch
from slotbench.release.rollout import Channel
from slotbench.release.store import Store

_F = TypeVar("_F", bound=Callable[..., Any])


def notify_option(command: _F) -> _F:
    """Add --notify, for `tell_boards`."""
    return click.option(
        "--notify", "broker", type=mqtt_broker, metavar="BROKER[:PORT]",
        help="MQTT broker that tells boards to check now.",
    )(command)


def tell_boards(broker: str | None, head: Head) -> None:
    """Publish the head's seq at the broker, if one is named. Raises BenchError; the head stays
    published.
    """
    if broker is None:
        return
    notify_boards(broker, head)
    click.echo(f"{broker}: boards of {head.product}/{head.channel} are told to check", err=is_json())


def echo_head(head: Head, store: Store) -> None:
    """Say what a channel offers now."""
    if is_json():
        add_result("heads", head)
        return
    what = f"{head.product}/{head.channel} is {head.content()} for {head.audience()}"
    click.echo(f"{store.root}: {what}, head seq {head.seq}")


def echo_patches(patches: Sequence[WrittenPatch]) -> None:
    """Say what a release costs the boards that can use a patch."""
    for patch in patches:
        start = "image, deflated" if patch.counter is None else f"patch from counter {patch.counter}"
        click.echo(f"{start}: {patch.length} bytes, {100 * patch.length / patch.whole:.1f} % of the image",
                   err=is_json())


def echo_application_patches(patches: Sequence[ApplicationPatch]) -> None:
    """Say what an application costs the boards that can use a patch."""
    for patch in patches:
        start = "program, deflated" if patch.counter is None else f"patch from application {patch.counter}"
        files = f"{patch.files} file" + "s" * (patch.files > 1)
        click.echo(
            f"{start}: {len(patch.data)} bytes in place of {patch.whole} in {files}", err=is_json())


def now() -> int:
    """Unix seconds. The release verbs read the clock here only, and pass the time on as an
    argument.
    """
    return int(time.time())


def head_options(command: _F) -> _F:
    """Add what every verb that changes a rollout takes."""
    options = (
        click.argument("site", cls=ProjectArgument, field="site", type=PATH, metavar="[SITE]"),
        project_option(
            "--channel", field="channel", type=name, default="stable", help="[default: stable]"),
        project_option(
            "--key", "key_path", field="online_key", type=PATH, required=True,
            help="The online key (.pem)."),
        project_option(
            "--keys", "keys_path", field="keys", type=PATH, required=True, help="The product's keys file."),
        click.option(
            "--days", type=click.IntRange(1, 3650), default=30, show_default=True,
            help="Until the head expires."),
        notify_option,
        passphrase_option,
        result_json_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


def opened_channel(
    site: Path, keys_path: Path, key_path: Path, passphrase_file: Path | None, channel: str,
) -> Channel:
    """The channel of these options. Raises BenchError."""
    return Channel(Store(site), keys_path, load_key(key_path, passphrase_file), channel)
