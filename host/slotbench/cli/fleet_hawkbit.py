"""`slotbench fleet hawkbit`: the devices that speak hawkBit's DDI, and their tokens."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from slotbench.cli.fleet_database import database_option, opened_database
from slotbench.cli.fleet_removal import removal
from slotbench.cli.json_output import echo_result, json_option
from slotbench.cli.lazy_group import LazyGroup
from slotbench.cli.parameter_types import name
from slotbench.cli.project_options import project_option
from slotbench.cli.published_head import now

_HERE = "slotbench.cli.fleet_hawkbit"
_VERBS = {
    "Devices": {
        "add": (f"{_HERE}:add", "Make the token of one device."),
        "gateway": (f"{_HERE}:gateway", "Make a token for all devices behind a gateway."),
        "list": (f"{_HERE}:list_", "List the tokens, and what devices said of themselves."),
        "remove": (f"{_HERE}:remove", "Take a token away."),
        "retry": (f"{_HERE}:retry", "Offer a device again what it gave up."),
    },
}


@click.group(cls=LazyGroup, sections=_VERBS)
def hawkbit() -> None:
    """Admit devices that speak hawkBit's DDI. `slotbench serve --hawkbit` answers them."""


def _making(kind: str, words: str, metavar: str) -> click.Command:
    """The verb that makes a token of this kind."""

    @click.command("add" if kind == "target" else kind, help=words)
    @click.argument("label", metavar=metavar)
    @project_option("--product", field="product", type=name, required=True, help="Whose releases.")
    @project_option("--channel", field="channel", type=name, default="stable", help="[default: stable]")
    @database_option
    @json_option
    @click.pass_context
    def verb(
        ctx: click.Context, label: str, product: str, channel: str, database: str | None, as_json: bool,
    ) -> None:
        with opened_database(ctx, database) as opened:
            from slotbench.fleet.audit_log import Actor
            from slotbench.fleet.ddi.device_tokens import TokenKind, make_device_token

            with opened.writing() as connection:
                made = make_device_token(
                    connection, Actor.of_command_line(), now(), TokenKind(kind), label, product, channel)
        if as_json:
            echo_result({"label": label, "kind": kind, "product": product, "channel": channel, "token": made})
            return
        click.echo(made)
        click.echo(f"The {kind} token of {label} for {product}/{channel}, shown this once", err=True)

    return verb


add = _making(
    "target", "Make the token of DEVICE, and show it. Only a hash is kept: it cannot be shown again.\n\n"
    "Example: slotbench fleet hawkbit add press-1", "DEVICE")
gateway = _making(
    "gateway", "Make a token for all devices behind the gateway NAME, and show it this once. Whoever has it "
    "speaks for any device id that no board has.\n\nExample: slotbench fleet hawkbit gateway hall", "NAME")


@click.command("list")
@database_option
@json_option
@click.pass_context
def list_(ctx: click.Context, database: str | None, as_json: bool) -> None:
    """List the tokens, never what they are, and the devices that polled."""
    with opened_database(ctx, database) as opened:
        from slotbench.fleet.ddi.device_tokens import list_device_tokens
        from slotbench.fleet.ddi.targets import list_targets

        with opened.reading() as connection:
            tokens, targets = list_device_tokens(connection), list_targets(connection)
    if as_json:
        echo_result({"tokens": tokens, "devices": targets})
        return
    for each in tokens:
        since = f"{datetime.fromtimestamp(each.created, UTC):%Y-%m-%d}"
        click.echo(f"{each.label}  {each.kind} token  {each.product}/{each.channel}  since {since}")
    for target in targets:
        said = ", ".join(f"{key} {value!r}" for key, value in sorted(target.attributes.items()))
        click.echo(f"{target.device_id}  runs counter {target.running}  {said}".rstrip())
    if not tokens:
        click.echo("No device may ask yet: slotbench fleet hawkbit add DEVICE")


remove = removal(
    "label", "NAME", "slotbench.fleet.ddi.device_tokens:remove_device_token",
    "Take the token of the device or gateway NAME away. It is answered nothing from then on.")


@click.command()
@click.argument("device", metavar="DEVICE")
@database_option
@json_option
@click.pass_context
def retry(ctx: click.Context, device: str, database: str | None, as_json: bool) -> None:
    """Offer DEVICE the releases again that it reported as failed, or declined: at its next poll."""
    with opened_database(ctx, database) as opened:
        from slotbench.fleet.audit_log import Actor
        from slotbench.fleet.ddi.targets import offer_again

        with opened.writing() as connection:
            number = offer_again(connection, Actor.of_command_line(), now(), device)
    if as_json:
        echo_result({"device": device, "releases": number})
        return
    click.echo(f"{device}: {number} {'release' if number == 1 else 'releases'} may be offered again")
