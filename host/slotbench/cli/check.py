"""`slotbench check`: a connected board checks for a release."""

from __future__ import annotations

import re

import click

from slotbench.cli.board_prompt import CHECK_S, port_option, type_call, without_main_option
from slotbench.cli.json_output import echo_result, json_option

_OFFER = re.compile(r"twoslot: (?P<version>.*) \(counter (?P<counter>\d+), (?P<bytes>\d+) bytes\) is offered")


@click.command()
@port_option
@without_main_option
@json_option
def check(port: str, without_main: bool, as_json: bool) -> None:
    """Have a connected board check for a release now, and say what is offered.

    Nothing changes on the board. Its application is stopped before and started again afterwards.
    """
    said = type_call(port, "twoslot.check()", CHECK_S, without_main=without_main, quiet=as_json)
    if as_json:
        offer = _OFFER.search(said)
        echo_result({
            "offered": offer and {
                "version": offer["version"], "counter": int(offer["counter"]), "bytes": int(offer["bytes"])},
            "said": said.splitlines()})
