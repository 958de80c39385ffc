"""`slotbench board new`: the folder of a new virtual board."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from urllib.parse import urlsplit

import click

from slotbench import boards
from slotbench.addresses import is_this_machine
from slotbench.boards import BoardProfile
from slotbench.cli.first_firmware import first_firmware
from slotbench.cli.parameter_types import PATH, integer, name, server_url
from slotbench.cli.project_options import is_given, project_option
from slotbench.cli.vm_option import CHIP
from slotbench.errors import USAGE, BenchError
from slotbench.flashing.plan import Firmware, factory_writes
from slotbench.formats.release import VERSION_CHARS_MAX
from slotbench.images.bench import is_bench_image
from slotbench.micropython_vm import vm_cache
from slotbench.mpy import PACKAGE
from slotbench.push.client import SECRET_BYTES
from slotbench.release import documents
from slotbench.release.development import ON_BOARD, read_public_part, require_marked
from slotbench.release.files import require_writable
from slotbench.release.identities import Identities, parse_secret
from slotbench.shell_words import quoted
from slotbench.vboard.chip.build import compiler
from slotbench.vboard.chip.network.slirp import missing
from slotbench.vboard.factory import board_files, factory_flash
from slotbench.vboard.flash.littlefs import NEWEST_VERSION, FlashFiles
from slotbench.vboard.live.folder import BoardFolder


@click.command()
@click.argument("folder", type=PATH, metavar="DIR")
@project_option(
    "--board", "board_name", field="board", default="d1_mini", metavar="NAME",
    help="Board file, by name or path.  [default: d1_mini]")
@click.option(
    "--image", type=PATH, metavar="FILE", help="A MicroPython .bin; else the bench's own firmware.")
@click.option(
    "--release", type=PATH, metavar="FILE",
    help="Instead of --image: a release in a published site, SITE/releases/DIGEST.release.")
@click.option(
    "--version",
    help="Version of the firmware, shown to people.  [default: the release's, else MicroPython's]")
@click.option(
    "--counter", type=integer, help="Counter of the firmware in slot A.  [default: the release's, else 1]")
@project_option(
    "--keys", "keys_path", field="keys", type=PATH, metavar="FILE",
    help="The product's keys file, to be pinned.")
@click.option(
    "--development-key", "development_path", type=PATH, metavar="FILE",
    help="A development.pub, whose releases may be pushed; for a board marked `development`.")
@project_option(
    "--product", field="product", type=name,
    help="Product of the board.  [default: the keys file's, else the release's, else lamp]")
@project_option(
    "--server", field="server", type=server_url, default="http://127.0.0.1:8266", metavar="URL",
    help="Server of its releases: `slotbench serve` on this machine.  [default: http://127.0.0.1:8266]")
@project_option(
    "--identities", "identities_path", field="identities", type=PATH, metavar="FILE",
    help="Save the board's secret in FILE, for `slotbench serve --identities FILE`.")
def new(
    folder: Path, board_name: str, image: Path | None, release: Path | None,
    version: str | None, counter: int | None,
    keys_path: Path | None, development_path: Path | None, product: str | None, server: str,
    identities_path: Path | None,
) -> None:
    """Make a virtual board in the folder DIR.

    The board is in the state that `slotbench flash` and `slotbench deploy` leave a real board in.
    You can edit its files in DIR/files. A board without the loader has its firmware alone:
    slotbench deploy puts twoslot there.

    Example: slotbench board new lamp1 --keys keys/lamp.keys --server http://127.0.0.1:8266
    """
    ctx = click.get_current_context()
    if is_given(ctx, "keys_path") and not is_given(ctx, "product"):
        product = None  # they say it themselves
    _require_this_machine(server)
    _require_identities(identities_path)
    board = boards.load(board_name)
    pinned = b""
    if keys_path is not None:
        document, keys = documents.read_keys(keys_path)
        pinned = document.pack()
        if product not in (None, keys.product):
            raise BenchError(
                f"the keys are for the product {keys.product}", where=str(keys_path),
                cure=f"give the keys of {product}, or leave --product out", exit_code=USAGE)
        product = keys.product
    own = first_firmware(image, release, board)
    product = product or own.product or "lamp"
    version = (version or own.version)[:VERSION_CHARS_MAX]
    first = Firmware(
        data=own.data, product=product, version=version,
        counter=counter if counter is not None else own.counter or 1,
        fs_version=own.found.fs_version or 0, mpy_abi=own.found.mpy_abi or 0, twoslot=own.found.twoslot)
    flash = factory_flash(board, [(write.offset, write.data) for write in factory_writes(board, first)])
    if board.filesystem:
        flash.poke(board.filesystem.start, b"\xff" * board.filesystem.size)
    settings: dict[str, object] = {
        "product": product, "board": board.name, "channel": "stable", "server": server}
    public = None
    if development_path is not None:
        require_marked(board)
        public, settings["development"] = read_public_part(development_path), True
    files = _files(settings, pinned, public, board, has_twoslot=own.found.has_twoslot)
    if board.filesystem:
        filesystem = FlashFiles(flash, board.filesystem, first.fs_version or NEWEST_VERSION)
        filesystem.start(files)
        filesystem.mount()
    where = str(Path(board_name).resolve()) if board_name not in boards.names() else board_name
    vm, why = _vm_for(own.data, board)
    made = BoardFolder.create(folder, where, flash, files, vm=vm)
    place = " in slot A" if board.has_loader else ""
    if identities_path is not None and board.has_loader:
        _tell_secret(identities_path, made.unique_id.hex(), files)
    click.echo(f"{folder}: {board.title}, id {made.unique_id.hex()}, {product} {version}{place}")
    if board.bench_only:
        click.echo(f"{board.name} is {boards.BENCH_ONLY}; twoslot's modules stand in for one.")
    click.echo(f"Its files are in {made.files_path}; changes there take effect at the next power on.")
    if not board.has_loader:
        click.echo("It has no twoslot yet. Run it, and put twoslot there from another terminal:")
        click.echo(f"  slotbench board run {quoted(folder)} --pty {quoted(f'{folder}.tty')}")
        click.echo(f"  slotbench deploy --port {quoted(f'{folder}.tty')} --app DIR")
        return
    if not pinned:
        click.echo("No keys are pinned: the board accepts no update.")
        click.echo(f"Copy the product's keys file to {made.files_path / 'twoslot.keys'}")
    click.echo(f"Run it{why}: slotbench board run {quoted(folder)}")


def _require_identities(path: Path | None) -> None:
    """Raise BenchError before the work if the secret could not be saved there."""
    if path is not None:
        require_writable(path)
        Identities.load_or_none(path)


def _tell_secret(path: Path, device_id: str, files: dict[str, bytes]) -> None:
    Identities.add_board(path, device_id, device_id, parse_secret(files["/twoslot.secret"]))


def _files(
    settings: dict[str, object], pinned: bytes, public: bytes | None, board: BoardProfile, *,
    has_twoslot: bool,
) -> dict[str, bytes]:
    """What `slotbench deploy` leaves on the board. Without the loader it has a main.py alone: as source
    twoslot finds no room.
    """
    files = board_files(settings, pinned)
    if not board.has_loader:
        return {"/main.py": b"import time\nwhile True:\n    time.sleep(1)\n"}
    if has_twoslot:
        files = {path: data for path, data in files.items() if not path.startswith(f"/{PACKAGE}/")}
    files["/twoslot.secret"] = json.dumps({"secret": secrets.token_hex(SECRET_BYTES)}).encode()
    if public is not None:
        files[f"/{ON_BOARD}"] = public
    if not pinned:
        del files["/twoslot.keys"], files["/twoslot.keys2"]
    return files


def _vm_for(image: bytes, board: BoardProfile) -> tuple[str, str]:
    """Which VM is to run a board with this firmware, and where that is."""
    if is_bench_image(image) and not board.has_loader:
        return "micropython", " (slotbench get-micropython first)" if not vm_cache().exists() else ""
    if is_bench_image(image) or board.bench_only:
        return "cpython", ""
    try:
        compiler()
    except BenchError as error:
        return "cpython", f" (its Python alone; for its firmware {error.cure})"
    if missing():
        return "cpython", " (its Python alone; for its firmware install libslirp)"
    return CHIP, " on the emulated chip"


def _require_this_machine(server: str) -> None:
    host = urlsplit(server).hostname or ""
    if not is_this_machine(host):
        raise BenchError(
            "a virtual board reaches this machine only", where=server,
            cure="serve here, and give --server http://127.0.0.1:PORT or this machine's own address",
            exit_code=USAGE)
