"""`slotbench prove`: the claims of the documents, checked on virtual boards."""

from __future__ import annotations

import os

import click

from slotbench.cli.prove_chip import chip
from slotbench.cli.prove_field import field
from slotbench.cli.prove_fleet import fleet
from slotbench.cli.prove_fuzz import fuzz
from slotbench.cli.prove_memory import memory
from slotbench.cli.prove_network import network
from slotbench.cli.prove_powercut import powercut
from slotbench.cli.prove_push import push
from slotbench.errors import USAGE, BenchError
from slotbench.interrupts import stopping_on_interrupt


@click.group()
@click.pass_context
def prove(ctx: click.Context) -> None:
    """Check the claims of the documents on virtual boards."""
    if not hasattr(os, "fork"):
        raise BenchError(
            "the proofs need a system that can copy a process", where="fork()",
            cure="run them on Linux or macOS, or on Windows inside WSL 2", exit_code=USAGE)
    ctx.with_resource(stopping_on_interrupt())


for _proof in (powercut, network, fleet, field, fuzz, push, memory, chip):
    prove.add_command(_proof)
