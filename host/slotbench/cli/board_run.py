"""`slotbench board run`: a virtual board in the foreground, its console on the screen."""

from __future__ import annotations

import functools
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

import click

from slotbench import boards
from slotbench.addresses import is_this_machine
from slotbench.cli.board_control import counts_line, state_line
from slotbench.cli.loader_option import loader_option
from slotbench.cli.parameter_types import PATH
from slotbench.cli.vm_option import BOARD_VMS, CHIP, board_vm_option
from slotbench.errors import BenchError
from slotbench.formats.littlefs import read_superblock
from slotbench.inspection.dump import DUMP_BYTES_MAX, identify_board
from slotbench.inspection.filesystem import littlefs_problem
from slotbench.interrupts import StoppedByUser
from slotbench.push.client import PORT as PUSH_PORT
from slotbench.release.files import read_bytes
from slotbench.shell_words import quoted
from slotbench.vboard.board import LOADERS
from slotbench.vboard.chip.machine import ROM_BYTES
from slotbench.vboard.chip.network.hypercall import loopback
from slotbench.vboard.chip.network.slirp import HOST
from slotbench.vboard.chip.network.wire import Wire
from slotbench.vboard.chip.runner import ChipRunner, require_runnable
from slotbench.vboard.clock import Clock
from slotbench.vboard.frozen import stock
from slotbench.vboard.live.control_socket import ControlSocket
from slotbench.vboard.live.flash_file import FlashFile
from slotbench.vboard.live.folder import BoardFolder
from slotbench.vboard.live.made_here import refuse_stranger
from slotbench.vboard.live.runner import LiveRunner
from slotbench.untrusted import load_json
from slotbench.vboard.network.loopback import LoopbackNetwork
from slotbench.vboard.serial.uart import Uart
from slotbench.vboard.vms import VMS

_NEW_CHIP = "generic_4m"
_FORWARDED = (80, 8080, 8266, PUSH_PORT)
"""Where programs of this chip listen: web pages, WebREPL, twoslot."""
_PORT = click.IntRange(0, 65535)
_SIGNALS = tuple(
    getattr(signal, each) for each in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, each))
_PATIENCE_S = 0.3
"""Seconds until the power of a program is cut that does not come to a wait."""


def _speed(value: str | float) -> float | None:
    """Parameter type: virtual seconds for each real second; None: as fast as possible."""
    if value == "max":
        return None
    with suppress(ValueError):
        if 0 < (speed := float(value)) <= 1e6:
            return speed
    raise click.BadParameter(f"{value!r} is neither a number above 0 nor max")


@click.command()
@click.argument("folder", type=PATH, metavar="[DIR]", required=False)
@click.option(
    "--flash", "flash_path", type=PATH, metavar="FILE",
    help="Instead of DIR: a chip's whole flash; an erased one is made when there is no such file.")
@click.option(
    "--board", "board_name", metavar="NAME",
    help="With --flash: board file, by name or path.  [default: the one whose map fits]")
@click.option(
    "--speed", type=_speed, default="1", show_default=True, metavar="N|max",
    help="Virtual seconds for each real one; max: as fast as possible.")
@click.option(
    "--for", "for_s", type=click.FloatRange(0, min_open=True), metavar="SECONDS",
    help="Stop after this much of the board's time.  [default: at Ctrl-C]")
@click.option(
    "--pty", type=PATH, metavar="LINK", help="Its serial port as a pty, and a symbolic link to it.")
@click.option(
    "--tcp", type=_PORT, metavar="PORT", help="Its serial port as raw TCP (socket://); 0: any.")
@click.option(
    "--rfc2217", type=_PORT, metavar="PORT",
    help="Its serial port with DTR and RTS (rfc2217://); 0: any port.")
@board_vm_option
@loader_option
@click.option(
    "--forward", "forwarded", type=_PORT, multiple=True, default=_FORWARDED, show_default=True,
    metavar="PORT", help="With --vm chip: a TCP port of the board that this machine reaches; repeatable.")
@click.option(
    "--network", type=click.Choice(["auto", "lwip", "hypercall", "none"]), default="auto", show_default=True,
    help="With --vm chip: the firmware's own lwIP, sockets that this bench serves, or none; auto takes the "
    "first that works.")
@click.option(
    "--trust", "is_trusted", is_flag=True,
    help="Run the Python of a board that was not made here: it can do all that you may do.")
@click.option(
    "--rom", "rom_path", type=PATH, metavar="FILE",
    help="With --vm chip: the dump of a chip's ROM, instead of the one that comes with this.")
def run(
    folder: Path | None, flash_path: Path | None, board_name: str | None, speed: float | None,
    for_s: float | None, pty: Path | None, tcp: int | None,
    rfc2217: int | None, vm: str | None, loader: str, forwarded: tuple[int, ...], network: str,
    is_trusted: bool, rom_path: Path | None,
) -> None:
    """Switch the board in DIR on and run it here.

    Ctrl-C switches the board off, with exit code 130. The flash is saved whenever the power goes.
    RTC memory is lost.

    \b
    Example: slotbench board run lamp1 --speed 10
             slotbench board run lamp1 --pty lamp1.tty; esptool --port lamp1.tty flash-id
             slotbench board run --flash chip.bin --pty chip.tty --vm micropython
             slotbench board run lamp1 --vm cpython --speed max
    """
    if (folder is None) == (flash_path is None):
        raise click.UsageError("give DIR or --flash FILE, one of them")
    if flash_path is None and board_name is not None:
        raise click.UsageError("--board goes with --flash: DIR says which board it is")
    opened = BoardFolder.open(folder) if folder is not None else _flash_file(flash_path, board_name)
    vm, is_own = _chosen_vm(vm, opened), opened.is_own
    if not is_own:
        _require_sound_filesystem(opened)
    if vm == CHIP:
        require_runnable(opened)
    elif vm == "cpython" and not (is_own or is_trusted):
        raise refuse_stranger(opened.path)
    rom = read_bytes(rom_path, ROM_BYTES) if rom_path is not None else None
    wake, woken = socket.socketpair()
    clock = Clock()
    with (
        wake, woken, opened.lock(), _serial_port(pty, tcp, rfc2217) as uart,
        tempfile.TemporaryDirectory(prefix="slotbench-") as nowhere,
        Wire(lambda: clock.us) if vm == CHIP and network in ("auto", "lwip") else nullcontext() as wire,
        ControlSocket(
            opened.socket_path if isinstance(opened, BoardFolder) else Path(nowhere, "control.sock"),
            woken.fileno(), uart.descriptors, *([wire.fileno()] if wire is not None else [])) as control,
    ):
        runner: LiveRunner | ChipRunner
        if vm == CHIP:
            calls = loopback() if network in ("auto", "hypercall") else None
            places = _places(forwarded, wire, calls)
            runner = ChipRunner(
                opened, opened.load_flash(clock), wire, speed=speed, now=time.monotonic, poll=control.poll,
                say=_say, uart=uart, places=places, rom=rom, calls=calls, is_trusted=is_trusted)
        else:
            loop = LoopbackNetwork()
            places = {PUSH_PORT: ":".join(map(str, loop.place(PUSH_PORT)))}
            runner = LiveRunner(
                opened, loop, speed=speed, now=time.monotonic, poll=control.poll, say=_say, uart=uart,
                vm=functools.partial(VMS[vm], frozen=stock(), **_walls(vm, is_own or is_trusted)),
                loader=LOADERS[loader], shows_updates=vm == "cpython")
        _say_places(opened, HOST if vm == CHIP and network != "none" else None, places, uart)

        def stop() -> None:
            runner.stop()
            wake.send(b"\0")

        with _signals(stop, runner.cut_power) as pressed:
            runner.run(for_s)
        click.echo(f"at the end: {state_line(runner.last_facts)}; {counts_line(runner.last_facts)}")
    if isinstance(opened, FlashFile) and is_own:
        opened.mark_own()
    if signal.SIGINT in pressed:
        raise StoppedByUser("the board is off; the same command switches it on again")


def _chosen_vm(vm: str | None, opened: BoardFolder | FlashFile) -> str:
    """The VM that somebody wants, else the one of the board's folder, else CPython."""
    if vm is None and isinstance(opened, BoardFolder) and opened.vm in BOARD_VMS:
        return opened.vm
    return vm or "cpython"


def _require_sound_filesystem(opened: BoardFolder | FlashFile) -> None:
    """Raise BenchError if the filesystem of a board from elsewhere would end this process."""
    place = opened.profile.filesystem
    if not place:
        return
    flash = opened.load_flash(Clock())
    # All of the flash behind it: that of a stock board is longer than the map's.
    data = flash.peek(place.start, flash.size - place.start)
    if read_superblock(data) is not None and (problem := littlefs_problem(data)):
        raise BenchError(
            f"its filesystem is damaged: {problem}", where=str(opened.path),
            cure=f"slotbench inspect {quoted(opened.flash_path)}")


def _say_places(
    opened: BoardFolder | FlashFile, machine: object, places: dict[int, str], uart: Uart,
) -> None:
    """What board it is, and how it is reached; `machine` is its address of this machine, if it needs one."""
    click.echo(f"{opened.profile.title}, id {opened.unique_id.hex()}; Ctrl-C pulls the plug")
    if isinstance(opened, BoardFolder):
        verbs = "power|reset|cut|repl|status|pin"
        click.echo(f"Buttons, in another terminal: slotbench board {verbs} {opened.path}")
        if server := _unreachable_server(opened):
            click.echo(f"Its server {server} is not this computer: no virtual board reaches it")
    if machine is not None:
        click.echo(f"This machine, for the board: {machine}")
    for port, place in places.items():
        click.echo(f"Its port {port}, while it listens: {place}")
    for transport in uart.transports:
        click.echo(f"Serial port: {transport.name}")


def _unreachable_server(folder: BoardFolder) -> str | None:
    """The board's server, if it is on another machine."""
    try:
        settings = load_json((folder.files_path / "twoslot.json").read_bytes())
        server = settings["server"]
        host = urlsplit(server).hostname
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return None if host is None or is_this_machine(host) else str(server)


def _walls(vm: str, is_known: bool) -> dict[str, bool]:
    """The argument for a VM that can be confined: a board from elsewhere must be."""
    return {"must_be_confined": not is_known} if vm == "micropython" else {}


def _places(
    forwarded: tuple[int, ...], wire: Wire | None, calls: LoopbackNetwork | None,
) -> dict[int, str]:
    """Where on this machine the board's ports are. Without lwIP: where they are for hypercalls."""
    if calls is not None:
        for port in forwarded:
            calls.place(port)
    if wire is not None:
        return {port: f"127.0.0.1:{wire.forward(port)}" for port in forwarded}
    return calls.places if calls is not None else {}


def _say(text: str) -> None:
    click.echo(text, nl=False)


def _flash_file(path: Path | None, board_name: str | None) -> FlashFile:
    """The flash in a file. A missing file is created, erased."""
    assert path is not None
    if path.exists():
        return FlashFile(path, identify_board(read_bytes(path, DUMP_BYTES_MAX), str(path), board_name))
    opened = FlashFile(path, boards.load(board_name or _NEW_CHIP))
    opened.make_erased()
    click.echo(f"{path}: an erased chip of {opened.profile.chip_bytes // 1024} KB")
    return opened


@contextmanager
def _serial_port(pty: Path | None, tcp: int | None, rfc2217: int | None) -> Iterator[Uart]:
    uart = Uart(time.monotonic)
    try:
        if pty is not None:
            uart.open_pty(pty)
        if tcp is not None:
            uart.open_tcp(tcp)
        if rfc2217 is not None:
            uart.open_rfc2217(rfc2217)
        yield uart
    finally:
        uart.close()


@contextmanager
def _signals(stop: Callable[[], None], cut: Callable[[], None]) -> Iterator[list[int]]:
    """Call `stop` at the first Ctrl-C (or SIGTERM, or when the terminal closes), and a little later `cut`.

    The first one is not raised as an exception, because the program on the board would take it for
    its own Ctrl-C. The second one is. Yields the list of the signals that came.
    """
    pressed: list[int] = []

    def first(number: int, frame: FrameType | None) -> None:
        pressed.append(number)
        for each in _SIGNALS:
            signal.signal(each, signal.default_int_handler)
        stop()
        if hasattr(signal, "setitimer"):  # not on Windows
            signal.setitimer(signal.ITIMER_REAL, _PATIENCE_S, _PATIENCE_S)

    before = {each: signal.signal(each, first) for each in _SIGNALS}
    if hasattr(signal, "setitimer"):
        before[signal.SIGALRM] = signal.signal(signal.SIGALRM, lambda number, frame: cut())
    try:
        yield pressed
    finally:
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
        for each, handler in before.items():
            signal.signal(each, handler)
