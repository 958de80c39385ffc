"""One VM process: its heap, its stream to the host, and what it prints."""

from __future__ import annotations

import codecs
import ctypes
import os
import select
import signal
import socket
import subprocess
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from slotbench.vboard.micropython.installation import Installation
from slotbench.vboard.micropython.sandbox import writable_ranges

__all__ = ["Process", "VMDied"]

_TEXT: Final = ord("(")
_CHUNK: Final = 65536
_LOOK_MS: Final = 20
_QUIET_LOOKS: Final = 3
_FILE_BYTES_MAX: Final = 32 * 1024 * 1024
"""No file of a board is longer: its whole flash is not."""

_ADDR_NO_RANDOMIZE: Final = 0x0040000
"""personality(2): a program started now lies at the same addresses each time."""
_PERSONALITY_ASKED: Final = 0xFFFFFFFF


class VMDied(Exception):
    """The VM ended by itself: a defect in it or in the bench."""


class Process:
    """The VM in a process of its own, started with `import bench` from `shims`.

    `console` gets what it prints, in order with what it asks for; bytes that are no UTF-8 as
    surrogates. `shared` is a descriptor that the VM gets too, under the same number. `busy` is called now
    and then while it computes. A KeyboardInterrupt that comes out of one of these is for the program:
    `interrupted` is set, and where the program asks for nothing the VM gets a SIGINT.
    """

    def __init__(
        self, installation: Installation, shims: Path, *, heap: int, console: Callable[[str], object],
        shared: int,
    ) -> None:
        self.console = console
        self.busy: Callable[[], object] | None = None
        self.computes = False
        """Whether `busy` is being called: the VM answers nothing then."""
        self.interrupted = False
        self._program = installation.program.resolve()
        self._link, theirs = socket.socketpair()
        statement = f"import bench; bench.begin(open({theirs.fileno()}, 'r+b'))"
        with theirs, _same_addresses():
            self._child = subprocess.Popen(
                installation.command(heap=heap, statement=statement),
                cwd=shims, env={"MICROPYPATH": str(shims)}, pass_fds=[theirs.fileno(), shared],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                # The terminal's Ctrl-C is the host's.
                start_new_session=True)
        import resource  # not on Windows

        resource.prlimit(self._child.pid, resource.RLIMIT_FSIZE, (_FILE_BYTES_MAX, _FILE_BYTES_MAX))
        assert self._child.stdout is not None
        self._printed = self._child.stdout
        os.set_blocking(self._printed.fileno(), False)
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._received = bytearray()
        # Also when a board is dropped that nobody switched off.
        self._end = weakref.finalize(self, _end, self._child, self._printed, self._link)
        self._link_number = self._link.fileno()
        self._poll = select.poll()
        self._poll.register(self._link, select.POLLIN)
        self._poll.register(self._printed, select.POLLIN)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._child.pid

    @property
    def alive(self) -> bool:
        """False once it was ended with `end`."""
        return self._link.fileno() >= 0

    def send(self, data: bytes) -> None:
        """Send bytes to the VM. Raises VMDied."""
        try:
            self._link.sendall(data)
        except OSError:
            raise self._died() from None

    def receive(self, count: int) -> bytes:
        """The next `count` bytes from the VM. Raises VMDied."""
        while len(self._received) < count:
            self._more()
        data = bytes(self._received[:count])
        del self._received[:count]
        return data

    def is_text_next(self) -> bool:
        """Whether a line of text comes next, not numbers."""
        if not self._received:
            self._more()
        return self._received[0] == _TEXT

    def receive_line(self) -> str:
        """The next line of text from the VM."""
        while (end := self._received.find(b"\n")) < 0:
            self._more()
        return self.receive(end + 1).decode()

    @property
    def program_base(self) -> int:
        """Where the VM's file is loaded in its process."""
        for line in Path(f"/proc/{self.pid}/maps").read_text().splitlines():
            if line.endswith(str(self._program)):
                return int(line.partition("-")[0], 16)
        raise self._died()

    @property
    def program(self) -> Path:
        """The VM's file."""
        return self._program

    def read_only_data(self) -> Sequence[tuple[int, int]]:
        """Address and size of the VM's read-only data, in which its tables of names lie."""
        return writable_ranges(Path(f"/proc/{self.pid}/maps").read_text(), self._program)

    def kill(self) -> None:
        """End it here and now, as a loss of power does."""
        self._end()

    def drain(self) -> None:
        """Hand on what was printed so far."""
        while data := self._printed.read(_CHUNK):
            self._let(self.console, self._decoder.decode(data))
        if rest := self._decoder.decode(b"", final=True):
            # Not to be kept back: it may be all of a binary message.
            self._let(self.console, rest)

    def take_interrupt(self) -> bool:
        """Whether the program is to get a KeyboardInterrupt in answer to what it asks for."""
        was, self.interrupted = self.interrupted, False
        return was

    def _let(self, action: Callable[..., object], *args: object) -> None:
        try:
            action(*args)
        except KeyboardInterrupt:
            self.interrupted = True

    def _more(self) -> None:
        asked, quiet = False, 0
        while not asked:
            events = self._poll.poll(None if self.busy is None else _LOOK_MS)
            asked = any(number == self._link_number for number, _ in events)
            # What was printed before something was asked for is in the pipe by now, and `poll`, which
            # looks at the pipe last, says so.
            if not asked or len(events) > 1:
                self.drain()
            if asked:
                break
            if self._child.poll() is not None:
                raise self._died()
            if self.busy is not None:
                self.computes = True
                self._let(self.busy)
                self.computes = False
            quiet = quiet + 1 if self.interrupted else 0
            if quiet > _QUIET_LOOKS:
                # It computes or prints: only a signal reaches it. Had it asked for something, the
                # exception would go off while the answer is under way.
                self.interrupted, quiet = False, 0
                os.kill(self.pid, signal.SIGINT)
        data = self._link.recv(_CHUNK)
        if not data:
            raise self._died()
        self._received += data

    def _died(self) -> VMDied:
        self._child.wait()
        self.drain()
        return VMDied(f"the MicroPython VM ended with {self._child.returncode}")


@contextmanager
def _same_addresses() -> Iterator[None]:
    """Programs started meanwhile by this thread lie at the same addresses each time, where the kernel lets
    them.

    The collector of MicroPython takes a word for a pointer when it looks like one. At other addresses other
    words do, and a run with a heap nearly full would end in another way now and then.
    """
    personality = ctypes.CDLL(None).personality
    before = personality(ctypes.c_ulong(_PERSONALITY_ASKED))
    personality(ctypes.c_ulong(before | _ADDR_NO_RANDOMIZE))
    try:
        yield
    finally:
        personality(ctypes.c_ulong(before))


def _end(child: subprocess.Popen[bytes], printed: IO[bytes], link: socket.socket) -> None:
    child.kill()
    child.wait()
    printed.close()
    link.close()
