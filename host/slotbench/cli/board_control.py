"""Requests to a virtual board that runs in another terminal, over its control socket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from slotbench.vboard.live.control_socket import request_facts
from slotbench.vboard.live.folder import BoardFolder


def state_line(facts: dict[str, Any]) -> str:
    """One line that says what a board is doing, from its status."""
    seconds = facts["time_ms"] // 1000
    line = f"{facts['state']} at {seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02} of its time"
    if facts["slot"] is not None:
        version, why = facts["version"] or "unknown version", facts["why"].replace("_", " ")
        if why == "trial" and facts.get("confirmed"):
            why = "trial, confirmed"
        line += f": slot {facts['slot']}, {version}, counter {facts['counter']} ({why})"
    if facts["update"]:
        done, blocks = facts["blocks"]
        line += f"; update: {facts['update']}" + (f", {done} of {blocks} blocks in place" if blocks else "")
    return line


def counts_line(facts: dict[str, Any]) -> str:
    """One line of what a board has done since it was started."""
    received, operations = facts["received_bytes"], facts["operations"]
    boots = facts["boots"]
    return (f"{boots} boot{'' if boots == 1 else 's'}, {operations} flash operations, "
            f"{received} bytes received")


def send_request(folder: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Send a request to the board that runs in `folder`; what it prints is printed. Raises
    BenchError.
    """
    path = BoardFolder.open(folder).socket_path
    return request_facts(path, request, lambda text: click.echo(text, nl=False))
