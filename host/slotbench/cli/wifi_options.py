"""Wi-Fi on the command line: the names of networks, and their passwords, which are never on it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import click

from slotbench.cli.passwords import read_lines
from slotbench.errors import USAGE, BenchError
from slotbench.repl.transports import ReplTransport
from slotbench.repl.wifi import WifiNetwork, refusal, try_network

__all__ = ["asked_networks", "try_networks", "wifi_options"]

_F = TypeVar("_F", bound=Callable[..., Any])
_VARIABLES = ("SLOTBENCH_WIFI_PASSWORD", "SLOTBENCH_WIFI_FALLBACK_PASSWORD")


def wifi_options(command: _F) -> _F:
    """Add --wifi, --wifi-fallback and --wifi-password-fd."""
    for option in (
        click.option(
            "--wifi-password-fd", type=click.IntRange(0), metavar="N",
            help="Read the password from this file descriptor, that of the fallback from its second line."),
        click.option(
            "--wifi-fallback", metavar="SSID",
            help="Network to take when the server is out of reach through the other one."),
        click.option(
            "--wifi", metavar="SSID",
            help=f"Have the board join this network, and remember it; you are asked for the password "
                 f"(or ${_VARIABLES[0]})."),
    ):
        command = option(command)
    return command


def asked_networks(wifi: str | None, fallback: str | None, descriptor: int | None) -> list[WifiNetwork]:
    """The networks of these options, with their passwords. Raises BenchError, UsageError."""
    if wifi is None:
        if fallback is not None or descriptor is not None:
            raise click.UsageError("--wifi-fallback and --wifi-password-fd need --wifi SSID")
        return []
    lines = iter(read_lines(descriptor, "--wifi-password-fd")) if descriptor is not None else None
    names = [name for name in (wifi, fallback) if name is not None]
    return [WifiNetwork(name, _password(name, variable, lines)) for name, variable in zip(names, _VARIABLES)]


def try_networks(
    transport: ReplTransport, networks: list[WifiNetwork], server: str, port: str,
) -> None:
    """Have the board join each of them, the first one last. Raises BenchError if it cannot join that one."""
    for network in reversed(networks):
        is_fallback = network is not networks[0]
        click.echo(f"trying the Wi-Fi network {network.ssid!r}; up to 20 s")
        trial = try_network(transport, network, server, port)
        if not trial.is_up:
            problem = refusal(network, trial, port)
            if not is_fallback or trial.is_refused:
                raise problem
            click.echo(f"{problem.what}: it could not be tried", err=True)
            continue
        click.echo(f"  connected as {trial.address}, {trial.rssi} dBm")
        if trial.server_error:
            click.echo(
                f"  nothing answers at {server} yet (error {trial.server_error}): `slotbench ship FIRMWARE "
                "--serve` starts the server; if one runs, check address and firewall", err=True)


def _password(name: str, variable: str, lines: Iterator[str] | None) -> str:
    if lines is not None:
        return next(lines, "")
    given = os.environ.get(variable)
    if given is not None:
        return given
    if not sys.stdin.isatty():
        raise BenchError(
            f"no password for the Wi-Fi network {name!r}, and no terminal to ask on", where="--wifi",
            cure=f"set {variable}, or give it by --wifi-password-fd", exit_code=USAGE)
    return str(click.prompt(
        f"Password of the Wi-Fi network {name!r} (Enter: it is open)", hide_input=True, err=True, default="",
        show_default=False))
