"""`slotbench init`: a project folder, with keys, a site, and slotbench.toml that says where they are."""

from __future__ import annotations

import os
import re
from pathlib import Path
from unicodedata import normalize

import click

from slotbench import boards
from slotbench.addresses import is_this_machine, own_address
from slotbench.cli.key_options import new_passphrase, passphrase_option
from slotbench.cli.parameter_types import PATH, name, server_url
from slotbench.cli.published_head import now
from slotbench.errors import USAGE, BenchError
from slotbench.formats import FormatError
from slotbench.formats.fields import NAME_CHARS_MAX, check_name
from slotbench.project import PROJECT_FILE, Project, find_project, load_project, project_text
from slotbench.release.files import require_writable, write_atomic
from slotbench.release.project_keys import complete_keys
from slotbench.serial_port import usb_ports

_SERVER_PORT = 8266
_MEGABYTE = 0x100000
_NEXT = (
    "slotbench flash firmware.bin          puts the loader and the firmware onto the board",
    "slotbench deploy --wifi SSID          puts twoslot onto it, and your network",
    "slotbench ship firmware.bin --serve   offers a release, and goes on serving it",
    "slotbench update                      in another terminal: has the board install it",
    "slotbench status                      says what runs",
)
_NEXT_WITHOUT_LOADER = (
    "slotbench flash firmware.bin                puts the firmware onto the board",
    "slotbench deploy --app app --wifi SSID      puts twoslot onto it, your program, your network",
    "slotbench ship --app app --serve            offers your program, and goes on serving it",
    "slotbench update                            in another terminal: has the board install it",
    "slotbench status                            says what runs",
)
_KEPT_OUT = "# Git keeps these out: whoever has them can update your boards.\n*.pem\nidentities.json\n.lock\n"


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="PRODUCT")
@click.option(
    "--board", "board_name", metavar="NAME",
    help=f"Kind of board: {', '.join(boards.names())}, or a .toml file.  [default: d1_mini]")
@click.option("--channel", type=name, help="Channel of the releases.  [default: stable]")
@click.option(
    "--server", type=server_url, metavar="URL",
    help="Where boards ask for releases.  [default: this computer, port 8266]")
@click.option("--port", metavar="PORT", help="Serial port of the board.  [default: the one that is there]")
@click.option(
    "--folder", type=PATH, default=".", metavar="DIR", help="Folder of the project.  [default: this one]")
@passphrase_option
def init(
    words: tuple[str, ...], board_name: str | None, channel: str | None, server: str | None,
    port: str | None, folder: Path, passphrase_file: Path | None,
) -> None:
    """Make this folder the project of PRODUCT: its keys, an empty site, and slotbench.toml.

    Verbs that run in the folder, or below it, take from slotbench.toml what is not on their command
    line. After an interruption, run the same command again: it makes what is missing.

    \b
    Example: slotbench init lamp
             slotbench init lamp --board nodemcu --server http://192.168.1.10:8266
    """
    product = _product(words)
    if board_name is not None:
        board_name = _board_value(boards.load(board_name).name, board_name, folder)
    given = {"product": product, "board": board_name, "channel": channel, "server": server, "port": port}
    path = folder / PROJECT_FILE
    project = _existing(path, {key: value for key, value in given.items() if value is not None})
    if project is None:
        _refuse_inside_another(folder)
        _require_folder(folder)
        found = {
            **given, "board": board_name or "d1_mini", "channel": channel or "stable",
            "server": server or f"http://{own_address()}:{_SERVER_PORT}",
            "port": port if port is not None else _only_port()}
        places = {
            "site": "site", "keys": f"keys/{product}.keys", "offline_key": "keys/offline.pem",
            "online_key": "keys/online.pem"}
        text = project_text(found | places)
        keys_folder = folder / "keys"
        made = complete_keys(
            folder / places["keys"], folder / places["offline_key"], folder / places["online_key"], product,
            now(), lambda: new_passphrase(passphrase_file), folder / places["site"]).made
        if not (keys_folder / ".gitignore").exists():
            write_atomic(keys_folder / ".gitignore", _KEPT_OUT.encode())
        (folder / "site").mkdir(exist_ok=True)
        # Written last: where it is, the rest is complete.
        write_atomic(path, text.encode())
        project = load_project(path)
        _say_made(made)
    else:
        made = complete_keys(
            project.keys, project.offline_key, project.online_key, product, now(),
            lambda: new_passphrase(passphrase_file), project.site).made
        project.site.mkdir(parents=True, exist_ok=True)
        _say_made(made)
        click.echo(
            f"{path}: {product} is a project already; "
            + ("what was missing was made" if made else "nothing was changed"))
    _say_next(project)


def _say_made(made: tuple[Path, ...]) -> None:
    for each in made:
        click.echo(f"{each}: {_use(each)}")


def _product(words: tuple[str, ...]) -> str:
    """The name of the product. A refusal suggests one that would do."""
    text = " ".join(words)
    try:
        return check_name(text, "PRODUCT")
    except FormatError as error:
        letters = normalize("NFKD", text.casefold()).encode("ascii", "ignore").decode()
        close = re.sub(r"[^a-z0-9_]+", "-", letters).strip("-")[:NAME_CHARS_MAX].strip("-")
        cure = f"slotbench init {close}" if close else error.cure
        raise BenchError(
            f"{error.what}, and boards and releases carry it", cure=cure, exit_code=USAGE) from None


def _board_value(board: str, given: str, folder: Path) -> str:
    """The field `board`: a name, or the path of a file as seen from the project."""
    return board if given in boards.names() else Path(os.path.relpath(given, folder)).as_posix()


def _existing(path: Path, given: dict[str, str]) -> Project | None:
    """The project that is in the folder already. Raises BenchError if it is another one than this."""
    if not path.exists():
        return None
    project = load_project(path)
    if project.product != given["product"]:
        raise BenchError(
            f"this folder is the project {project.product}", where=project.where("product"),
            cure=f"give {given['product']} a folder of its own: --folder ../{given['product']}",
            exit_code=USAGE)
    for key, value in given.items():
        has = getattr(project, key)
        if str(has) != value and str(path.parent / value) != str(has):
            raise BenchError(
                f"{key} is {has if has is not None else 'not set'} in this project, not {value}",
                where=project.where(key), cure="change it there, in an editor", exit_code=USAGE)
    return project


def _refuse_inside_another(folder: Path) -> None:
    """Raise BenchError for a folder in a project: it would be taken for the wrong one of the two."""
    above = find_project(folder.absolute())
    if above is not None:
        raise BenchError(
            f"this folder belongs to the project {above.product}", where=str(above.path),
            cure="go to a folder outside of it, or give one with --folder", exit_code=USAGE)


def _require_folder(folder: Path) -> None:
    """Make the folder. Raises BenchError if it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BenchError(
            f"folder cannot be made ({error.strerror})", where=str(folder),
            cure="choose a folder that can be written", exit_code=USAGE) from None
    require_writable(folder / PROJECT_FILE)


def _only_port() -> str | None:
    """The serial port of the one board that is plugged in; None for none or several."""
    ports = usb_ports()
    return ports[0] if len(ports) == 1 else None


def _use(path: Path) -> str:
    if path.suffix == ".pem":
        what = "signs releases" if path.stem == "offline" else "signs what is offered"
        return f"private; {what}. Keep a copy of it in another place"
    return "public; each board gets it"


def _say_next(project: Project) -> None:
    click.echo(f"{project.path}: {project.product} on {project.board}, channel {project.channel}; "
               f"boards ask {project.server}")
    if project.server is not None and "//127.0.0.1" in project.server:
        click.echo("  no network was found: real boards need this computer's address there")
    elif project.server is not None and not is_this_machine(project.server.split("/")[2].partition(":")[0]):
        click.echo("  that is not this computer: copy the site there, or correct the line")
    if project.port is None:
        there = usb_ports()
        words = f"several ports are there ({', '.join(there)})" if there else "no board is plugged in"
        click.echo(f"  port is not set: {words}; write it there, or give --port to each command")
    board = boards.load(project.board) if project.board is not None else None
    has_loader = board is None or board.has_loader
    build = "2 MiB build" if board is None or board.fs_start >= _MEGABYTE else "FLASH_1M build"
    click.echo(f"Next, with a board plugged in and MicroPython's {build} for the ESP8266 as firmware.bin:")
    for line in _NEXT if has_loader else _NEXT_WITHOUT_LOADER:
        click.echo(f"  {line}")
