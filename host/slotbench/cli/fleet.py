"""`slotbench fleet`: the boards that proved to a server who they are, and rollouts that watch them."""

from __future__ import annotations

import click

from slotbench.cli.lazy_group import LazyGroup

_VERBS = {
    "Boards": {
        "list": ("slotbench.cli.fleet_list:list_", "List boards: search, filter, count."),
        "show": ("slotbench.cli.fleet_show:show", "Tell one board's life."),
        "name": ("slotbench.cli.fleet_name:name", "Give a board a name and a place."),
        "install": ("slotbench.cli.fleet_install:install", "Have one board update now."),
    },
    "The cockpit": {
        "audit": ("slotbench.cli.fleet_audit:audit", "List who did what, and when."),
        "token": ("slotbench.cli.fleet_token:token", "Make and take away logins."),
        "webhook": ("slotbench.cli.fleet_webhook:webhook", "Tell programs elsewhere what happens."),
    },
    "hawkBit": {
        "hawkbit": ("slotbench.cli.fleet_hawkbit:hawkbit", "Admit devices that speak hawkBit's DDI."),
        "follow": ("slotbench.cli.fleet_follow:follow", "Publish what a hawkBit server assigns."),
    },
    "Rollouts": {
        "rollout": ("slotbench.cli.fleet_rollout:rollout", "Offer a release in steps that are watched."),
        "run": ("slotbench.cli.fleet_run:run", "Sign what rollouts need, until Ctrl-C."),
    },
}


@click.group(cls=LazyGroup, sections=_VERBS)
def fleet() -> None:
    """Look after the boards that ask a server: which they are, and what they run."""
