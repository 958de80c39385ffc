"""`slotbench release`: from a firmware image to a signed release on a server, and its rollout."""

from __future__ import annotations

import click

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


@click.group()
def release() -> None:
    """Build, sign, publish, roll out and look at releases."""


for _verb in (build, sign, publish, show, promote, pause, resume, withdraw, notify, list_):
    release.add_command(_verb)
