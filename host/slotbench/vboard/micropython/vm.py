"""The board's program on the real MicroPython VM: 32 bits, an ESP8266's heap, a process for each
boot.
"""

from __future__ import annotations

import shutil
import struct
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from slotbench.mpy import compile_mpy
from slotbench.syntax import parse as parse_expression
from slotbench.vboard.facades.files import absolute
from slotbench.vboard.flash.nor import SECTOR
from slotbench.vboard.frozen import FOLDER, compiled
from slotbench.vboard.micropython.calls import IDLE_REQUESTS, WITH_BYTES, HostCalls, VmRequest, far
from slotbench.vboard.micropython.elf import import_slot
from slotbench.vboard.micropython.filesystem import BoardFilesystem
from slotbench.vboard.micropython.installation import HEAP_BYTES, find_installation
from slotbench.vboard.micropython.mirror import BLOCKS_AT, CLOCK_CODE_AT, FlashMirror
from slotbench.vboard.micropython.process import Process
from slotbench.vboard.micropython.reused_file import ReusedFile
from slotbench.vboard.micropython.sandbox import Confinement, confine
from slotbench.vboard.micropython.stack import limit_stack
from slotbench.vboard.micropython.statements import (
    ACTIVITY,
    BENCH_FOLDER,
    GONE,
    MOUNT_AGAIN,
    NAMES,
    REACH_FOLDER,
    SECOND_TERMINAL,
    SHARE_FLASH,
    TERMINAL,
    modules,
)
from slotbench.vboard.micropython.tables import Tables
from slotbench.vboard.micropython.tracebacks import SecondTerminal, frames_of_the_program
from slotbench.vboard.micropython.wire import REQUEST_BYTES, HostReply, error_of, parse, tell
from slotbench.vboard.network.base import Network
from slotbench.vboard.runtime import Runtime
from slotbench.vboard.signals import BenchViolation, DeviceOSError
from slotbench.vboard.soc import Soc
from slotbench.vboard.vm import MPY_XTENSA, Attachable

__all__ = ["MicroPythonVM"]

_INSIDE: Final = Path(__file__).parent / "inside"
_SHIM: Final = "bench"

_INTERRUPT: Final = tell(HostReply.INTERRUPT)


class MicroPythonVM:
    """One boot of MicroPython on `soc`, as CPythonVM is, in a process of its own.

    `heap` is the VM's `-X heapsize` in bytes. Flash, memory words, time, radio and sockets are
    those of the virtual board, asked for over a stream: virtual time stands still while the VM
    works, so a run is the same every time, and the same as under CPython. A power cut or a reset
    kills the process where it is.

    The filesystem lies at the port's place in the flash of `soc`, read and written by the VM's own
    littlefs; `files` are the same files by path, and what is changed there is in the flash before the next
    job.

    The process is confined to the board's folder; `confinement` says by what (sandbox.py). With
    `must_be_confined` BenchError is raised where this machine cannot do that.

    What leaves `exec`, `eval` and `run_file`: as with CPythonVM; exceptions of classes that the
    program made arrive as DeviceError. `refuse` names packages that are there in a format which the
    VM does not load. With `frozen` modules sys.path has an entry more, and they take from the heap
    what in a firmware lies in flash.
    """

    HAS_LITTLEFS: Final = True
    """Its files are those in the flash of `soc`."""

    def __init__(
        self,
        soc: Soc,
        files: dict[str, bytes],
        network: Network,
        *,
        console: Callable[[str], object] | None = None,
        mpy: int = MPY_XTENSA,
        refuse: Mapping[str, str] | None = None,
        frozen: Mapping[str, bytes] | None = None,
        heap: int = HEAP_BYTES,
        must_be_confined: bool = False,
    ) -> None:
        for path in files:
            if path != absolute(path):
                raise ValueError(f"not an absolute path: {path!r}")
        installation = find_installation()
        self._written: list[str] = []
        self.runtime = Runtime(soc, files, network, console or self._written.append, mpy)
        self._filesystem = _filesystem(soc, files, tuple(refuse or {}))
        self._filesystem.begin(self.runtime.folders)
        self._calls = HostCalls(self.runtime, self._fire, self._inside, self._filesystem)
        self._depth = 0
        self._touches_files = False
        """Whether what the VM is told may read or write files: compared before and after each job."""
        self._inside_text = False
        self._knows_activity = False
        self._idle = False
        """There was no agent, and the program did nothing since but look at the clock and sleep."""
        self._base = Path(tempfile.mkdtemp(prefix="slotbench-")).resolve()
        """The folder of this computer that the VM may read."""
        self._remove = weakref.finalize(self, shutil.rmtree, self._base, ignore_errors=True)
        if frozen:
            shutil.copytree(compiled(frozen), self._base / FOLDER)
        self._has_frozen = bool(frozen)
        self._reaches_folder = False
        self._streamed = ReusedFile(self._base / "typed.stdin")
        self._mirror = self._filesystem.mirror()
        with _shims() as shims:
            try:
                heard, shared = self.runtime.console, self._mirror.descriptor
                self._process = Process(installation, shims, heap=heap, console=heard, shared=shared)
                self._serve()
                self._share(self._mirror)
                self.confinement = confine(
                    self._told, self._base, self._process.read_only_data(), must_be=must_be_confined)
                self._become_esp8266(mpy)
            except BaseException:
                self.close()
                raise
        self._touches_files = True

    @property
    def output(self) -> str:
        """What was printed, when no console was given."""
        return "".join(self._written)

    def interrupt_at(self, ms: float | None) -> None:
        """Press Ctrl-C at this virtual time of the chip's clock; None: never."""
        self.runtime.deadline_us = None if ms is None else round(ms * 1000)

    def exec(self, source: str) -> None:
        """Run statements in __main__, as the raw REPL does."""
        self._job(HostReply.EXEC, source)

    def exec_streamed(self, source: str) -> None:
        """As `exec`, but the source is never in the heap, as in raw-paste mode."""
        self._reach_folder()
        self._streamed.put(source.encode())
        self._inside(f"kept[0]({f'{BENCH_FOLDER}/{self._streamed.name}'!r}, main)")

    def run_interactive(self, source: str) -> None:
        """Run a statement typed at the prompt: the values of expressions in it are printed."""
        self._inside(f"exec(kept[1]({source!r}, '<string>', 'single'), main)")

    def attach(self, terminal: Attachable) -> None:
        """Make `terminal` the program's standard input, and look at it while the program computes.
        """
        terminal.attach(self.runtime)
        self._touches_files = False
        self._reach_folder()
        self._inside(TERMINAL)
        tables = Tables(self._inside)
        tables.replace("sys", "stdin", "kept.pop()")
        tables.replace("__import__('micropython')", "kbd_intr", f"Far({far('micropython.kbd_intr')})")
        tables.write()
        self._inside(SECOND_TERMINAL)
        tables.add("__import__('os')", "dupterm", "dupterm")
        self._inside("del dupterm\n__import__('gc').collect()")
        self.runtime.second_terminal = SecondTerminal(self._inside)
        self._touches_files = True
        self._process.busy = self._look

    def eval(self, source: str) -> Any:
        """Return the value of an expression in __main__: what is a plain value on the host too."""
        return self._value(f"eval({source.strip()!r}, main)")

    def run_line(self, line: str) -> None:
        """Run what a person types: an expression's value is printed unless it is None."""
        try:
            parse_expression(line.strip(), "<stdin>", "eval")
        except SyntaxError:
            self.exec(line)
            return
        self._inside(f"(lambda v: v is None or print(repr(v)))(eval({line.strip()!r}, main))")

    def folder(self) -> str:
        """The folder that the program is in (os.chdir): MicroPython looks for main.py there."""
        return str(self._value("__import__('os').getcwd()"))

    def names(self, path: str) -> Sequence[str]:
        """Those of what a dotted path in __main__ leads to; its globals for an empty one, () for nothing."""
        try:
            found = self._value(NAMES.format(path=path) if path else "list(main)")
        except Exception:
            return ()
        return self._calls.names_of(found) if isinstance(found, int) else [*found]

    def run_file(self, path: str) -> None:
        """Run a file in __main__, as boot.py and main.py are. Raises OSError(2) when it is not there."""
        name = absolute(path)
        if name not in self.runtime.files:
            raise DeviceOSError(2)
        shown = name.removeprefix(self.folder() if name.count("/") > 1 else "").removeprefix("/")
        self._inside(f"kept[0]({shown!r}, main)")

    def print_exception(self, error: BaseException) -> None:
        """Put the traceback of the exception that ended the last job on the console, as the port does."""
        printed: list[str] = []
        console, self._process.console = self._process.console, printed.append
        inside = self._inside_text
        try:
            self._inside("sys.print_exception(error)")
        finally:
            self._process.console = console
        text = "".join(frames_of_the_program("".join(printed), inside))
        console(text)
        self.runtime.tell_second_terminal(text)

    def agent(self) -> tuple[int, int, int] | None:
        """State of the device's agent, blocks in place and blocks of the image; None when there is none."""
        if self._idle or self._process.computes:
            return None
        self._touches_files = False
        if not self._knows_activity:
            self._inside(ACTIVITY)
            self._knows_activity = True
        found: tuple[int, int, int] | None = self._value("activity()")
        self._touches_files = True
        self._idle = found is None
        return found

    def close(self) -> None:
        """End this boot: the process, its connections; what it wrote to files stays in them."""
        for stream in self.runtime.streams:
            stream.close()
        self._kill()

    # Jobs for the VM, and its requests meanwhile.

    def _value(self, expression: str) -> Any:
        return self._told(f"Far(0)({expression})")

    def _told(self, source: str) -> Any:
        """What the statements tell the host."""
        self._inside(source)
        return self._calls.result

    def _inside(self, source: str) -> None:
        self._job(HostReply.INSIDE, source)

    def _become_esp8266(self, mpy: int) -> None:
        tables = Tables(self._inside)
        tables.set_word(
            self._process.program_base + import_slot(self._process.program, "gettimeofday"), CLOCK_CODE_AT)
        self._inside(modules(self._has_frozen, self._filesystem.is_mountable))
        if self._has_frozen:
            self._reach_folder()
        tables.replace("__import__('os')", "urandom", f"Far({far('os.urandom')})")
        tables.replace("sys", "platform", "'esp8266'")
        tables.set_field("sys.implementation", 3, mpy)
        tables.limit_arguments("pow", 2)
        for owner, names in GONE.items():
            tables.hide(owner if owner == "str" else f"__import__({owner!r})", names, is_type=owner == "str")
        tables.write()
        self._inside("main.clear()\nmain['__name__'] = '__main__'\n__import__('gc').collect()")

    def _reach_folder(self) -> None:
        """Let the VM open the files of the folder."""
        if self._reaches_folder:
            return
        self._reaches_folder, touches, self._touches_files = True, self._touches_files, False
        base = Path("/") if self.confinement is Confinement.CHROOT else self._base
        self._inside(REACH_FOLDER.format(
            bench=str(base), folder=BENCH_FOLDER, name=BENCH_FOLDER.removeprefix("/")))
        tables = Tables(self._inside)
        tables.replace("__import__('os')", "ilistdir", "kept.pop()")
        tables.replace("__import__('os')", "listdir", "kept.pop(-2)")
        tables.write()
        self._touches_files = touches

    def _fire(self, number: int) -> None:
        try:
            self._send(tell(HostReply.TIMER, number))
        except Exception as error:
            self.print_exception(error)

    def _job(self, kind: HostReply, source: str) -> None:
        if not self._depth and self._touches_files:
            self._give_files()
        self._inside_text = kind is HostReply.INSIDE
        text = source.encode()
        self._send(tell(kind, len(text), text))

    def _send(self, job: bytes) -> None:
        """Have one job done. Jobs nest: the VM takes one while it waits for an answer."""
        if not self._process.alive:
            raise BenchViolation("the VM has ended")
        if not self._depth:
            self._process.interrupted = False
        self._depth += 1
        try:
            self._process.send(job)
            self._serve()
        finally:
            self._depth -= 1
            if not self._depth and self._touches_files and self._process.alive:
                self._filesystem.read(self.runtime.folders)

    def _give_files(self) -> None:
        """Let the VM find what was changed by somebody else: where that were files, it mounts them anew."""
        has_written = self._filesystem.write(self.runtime.folders)
        self._filesystem.update_mirror()
        if has_written:
            self._touches_files = False
            self._inside(MOUNT_AGAIN)
            self._touches_files = True
        self._mirror.set_time(self.runtime.rtc_us())

    def _share(self, mirror: FlashMirror) -> None:
        """Have the VM map its filesystem, and limit its stack, before it may not do such things any more."""
        self._inside(SHARE_FLASH.format(
            code_at=CLOCK_CODE_AT, blocks_at=BLOCKS_AT, code_size=BLOCKS_AT - CLOCK_CODE_AT,
            descriptor=mirror.descriptor, size=mirror.size, blocks=mirror.size // SECTOR))
        if not self._filesystem.is_read_by_mirror:
            self._inside("disk.copy = None")
        self._inside(limit_stack(self._process.program, self._process.program_base))
        mirror.hand_over()

    def _look(self) -> None:
        if self.runtime.on_busy is not None:
            self.runtime.on_busy()

    def _serve(self) -> None:
        """Answer requests until the job is done; raises what it ended in."""
        process = self._process
        try:
            while True:
                if process.is_text_next():
                    line = process.receive_line()
                    if line.startswith("('"):
                        break
                    self._idle = False
                    self._answer(_INTERRUPT if process.take_interrupt() else self._calls.answer_text(line))
                    continue
                what, a, b = struct.unpack("<iii", process.receive(REQUEST_BYTES))
                if what == VmRequest.DONE:
                    process.drain()
                    return
                self._idle = self._idle and what in IDLE_REQUESTS
                if what < VmRequest.DISK_READ and process.take_interrupt():
                    process.receive(b if what in WITH_BYTES else 0)
                    self._answer(_INTERRUPT)
                else:
                    self._answer(self._calls.answer_numbers(what, a, b, process.receive))
        except BaseException:
            # Not the program's: a reset, a power cut, a defect. Nothing runs after it.
            self._kill()
            raise
        process.drain()
        raise _ended(line)

    def _answer(self, answer: bytes) -> None:
        self._mirror.set_time(self.runtime.rtc_us())
        self._process.send(answer)

    def _kill(self) -> None:
        if self._process.alive:
            self._process.kill()
            self._filesystem.read(self.runtime.folders)
            self._streamed.close()
            self._remove()


@contextmanager
def _shims() -> Iterator[Path]:
    """A folder with the bench's modules as .mpy."""
    with tempfile.TemporaryDirectory(prefix="slotbench-") as folder:
        source = (_INSIDE / f"{_SHIM}.py").read_bytes()
        Path(folder, f"{_SHIM}.mpy").write_bytes(compile_mpy(f"{_SHIM}.py", source, 3))
        yield Path(folder)


def _ended(line: str) -> BaseException:
    """What the VM says a job ended in: class and arguments."""
    try:
        name, args = parse(line, repr)
    except (ValueError, SyntaxError):
        name, args = line[2:].partition("'")[0], (line.strip(),)
    return error_of(name, args)


def _filesystem(soc: Soc, files: dict[str, bytes], refuse: tuple[str, ...]) -> BoardFilesystem:
    """That of the board's last start, or a new one."""
    known = soc.filesystem
    if not isinstance(known, BoardFilesystem) or not known.fits(soc, files, refuse):
        known = soc.filesystem = BoardFilesystem(soc, files, refuse)
    return known
