"""The board at a serial port against the project: settings, keys, and its way to the server."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from slotbench import boards
from slotbench.doctor.findings import Diagnosis, all_well, warning, wrong
from slotbench.formats.keys import pack_pinned
from slotbench.project import Project
from slotbench.release import documents
from slotbench.repl.board_content import BoardContent, read_board
from slotbench.repl.transports import ReplTransport, parse_reports

__all__ = ["check_board"]

_SETTINGS: Final = ("product", "board", "channel", "server")
_REACH: Final = """\
import network, socket
w = network.WLAN(network.STA_IF)
e = -1
if w.isconnected():
    s = socket.socket()
    s.settimeout(5)
    try:
        s.connect(socket.getaddrinfo(%(host)r, %(port)d)[0][-1])
        e = 0
    except OSError as error:
        e = error.args[0] or 1
    s.close()
print("@twoslot", ("reach", w.ifconfig()[0], e))
"""


def check_board(transport: ReplTransport, port: str, project: Project) -> Iterator[Diagnosis]:
    """What is on the board, and whether it reaches its server. Its program is stopped meanwhile.

    Raises BenchError if the board does not answer, or is not one for twoslot.
    """
    found = read_board(transport, port)
    version = ".".join(map(str, found.version))
    if not found.settings:
        yield warning("board", f"{port}: MicroPython {version}, without twoslot", "slotbench deploy")
        return
    yield all_well("board", f"{port}: MicroPython {version}, with twoslot")
    yield from _check_loader(found, project)
    yield from _check_settings(found, project)
    yield from _check_keys(found, project)
    server = str(found.settings.get("server", ""))
    place = urlsplit(server)
    script = _REACH % {"host": place.hostname or "", "port": place.port or 80}
    said = parse_reports(transport.run_script(script))
    _, address, error = next(fact for fact in said if fact[0] == "reach")
    if error == -1:
        yield wrong("board's network", "the board is in no Wi-Fi network", "slotbench deploy --wifi SSID")
    elif error:
        yield wrong(
            "board's network", f"the board, {address}, gets no connection to {server} (error {error})",
            "start the server; let its port through the firewall; give it an address of the board's network")
    else:
        yield all_well("board's network", f"the board, {address}, reaches {server}")


def _check_loader(found: BoardContent, project: Project) -> Iterator[Diagnosis]:
    wanted = boards.load(project.board)
    if found.has_loader == wanted.has_loader:
        return
    if wanted.has_loader:
        yield wrong(
            "loader", f"the board has no loader, and {wanted.name} is a board with one",
            "slotbench flash --from-stock; or, for applications alone, board = \"generic_4m_stock\" in "
            "slotbench.toml (1 MB: esp01s_1m)")
    else:
        yield wrong(
            "loader", f"the board has the loader, and {wanted.name} is a board without it",
            "name it otherwise in slotbench.toml, such as board = \"d1_mini\"")


def _check_settings(found: BoardContent, project: Project) -> Iterator[Diagnosis]:
    wanted = {
        "product": project.product, "board": boards.load(project.board).name, "channel": project.channel,
        "server": project.server}
    other = [
        f"{key} is {found.settings.get(key)!r}, the project's {wanted[key]!r}" for key in _SETTINGS
        if wanted[key] is not None and found.settings.get(key) != wanted[key]]
    if other:
        yield wrong("settings", f"on the board {'; '.join(other)}", "slotbench deploy")
    else:
        yield all_well("settings", "the board's settings are the project's")


def _check_keys(found: BoardContent, project: Project) -> Iterator[Diagnosis]:
    pinned = hashlib.sha256(pack_pinned(documents.read_keys(project.keys)[0].pack())).hexdigest()
    if "twoslot.keys" not in found.hashes:
        yield wrong("board's keys", "no keys are pinned: it takes no release", "slotbench deploy")
    elif pinned not in (found.hashes.get("twoslot.keys"), found.hashes.get("twoslot.keys2")):
        yield warning(
            "board's keys", "its keys are of another epoch than the project's, or of another product",
            "it follows over the air if they were rotated; else: slotbench deploy")
    else:
        yield all_well("board's keys", "the board has the project's keys")
