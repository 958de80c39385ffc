"""`slotbench prove`: the claims of the documents, checked on virtual boards."""

from __future__ import annotations

import os

import click

from slotbench.cli.lazy_group import LazyGroup
from slotbench.errors import USAGE, BenchError
from slotbench.interrupts import stopping_on_interrupt

_VERBS = {
    "Proofs": {
        "powercut": ("slotbench.cli.prove_powercut:powercut", "No cut of power bricks a board."),
        "network": ("slotbench.cli.prove_network:network", "A lost connection costs one block at most."),
        "fleet": ("slotbench.cli.prove_fleet:fleet", "A fleet ends on what it was offered."),
        "field": ("slotbench.cli.prove_field:field", "Stories of years: no board needs a person."),
        "updaters": (
            "slotbench.cli.prove_updaters:updaters", "Cut power: hobby updaters beside twoslot."),
        "fuzz": ("slotbench.cli.prove_fuzz:fuzz", "No input breaks a parser."),
        "push": ("slotbench.cli.prove_push:push", "How long a push takes."),
        "servers": ("slotbench.cli.prove_servers:servers", "Servers of one site, side by side."),
        "memory": ("slotbench.cli.prove_memory:memory", "What twoslot takes from the heap."),
        "chip": ("slotbench.cli.prove_chip:chip", "The whole story on real firmware."),
        "suite": ("slotbench.cli.prove_suite:suite", "MicroPython's own tests, on the chip and the VM."),
        "programs": ("slotbench.cli.prove_programs:programs", "What people's programs find on each VM."),
    },
}


@click.group(cls=LazyGroup, sections=_VERBS)
@click.pass_context
def prove(ctx: click.Context) -> None:
    """Check the claims of the documents on virtual boards."""
    if not hasattr(os, "fork"):
        raise BenchError(
            "the proofs need a system that can copy a process", where="fork()",
            cure="run them on Linux or macOS, or on Windows inside WSL 2", exit_code=USAGE)
    ctx.with_resource(stopping_on_interrupt())
