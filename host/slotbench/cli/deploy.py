"""`slotbench deploy`: twoslot, its settings and keys on a board that runs MicroPython."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from pathlib import Path

import click

from slotbench import __version__, boards
from slotbench.application.bundle import Bundle
from slotbench.boards import BoardProfile
from slotbench.cli.application_options import read_bundle, warn_of_secrets
from slotbench.cli.board_prompt import without_main_option
from slotbench.cli.deploy_folder import write_package_folder
from slotbench.cli.parameter_types import PATH, mqtt_broker, name, ntp_server, server_url
from slotbench.cli.progress import ProgressBar
from slotbench.cli.project_options import is_given, project_of, project_option, project_port
from slotbench.cli.webrepl_options import asked_webrepl, webrepl_options
from slotbench.cli.wifi_options import asked_networks, try_networks, wifi_options
from slotbench.errors import USAGE, BenchError
from slotbench.formats.keys import pack_pinned
from slotbench.mpy import PACKAGE
from slotbench.mpy.pack import packed_files
from slotbench.release import documents
from slotbench.release.development import ON_BOARD, read_public_part, require_marked
from slotbench.release.identities import Identities, parse_secret
from slotbench.repl.access import BoardAccess, BoardHold, SerialAccess, WebReplAccess, held_board
from slotbench.repl.board_content import BoardContent, read_board
from slotbench.repl.deploy import (
    add_boot_line,
    install_files,
    merge_settings,
    pin_keys,
    remove_boot_line,
    remove_files,
    require_compilable,
)
from slotbench.repl.first_application import first_application, no_application
from slotbench.repl.package import hook_file, mixed_versions, package_files
from slotbench.repl.transports import TRANSPORTS
from slotbench.repl.webrepl import WebRepl
from slotbench.repl.wifi import WIFI_FILE, WifiNetwork, wifi_file
from slotbench.vboard.factory import BOOT_LINE

_NOT_BY_WEBREPL = {
    "port": "it takes the place of the cable", "via": "it copies the files by itself",
    "without_main": "only a cable can restart a board whose program does not stop",
    "wifi": "trying a network would end the connection",
}


@click.command()
@click.option("--port", metavar="PORT", help="Serial port of the board.  [default: the project's]")
@project_option(
    "--product", field="product", type=name, help="Product of the board.  [default: the keys file's]")
@project_option(
    "--board", "board_name", field="board", metavar="NAME",
    help="What releases call this board: a board file's name.")
@project_option(
    "--channel", field="channel", only_written=True, type=name,
    help="Channel of its releases.  [default: stable]")
@project_option(
    "--server", field="server", type=server_url, metavar="URL",
    help="Server of its releases: http://HOST[:PORT].")
@click.option(
    "--cohort", type=name, help="Cohort: a group of boards that may get a release before others.")
@click.option(
    "--mqtt", type=mqtt_broker, metavar="BROKER[:PORT]",
    help="MQTT broker that tells the board to check now.")
@click.option(
    "--ntp", type=ntp_server, metavar="SERVER[:PORT]", help="NTP server that sets the board's clock.")
@project_option(
    "--keys", "keys_path", field="keys", type=PATH, metavar="FILE",
    help="The product's keys file, to be pinned.")
@project_option(
    "--identities", "identities_path", field="identities", type=PATH, metavar="FILE",
    help="Give the board a secret that authenticates it at the server; save it in FILE.")
@wifi_options
@click.option("--new-identity", is_flag=True, help="Replace the secret that the board has.")
@click.option(
    "--development-key", "development_path", type=PATH, metavar="FILE",
    help="A development.pub, whose releases may be pushed; for a board marked `development`.")
@click.option(
    "--app", "app", type=PATH, metavar="DIR",
    help="Your program, as the first application of a board that has none.  [default, without the loader: "
    "the project's]")
@click.option(
    "--via", type=click.Choice(list(TRANSPORTS)), default="mpremote", show_default=True,
    help="Program that copies the files; ampy for boards where raw-paste mode fails.")
@click.option(
    "--files", "as_files", is_flag=True,
    help="Put twoslot there as files even if the firmware has it frozen: they shadow the frozen one.")
@without_main_option
@webrepl_options
@click.option("--dry-run", is_flag=True, help="Show what would change; write nothing.")
@click.option(
    "--undo", "is_undo", is_flag=True, help="Remove everything that this command installed.")
@click.option(
    "--to-folder", type=PATH, metavar="DIR",
    help="Instead: a folder that mip installs twoslot from, and a firmware freezes it from.")
def deploy(
    port: str | None, product: str | None, board_name: str | None, channel: str | None, server: str | None,
    cohort: str | None, mqtt: str | None, ntp: str | None, keys_path: Path | None,
    identities_path: Path | None, new_identity: bool, wifi: str | None, wifi_fallback: str | None,
    wifi_password_fd: int | None, development_path: Path | None, app: Path | None, via: str, as_files: bool,
    without_main: bool, webrepl: str | None, webrepl_password_fd: int | None, dry_run: bool,
    is_undo: bool, to_folder: Path | None,
) -> None:
    """Put twoslot on a board: as .mpy, with its settings, pinned keys and one marked line in
    boot.py.

    Where the firmware has twoslot frozen, its files are left out. Files from before are taken away
    once the firmware in both slots has it.

    A board without the loader (esp01s_1m, sonoff_1m, generic_4m_stock) gets twoslot as one file, for
    applications alone. With --app DIR the board runs your program at once, and from then on takes
    what `slotbench ship --app` offers.

    boot.py and main.py are otherwise left alone. Settings that are not given keep their value on
    the board. After an interruption, run the same command again: it continues.

    \b
    Example: slotbench deploy --port /dev/ttyUSB0 --board d1_mini --keys keys/lamp.keys \\
                 --server http://192.168.1.10:8266 --wifi home
             slotbench deploy --port /dev/ttyUSB0 --undo
             slotbench deploy --webrepl 192.168.1.23 --keys keys/lamp.keys
             slotbench deploy --board esp01s_1m --app app --wifi home
    """
    ctx = click.get_current_context()
    port = _asked_port(ctx, port, webrepl, to_folder)
    if is_given(ctx, "keys_path") and not is_given(ctx, "product"):
        product = None  # they say it themselves
    if new_identity and identities_path is None:
        raise click.UsageError("--new-identity needs --identities FILE")
    if to_folder is not None:
        return write_package_folder(to_folder)
    keys = _keys(keys_path, product)
    if keys is not None:
        product = keys[1]
    profile = boards.load(board_name) if board_name is not None else None
    if profile is not None:
        board_name = profile.name
    bundle = _bundle(ctx, app, profile)
    given = {
        "product": product, "board": board_name, "channel": channel, "server": server, "cohort": cohort,
        "mqtt": mqtt, "ntp": ntp}
    networks = asked_networks(wifi, wifi_fallback, wifi_password_fd)
    board = asked_webrepl(webrepl, webrepl_password_fd)
    access = _access(board, port, via, without_main=without_main)
    with held_board(access) as hold:
        found = read_board(access.transport, access.name, access.flash_command)
        _say_found(found, access.name)
        if is_undo:
            _undo(access, found, dry_run)
            return
        _require_ready(found, product if keys is None else None, access, profile)
        package = _package(found, as_files)
        files = package | _application(found, bundle) | _pinned(found, keys)
        files |= _files(found, given, development_path, profile, access.name)
        if identities_path is not None:
            files["twoslot.secret"] = _identity(found, identities_path, new_identity, dry_run)
        if networks:
            files[WIFI_FILE] = _wifi(access, networks, files["twoslot.json"], dry_run)
        _say_diff(found.boot, files["boot.py"])
        require_compilable(files["boot.py"], access.name)
        if dry_run:
            return click.echo(f"dry run: {len(files)} files in all, nothing was written")
        stays = not package and not found.every_slot_has_twoslot
        _put(hold, found, files, with_keys=keys is not None, keeps_package=stays)
        _say_versions(found, has_files=bool(package) or stays and found.has_package)


def _asked_port(ctx: click.Context, port: str | None, webrepl: str | None, folder: Path | None) -> str | None:
    """The port of the board; None where it is reached otherwise, or not meant. Raises UsageError."""
    if webrepl is not None:
        _refuse_beside_webrepl(ctx)
        port = None
    elif port is None and folder is None:
        port = project_port(ctx, "option '--port' or '--to-folder'")
    if (port is None and webrepl is None) == (folder is None):
        raise click.UsageError("give --port PORT, --webrepl HOST or --to-folder DIR, one of them")
    return port


def _refuse_beside_webrepl(ctx: click.Context) -> None:
    """Raise UsageError for options that need a cable, or cut the connection."""
    for option, reason in _NOT_BY_WEBREPL.items():
        if is_given(ctx, option):
            raise click.UsageError(f"--webrepl goes without --{option.replace('_', '-')}: {reason}")


def _access(board: WebRepl | None, port: str | None, via: str, *, without_main: bool) -> BoardAccess:
    if board is not None:
        return WebReplAccess(board)
    return SerialAccess(str(port), via, without_main=without_main)


def _wifi(access: BoardAccess, networks: list[WifiNetwork], settings: bytes, dry_run: bool) -> bytes:
    """The file with the networks, which were tried on the board. Raises BenchError if it cannot join."""
    if not dry_run:
        try_networks(access.transport, networks, json.loads(settings)["server"], access.name)
    return wifi_file(networks)


def _say_found(found: BoardContent, port: str) -> None:
    click.echo(f"{port}: MicroPython {'.'.join(map(str, found.version))}, .mpy format {found.mpy_abi}")
    if found.interrupted:
        click.echo(f"continuing an interrupted deploy: {len(found.staged)} files are already copied")
    if found.frozen is not None:
        click.echo(f"twoslot {found.frozen} is frozen into the firmware that runs")


def _say_versions(found: BoardContent, *, has_files: bool) -> None:
    """Which twoslot the board runs from now on, where that is not the one of this slotbench as files."""
    if found.frozen is None:
        return
    if not has_files:
        if (words := mixed_versions(f"{found.frozen} frozen", __version__)) is not None:
            click.echo(f"the boot hook: {words}")
        return
    click.echo("twoslot on the filesystem shadows the frozen one")
    if not found.every_slot_has_twoslot:
        click.echo("  it stays until the firmware in both slots has twoslot frozen")


def _undo(access: BoardAccess, found: BoardContent, dry_run: bool) -> None:
    _say_diff(found.boot, remove_boot_line(found.boot))
    if dry_run:
        click.echo("dry run: nothing was removed")
        return
    remove_files(access.transport, found, access.name)
    click.echo("twoslot was removed; the board is restarted")
    if found.has_applications:
        click.echo("the applications stay in /app_a and /app_b and do not start any more; /main.py does")
    if found.frozen is not None:
        click.echo(f"twoslot {found.frozen} stays in the firmware, and does nothing without its boot hook")


def _pinned(found: BoardContent, keys: tuple[bytes, str] | None) -> dict[str, bytes]:
    """Both copies of the keys document, if there is one to pin."""
    if keys is not None:
        return dict.fromkeys(("twoslot.keys", "twoslot.keys2"), pack_pinned(keys[0]))
    if "twoslot.keys" not in found.hashes:
        click.echo("no keys are pinned: the board accepts no update until you give --keys")
    return {}


def _bundle(ctx: click.Context, app: Path | None, profile: BoardProfile | None) -> Bundle | None:
    """The program in the folder `app`, without the loader else in that of the project; None for none."""
    if app is None and profile is not None and not profile.has_loader and (project := project_of(ctx)):
        app = project.app
    return read_bundle(app, None, as_source=False) if app is not None else None


def _package(found: BoardContent, as_files: bool) -> dict[str, bytes]:
    """The files of twoslot: none where it is frozen, one where there is no loader."""
    if not found.has_loader:
        return packed_files()
    return {} if found.frozen is not None and not as_files else package_files()


def _application(found: BoardContent, bundle: Bundle | None) -> dict[str, bytes]:
    """The files of the first application, or of none; nothing where the board has one."""
    if found.has_applications:
        if bundle is not None:
            click.echo("the board has applications already, which stay; send it yours: slotbench ship --app")
        return {}
    if bundle is not None:
        warn_of_secrets(bundle)
        click.echo(f"{bundle.folder}: {len(bundle.files)} files become its first application")
        return first_application(bundle.files, bundle.file_list, bundle.mpy_abi)
    return {} if found.has_loader else no_application()


def _require_ready(
    found: BoardContent, product: str | None, access: BoardAccess, profile: BoardProfile | None,
) -> None:
    """Raise BenchError for a board without the loader that is not said to have none: it would run twoslot and
    could install nothing; and if the board's keys stay and are those of another product than `product`: it
    would believe no release.
    """
    if profile is None and "board" in found.settings:
        profile = boards.load(found.settings["board"])
    if not found.has_loader and (profile is None or profile.has_loader):
        raise BenchError(
            "this board has no loader, so it could install no firmware", where=access.name,
            cure=f"{access.flash_command} --from-stock; its firmware and its files stay. Or leave it so, for "
            "applications alone: slotbench deploy --board generic_4m_stock (1 MB: esp01s_1m)",
            exit_code=USAGE)
    if found.has_loader and profile is not None and not profile.has_loader:
        raise BenchError(
            f"this board has the loader, and {profile.name} is a board without it", where=access.name,
            cure="name it otherwise, such as --board d1_mini", exit_code=USAGE)
    has = found.settings.get("product")
    if product is not None and has not in (None, product) and "twoslot.keys" in found.hashes:
        raise BenchError(
            f"the board has the keys of the product {has}, and would believe no release of {product}",
            where=access.name, cure=f"give the keys of {product} with --keys", exit_code=USAGE)


def _files(
    found: BoardContent, given: Mapping[str, str | None], development_path: Path | None,
    profile: BoardProfile | None, port: str,
) -> dict[str, bytes]:
    """Boot hook, boot.py and the settings, with a development key if one is given."""
    marks = {} if development_path is None else {"development": True}
    files = {
        **hook_file(),
        "twoslot.json": merge_settings(found.settings, {**given, **marks}, port),
        "boot.py": add_boot_line(found.boot, BOOT_LINE),
    }
    if development_path is not None:
        require_marked(profile or boards.load(found.settings["board"]))
        files[ON_BOARD] = read_public_part(development_path)
    return files


def _put(
    hold: BoardHold, found: BoardContent, files: Mapping[str, bytes], *, with_keys: bool,
    keeps_package: bool,
) -> None:
    access = hold.access
    bar = ProgressBar("copying")
    try:
        count = install_files(
            access.transport, found, files, access.name, lambda words: click.echo(f"  {words}"), bar,
            keeps_package=keeps_package)
    finally:
        bar.end()
    taken_away = found.frozen is not None and found.has_package and not keeps_package and not any(
        path.startswith(f"{PACKAGE}/") for path in files)
    if taken_away:
        click.echo("twoslot's files were taken away: the firmware in both slots has it")
    pinned = with_keys and pin_keys(access.transport)
    where = "boot journal" if found.has_loader else "application record"
    if isinstance(pinned, str):
        click.echo(f"the {where} does not know these keys yet; the next head pins them: {pinned}")
    elif pinned:
        click.echo(f"the {where} knows these keys now, and believes no others")
    if pinned is not True and not count and not found.interrupted and not taken_away:
        click.echo("the board is already up to date; nothing was written")
        return
    access.check_hook()
    hold.restarted = True
    click.echo(f"{count} files written and compared by hash; the board was restarted, and runs its boot hook")


def _keys(path: Path | None, product: str | None) -> tuple[bytes, str] | None:
    """The keys document to pin, and its product."""
    if path is None:
        return None
    document, keys = documents.read_keys(path)
    if product not in (None, keys.product):
        raise BenchError(
            f"the keys are for the product {keys.product}", where=str(path),
            cure=f"give the keys of {product}, or leave --product out", exit_code=USAGE)
    return document.pack(), keys.product


def _identity(found: BoardContent, path: Path, renew: bool, dry_run: bool) -> bytes:
    """The board's secret as a file for the board. It is saved in `path` first, so that a pulled
    cable loses nothing.
    """
    board = found.device_id, found.chip_id, parse_secret(found.identity)
    if dry_run:
        known = Identities.load_or_none(path).with_board(*board, renew=renew)
    else:
        known = Identities.add_board(path, *board, renew=renew)
    click.echo(f"{found.device_id}: its secret is in {path}")
    return known.secret_file(found.device_id)


def _say_diff(before: bytes | None, after: bytes | None) -> None:
    """What changes in boot.py."""
    old, new = ((each or b"").decode("utf-8", "replace").splitlines() for each in (before, after))
    for line in difflib.unified_diff(old, new, "boot.py", "boot.py", n=1, lineterm=""):
        click.echo(f"  {line}")
