"""`slotbench push`: a firmware goes to a listening board, which then runs it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import click

from slotbench import boards
from slotbench.application.bundle import Bundle
from slotbench.boards import BoardProfile
from slotbench.cli.application_options import read_bundle, warn_of_secrets
from slotbench.cli.progress import ProgressBar
from slotbench.cli.image_file import read_firmware
from slotbench.cli.key_options import load_key, passphrase_option
from slotbench.cli.parameter_types import PATH, host_and_port, integer, name
from slotbench.cli.preflight import run_for, words_for
from slotbench.cli.project_options import is_given, project_of, project_option
from slotbench.cli.published_head import now
from slotbench.errors import USAGE, BenchError
from slotbench.formats.document import DOCUMENT_BYTES_MAX
from slotbench.formats.fields import seconds_since_2020
from slotbench.formats.release import DEVELOPMENT, Preflight, Release
from slotbench.push.client import PORT, ListenerStatus, PushClient, PushTimes, read_secret
from slotbench.release import development, documents
from slotbench.release.files import read_bytes
from slotbench.release.identities import Identities

_SECRET_BYTES_MAX = 4096
_BACK_S = 120.0


@click.command()
@click.argument("host", metavar="HOST[:PORT]")
@click.argument("firmware", type=PATH, required=False, metavar="[FIRMWARE]")
@click.option(
    "--app", "app", type=PATH, metavar="DIR", help="Instead: your program, the folder with main.py.")
@click.option("--source", "as_source", is_flag=True, help="With --app: leave its modules as they are.")
@project_option(
    "--identities", "identities_path", field="identities", type=PATH, metavar="FILE",
    help="Secrets of boards, as `slotbench deploy --identities` wrote them.")
@click.option(
    "--secret", "secret_path", type=PATH, metavar="FILE", help="Instead: the board's twoslot.secret.")
@click.option(
    "--key", "key_path", type=PATH, metavar="FILE", help="The development key (.pem), to sign with.")
@click.option(
    "--release", "release_path", type=PATH, metavar="FILE",
    help="Instead of --key: the signed release of this firmware.")
@click.option("--product", type=name, help="[default: what the board says]")
@click.option(
    "--board", "board_name", metavar="NAME",
    help="Board file to check the firmware against.  [default: what the board says]")
@click.option("--version", help="Version shown to people, up to 16 characters.  [default: MicroPython's]")
@click.option(
    "--counter", type=integer, help="Counter of the development release.  [default: seconds since 2020]")
@click.option(
    "--wait", "wait_s", type=click.FloatRange(0), default=_BACK_S, show_default=True, metavar="SECONDS",
    help="How long the board may take to come back.")
@click.option(
    "--preflight", "is_tried", is_flag=True,
    help="Start it on the emulated chip first, and push it only if that goes well.")
@passphrase_option
def push(
    host: str, firmware: Path | None, app: Path | None, as_source: bool,
    identities_path: Path | None, secret_path: Path | None,
    key_path: Path | None, release_path: Path | None,
    product: str | None, board_name: str | None, version: str | None, counter: int | None, wait_s: float,
    is_tried: bool, passphrase_file: Path | None,
) -> None:
    """Push a firmware .bin, or your program, to a board that listens, and wait until it answers with it.

    Type twoslot.listen() at the REPL of the board first. After a lost connection, run the same
    command again: it sends what is missing.

    \b
    Example: slotbench push 192.168.1.20 firmware.bin --key keys/development.pem \\
                 --identities identities.json
             slotbench push 192.168.1.20 --app app --key keys/development.pem \\
                 --identities identities.json
    """
    if secret_path is not None and not is_given(click.get_current_context(), "identities_path"):
        identities_path = None
    if (key_path is None) == (release_path is None):
        raise click.UsageError("give --key FILE or --release FILE, one of them")
    if (firmware is None) == (app is None):
        raise click.UsageError("give a firmware .bin or --app DIR, one of them")
    pusher = PushClient(*host_and_port(host, PORT), _secrets(identities_path, secret_path))
    if app is not None:
        _push_program(
            pusher, read_bundle(app, None, as_source), key_path, passphrase_file, product=product,
            board_name=board_name, version=version, counter=counter, wait_s=wait_s)
        return
    assert firmware is not None
    image = read_firmware(firmware)
    there = pusher.read_status()
    click.echo(f"{pusher.where}: {_board(there)}")
    if there.slot is None:
        raise BenchError(
            f"{there.board} has no loader, and no firmware is pushed to it", where=pusher.where,
            cure="push your program: --app DIR; `slotbench flash` writes a firmware over the cable",
            exit_code=USAGE)
    if release_path is not None:
        document, expected = _signed(release_path, image)
    else:
        assert key_path is not None
        if not there.development:
            raise BenchError(
                f"{there.board} takes no development releases", where=pusher.where,
                cure="push one signed by a pinned key with --release, or deploy with --development-key")
        number = max(seconds_since_2020(now()) if counter is None else counter, 1)
        with documents.naming_file(firmware):
            document = development.sign_development_release(
                image, load_key(key_path, passphrase_file), product=product or there.product,
                board=_profile(board_name, there), channel=there.channel, counter=number,
                created=now(), version=version).pack()
        expected = DEVELOPMENT | number
    if is_tried:
        _require_fit(image, _profile(board_name, there), firmware)
    bar = ProgressBar("pushing")
    try:
        parts = pusher.push_release(document, image, bar, lambda words: bar.say(f"  {words}"))
    finally:
        bar.end()
    click.echo(f"  the board restarts; it has {wait_s:.0f} s to come back", err=True)
    _say_back(*pusher.wait_for_board(wait_s), parts, expected, len(image), pusher.where)


def _push_program(
    pusher: PushClient, bundle: Bundle, key_path: Path | None, passphrase_file: Path | None, *,
    product: str | None, board_name: str | None, version: str | None, counter: int | None, wait_s: float,
) -> None:
    """Push a development application and wait until the board answers with it. Raises BenchError."""
    if key_path is None:
        raise click.UsageError("--app needs --key FILE, the development key")
    there = pusher.read_status()
    click.echo(f"{pusher.where}: {_board(there)}")
    if not there.development:
        raise BenchError(
            f"{there.board} takes no development applications", where=pusher.where,
            cure="deploy it with --development-key and a board file that has `development = true`")
    number = max(seconds_since_2020(now()) if counter is None else counter, 1)
    warn_of_secrets(bundle)
    document = development.sign_development_application(
        bundle, load_key(key_path, passphrase_file), product=product or there.product,
        board=_profile(board_name, there), channel=there.channel, counter=number, created=now(),
        version=version or "development").pack()
    files = {hashlib.sha256(data).hexdigest(): data for data in bundle.files.values()}
    parts = pusher.push_application(
        document, bundle.file_list, files, lambda words: click.echo(f"  {words}", err=True))
    click.echo(f"  the board restarts; it has {wait_s:.0f} s to come back", err=True)
    back, seconds = pusher.wait_for_board(wait_s)
    click.echo(f"  {parts.judged:6.1f} s  signature checked")
    click.echo(f"  {parts.sent:6.1f} s  sent and written, {parts.bytes} bytes of {bundle.size}")
    click.echo(f"  {parts.verified:6.1f} s  read back and verified")
    click.echo(f"  {seconds:6.1f} s  restart, until it answers")
    if back.app != DEVELOPMENT | number:
        raise BenchError(
            "the board does not run what was pushed: its trial failed", where=pusher.where,
            cure="see why: slotbench status, or its serial port; the board fell back by itself")
    total = parts.judged + parts.sent + parts.verified + seconds
    click.echo(f"  {total:6.1f} s  in all: {_board(back)}")


def _profile(board_name: str | None, there: ListenerStatus) -> BoardProfile:
    """What the board is: as given, else the project's file of that name, else the known one."""
    project = project_of(click.get_current_context())
    if board_name is None and project is not None:
        own = boards.load(project.board)
        if own.name == there.board:
            return own
    return boards.load(board_name or there.board)


def _require_fit(image: bytes, board: BoardProfile, firmware: Path) -> None:
    """Raise BenchError when the preflight fails; say so when there is none."""
    result = run_for([image], [board], wanted=True)
    if result is not Preflight.PASSED:
        click.echo(words_for(result))
    if result is Preflight.FAILED:
        raise BenchError(
            "its preflight failed, so nothing was pushed", where=str(firmware), cure="correct the firmware")


def _secrets(identities_path: Path | None, secret_path: Path | None) -> Callable[[str], bytes]:
    """A function that finds the secret of a board by its device id."""
    if secret_path is not None and identities_path is None:
        secret = read_secret(read_bytes(secret_path, _SECRET_BYTES_MAX), str(secret_path))
        return lambda device_id: secret
    if identities_path is None or secret_path is not None:
        raise click.UsageError("give --identities FILE or --secret FILE, one of them")
    known = Identities.load(identities_path).secrets

    def find(device_id: str) -> bytes:
        if device_id not in known:
            raise BenchError(
                f"no secret for the board {device_id}", where=str(identities_path),
                cure="deploy the board with --identities and this file")
        return known[device_id]

    return find


def _signed(path: Path, image: bytes) -> tuple[bytes, int]:
    """The signed release, and the counter that the board reports once it runs it."""
    document = read_bytes(path, DOCUMENT_BYTES_MAX)
    release = Release.from_payload(documents.read_release_payload(path))
    if hashlib.sha256(image).hexdigest() not in [ref.sha256 for ref in release.images.values()]:
        wanted = next(iter(release.images.values()))
        this = f"this one has {len(image)}" if len(image) != wanted.length else "this one has another SHA-256"
        raise BenchError(
            f"the release is of an image of {wanted.length} bytes, {this}", where=str(path),
            cure="give the firmware that the release was built from", exit_code=USAGE)
    return document, release.counter


def _say_back(
    back: ListenerStatus, seconds: float, parts: PushTimes, expected: int, length: int, where: str
) -> None:
    click.echo(f"  {parts.judged:6.1f} s  signature checked")
    click.echo(f"  {parts.sent:6.1f} s  sent and written, {parts.bytes} bytes for {length}")
    click.echo(f"  {parts.verified:6.1f} s  read back and verified")
    click.echo(f"  {seconds:6.1f} s  restart, until it answers")
    total = parts.judged + parts.sent + parts.verified + seconds
    if back.counter != expected:
        raise BenchError(
            f"{back.version} answers, not what was pushed: the trial failed", where=where,
            cure="see why on its serial port; the board fell back by itself")
    click.echo(f"  {total:6.1f} s  in all: {_board(back)}")


def _board(there: ListenerStatus) -> str:
    state = "confirmed" if there.confirmed else "on trial"
    where = f" in slot {there.slot}" if there.slot is not None else ""
    return f"{there.device}, {there.product} {there.version}{where}, {state}"
