"""The serial port of a board: opening it for one program alone, and why that fails."""

from __future__ import annotations

import errno
import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import serial

from slotbench.errors import USAGE, BenchError

__all__ = [
    "has_lines", "list_ports", "open_port", "open_quiet_port", "other_programs", "uninterrupted", "usb_ports"]

_PSEUDO_TERMINALS: Final = "/dev/pts/"
_BUSY: Final = frozenset({errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK})
_NO_LINES: Final = frozenset({errno.ENOTTY, errno.EINVAL})
"""What a port answers that has no DTR: a pseudo-terminal."""
_COMMAND_CHARS: Final = 60
_COM: Final = re.compile(r"(?:\\\\\.\\)?COM[0-9]+", re.IGNORECASE)
"""A port on Windows. It is never shared: access that is denied is another program's."""
_NAMED_PORTS: Final = 8


def open_port(port: str, baud: int, timeout_s: float | None = None) -> Any:
    """Open `port`, a device or a pyserial URL, for this program alone, with DTR and RTS as they are.

    Reading waits up to `timeout_s` seconds (None: for ever). Raises BenchError (exit code 2): no such port,
    no permission, another program has it, nothing listens there.
    """
    try:
        line = _closed_line(port, baud, timeout_s)
        line.open()
    except (OSError, ValueError) as error:
        raise _refusal(port, error) from None
    return line


def list_ports() -> list[str]:
    """The serial ports of this computer, as --port takes them."""
    from serial.tools.list_ports import comports  # its import costs as much as all of pyserial

    return sorted(str(found.device) for found in comports())


def usb_ports() -> list[str]:
    """Those of them that are on USB, as boards are."""
    from serial.tools.list_ports import comports

    return sorted(str(found.device) for found in comports() if found.vid is not None)


def open_quiet_port(port: str, baud: int, timeout_s: float | None = None) -> Any:
    """Open `port` as `open_port` does, and do not assert DTR and RTS: the board is not reset.

    Where the kernel asserts both at opening (Linux, macOS), which resets no board, RTS is let go before DTR:
    RTS alone holds the reset line of a board. Raises BenchError (exit code 2).
    """
    try:
        line = _closed_line(port, baud, timeout_s)
        line.rts = False
        # pyserial sets DTR before RTS while it opens: there DTR has to stay as the kernel left it.
        line.dtr = os.name == "posix" and "://" not in port
        line.open()
    except (OSError, ValueError) as error:
        raise _refusal(port, error) from None
    try:
        line.dtr = False
    except OSError as error:
        if error.errno not in _NO_LINES:
            line.close()
            raise _refusal(port, error) from None
    return line


def has_lines(port: str) -> bool:
    """Whether DTR and RTS reach the board. They do not over raw TCP or a virtual board's pty."""
    return not port.startswith("socket:") and not str(Path(port).resolve()).startswith(_PSEUDO_TERMINALS)


def other_programs(port: str) -> list[str]:
    """The programs that have this device open, as far as this user may see them: "COMMAND (process 123)"."""
    found = []
    try:
        device = os.stat(port).st_rdev
        numbers = [name for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]
    except OSError:
        return []
    for number in numbers:
        with suppress(OSError):
            if device and device in _open_devices(Path("/proc", number)):
                words = Path("/proc", number, "cmdline").read_bytes().split(b"\0")
                found.append(f"{_command(words)} (process {number})")
    return found


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ctrl-C has no effect meanwhile: for the moment in which a board is started again."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _Device(serial.Serial):  # type: ignore[misc]  # pyserial has no types
    """A port whose lock ends with `close`.

    pyserial leaves the lock to the last descriptor. A child that another thread of this process just starts
    has one until it runs its program. The next command would find the port taken.
    """

    def close(self) -> None:
        with suppress(ImportError, OSError, TypeError):  # no fcntl on Windows; no descriptor once closed
            import fcntl

            fcntl.flock(self.fd, fcntl.LOCK_UN)
        super().close()


def _closed_line(port: str, baud: int, timeout_s: float | None) -> Any:
    """A port for this program alone, not opened yet. Raises ValueError."""
    if "://" in port:
        return serial.serial_for_url(port, baud, timeout=timeout_s, exclusive=True, do_not_open=True)
    line = _Device(None, baud, timeout=timeout_s, exclusive=True)
    line.port = port
    return line


def _open_devices(process: Path) -> set[int]:
    """The numbers of the devices that a process has open; none for the one behind a virtual board's pty."""
    devices = set()
    for entry in (process / "fd").iterdir():
        with suppress(OSError):
            if os.readlink(entry).endswith("/ptmx"):
                return set()
            devices.add(entry.stat().st_rdev)
    return devices


def _command(words: list[bytes]) -> str:
    """A command line without the Python that runs it, cut short."""
    names = [word.decode("utf-8", "replace") for word in words if word]
    if len(names) > 1 and Path(names[0]).name.startswith("python"):
        names = [Path(names[1]).name, *names[2:]]
    line = "".join(char if char.isprintable() else "?" for char in " ".join(names))
    return line if len(line) <= _COMMAND_CHARS else f"{line[:_COMMAND_CHARS]}..."


def _refusal(port: str, error: OSError | ValueError) -> BenchError:
    """What is wrong with the port, and its cure."""
    number = _number(error)
    is_device, is_com = "://" not in port, _COM.fullmatch(port) is not None
    if isinstance(error, ValueError):
        return BenchError(
            f"this is no serial port ({error})", where=port,
            cure="give a device such as /dev/ttyUSB0 or COM3, or socket://HOST:PORT, rfc2217://HOST:PORT",
            exit_code=USAGE)
    if is_device and (number == errno.ENOENT or not is_com and not os.path.exists(port)):
        cure = f"check the cable; {_ports_words()}"
        if os.path.islink(port):
            cure = "the virtual board behind it does not run: start it with `slotbench board run`"
        return BenchError("no such serial port", where=port, cure=cure, exit_code=USAGE)
    if number in (errno.EACCES, errno.EPERM) and not is_com:
        return BenchError("no permission to open the serial port", where=port, cure=_permission_cure(port),
                          exit_code=USAGE)
    if number in _BUSY or is_com and number == errno.EACCES:
        programs = other_programs(port)
        who = f": {', '.join(programs)}" if programs else ""
        return BenchError(
            f"another program has the serial port open{who}", where=port,
            cure="end that program (`mpremote repl` and miniterm: Ctrl-], picocom: Ctrl-A Ctrl-X)",
            exit_code=USAGE)
    if not is_device:
        return BenchError(
            f"nothing answers there ({_reason(error)})", where=port,
            cure="check address and port, and start the board or the server of the port", exit_code=USAGE)
    return BenchError(
        f"the serial port cannot be opened ({_reason(error)})", where=port,
        cure=f"give the device of a board; {_ports_words()}", exit_code=USAGE)


def _ports_words() -> str:
    ports = list_ports()
    if not ports:
        return "this computer has no serial port now"
    more = ", ..." if len(ports) > _NAMED_PORTS else ""
    return f"this computer has {', '.join(ports[:_NAMED_PORTS])}{more}"


def _number(error: OSError | ValueError) -> int | None:
    """The system's number of an error; pyserial keeps some of them in the arguments or in the text only."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    found = re.search(r"(?:Errno |: \(|Error\()(\d+)[\],]", str(error))
    return int(found[1]) if found else None


def _reason(error: OSError) -> str:
    if (number := _number(error)) is not None:
        return os.strerror(number)
    return (str(error) or type(error).__name__).splitlines()[0].rstrip(".")


def _permission_cure(port: str) -> str:
    """How this user gets access: the group of the device, which is dialout on Debian and Ubuntu."""
    group = "dialout"
    with suppress(ImportError, OSError, KeyError):
        import grp
        owner = grp.getgrgid(os.stat(port).st_gid).gr_name
        group = owner if owner != "root" else group
    return f"become a member of its group, and log in again: sudo usermod -aG {group} $USER"
