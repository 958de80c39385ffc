"""`slotbench release`: from a firmware image to a signed release on a server, and its rollout."""

from __future__ import annotations

import click

from slotbench.cli.lazy_group import LazyGroup

_VERBS = {
    "From a firmware to the boards": {
        "build": ("slotbench.cli.release_build:build", "Make an unsigned release of a firmware."),
        "sign": ("slotbench.cli.release_sign:sign", "Sign a release with an offline key."),
        "publish": ("slotbench.cli.release_publish:publish", "Publish a signed release; renew heads."),
        "upload": ("slotbench.cli.release_upload:upload", "Copy a site to a host or an object store."),
        "notify": ("slotbench.cli.release_notify:notify", "Have a broker tell boards to check now."),
    },
    "Rollout": {
        "promote": ("slotbench.cli.release_promote:promote", "Offer a release to more boards."),
        "pause": ("slotbench.cli.release_pause:pause", "Stop offering an update to further boards."),
        "resume": ("slotbench.cli.release_resume:resume", "Offer it again."),
        "withdraw": ("slotbench.cli.release_withdraw:withdraw", "Go back to the release before."),
    },
    "Look": {
        "list": ("slotbench.cli.release_list:list_", "List releases, and which boards get them."),
        "show": ("slotbench.cli.release_show:show", "Say what a file is."),
    },
}


@click.group(cls=LazyGroup, sections=_VERBS)
def release() -> None:
    """Build, sign, publish, roll out and look at releases."""
