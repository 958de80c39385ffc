"""The REPL of MicroPython's firmware over a terminal: friendly, paste, raw and raw-paste mode.

shared/runtime/pyexec.c and docs/reference/repl.rst of MicroPython say what it answers; the VM
compiles and runs what was typed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from slotbench.vboard.serial.line import Lines, goes_on, indent_after
from slotbench.vboard.serial.terminal import Terminal
from slotbench.vboard.vm import DeviceVM

__all__ = ["Repl"]

_WINDOW: Final = 128
"""Bytes that a host may send ahead in raw-paste mode: half of MICROPY_REPL_STDIN_BUFFER_MAX."""
_MACHINE: Final = "ESP module with ESP8266"
_A, _B, _C, _D, _E = b"\x01", b"\x02", b"\x03", b"\x04", b"\x05"
_ENDS: Final = _A + _B + _C + _D
_KEYS: Final = "\x01\x02\x03\x04\x05"


class Repl:
    """What follows main.py. `ran` is called after each piece of code that it ran.

    `raw` is the mode: it outlives a soft reset, and while it is on main.py is not run.
    """

    def __init__(self, terminal: Terminal, ran: Callable[[], object] = lambda: None) -> None:
        self.raw = False
        self._terminal = terminal
        self._ran = ran
        self._lines = Lines(terminal)
        self._greeted = False

    def reset(self) -> None:
        """The chip was reset."""
        self.raw = self._greeted = False
        self._terminal.drop_input()

    def run(self, vm: DeviceVM) -> None:
        """Read and run what is typed until somebody asks for a soft reset.

        What the code ends in leaves this as it leaves the VM, but for errors, which are printed.
        """
        terminal, self._lines.names = self._terminal, vm.names
        # Nobody interrupts a prompt: Ctrl-C is a key there.
        terminal.listen(interruptible=False)
        try:
            if not self._greeted:
                self._greeted = True
                self._say_raw() if self.raw else self._banner(vm)
            while (self._raw_mode if self.raw else self._friendly_mode)(vm):
                pass
        except SystemExit:
            pass
        finally:
            terminal.listen(interruptible=True)
        self._greeted = False
        terminal.send("MPY: soft reboot\r\n")

    def _friendly_mode(self, vm: DeviceVM) -> bool:
        """One statement; false for a soft reset."""
        terminal, lines = self._terminal, self._lines
        text = lines.read(">>> ", commands=_KEYS)
        if text in _KEYS and text:
            terminal.send("\r\n")
        match text:
            case "\x01":
                self.raw = True
                self._say_raw()
            case "\x02":
                self._banner(vm)
            case "\x04":
                return False
            case "\x05":
                self._paste_mode(vm)
            case "" | "\x03":
                pass
            case _:
                self._statement(vm, text)
        return True

    def _statement(self, vm: DeviceVM, text: str) -> None:
        while goes_on(text):
            line = self._lines.read("... ", indent_after(text))
            if line == "\x03":
                self._terminal.send("\r\n")
                return
            text += "\n" + line.rstrip(" ") if not line.strip(" ") else f"\n{line}"
        self._execute(vm, lambda: vm.run_interactive(text))

    def _paste_mode(self, vm: DeviceVM) -> None:
        terminal = self._terminal
        terminal.send("paste mode; Ctrl-C to cancel, Ctrl-D to finish\r\n=== ")
        text = bytearray()
        while (byte := terminal.read(1)) != _D:
            if byte == _C:
                terminal.send("\r\n")
                return
            text += b"\n" if byte == b"\r" else byte
            terminal.send(b"\r\n=== " if byte == b"\r" else byte)
        terminal.send("\r\n")
        self._execute(vm, lambda: vm.exec(text.decode("utf-8", "replace")))

    def _raw_mode(self, vm: DeviceVM) -> bool:
        """One command; false for a soft reset."""
        terminal = self._terminal
        text = bytearray()
        while True:
            piece = terminal.read_piece(_ENDS, _WINDOW)
            if piece == _A:
                if text[:1] == _E:
                    return self._raw_paste(vm, text == _E + b"A")
                self._say_raw()
                text.clear()
            elif piece == _B:
                self.raw = False
                terminal.send("\r\n")
                self._banner(vm)
                return True
            elif piece == _C:
                text.clear()
            elif piece == _D:
                break
            else:
                text += piece
        if not text:
            terminal.send("OK\r\n")
            return False
        terminal.send("OK")
        self._answer(vm, bytes(text))
        return True

    def _raw_paste(self, vm: DeviceVM, known: bool) -> bool:
        terminal = self._terminal
        if not known:
            terminal.send(b"R\x00>")
            return True
        terminal.send(b"R\x01" + _WINDOW.to_bytes(2, "little") + b"\x01")
        text = bytearray()
        while (piece := terminal.read_piece(_C + _D, _WINDOW - len(text) % _WINDOW)) not in (_C, _D):
            text += piece
            if len(text) % _WINDOW == 0:
                terminal.send(b"\x01")
        terminal.send(_D)
        if piece == _C:
            terminal.send(_D + b"KeyboardInterrupt: \r\n" + _D + b">")
        else:
            self._answer(vm, bytes(text))
        return True

    def _answer(self, vm: DeviceVM, source: bytes) -> None:
        """Run a command of the raw REPL: its output, an end, its error, an end, a prompt."""
        text = source.replace(b"\r\n", b"\n").replace(b"\r", b"\n").decode("utf-8", "replace")
        self._execute(vm, lambda: vm.exec_streamed(text), mark=_D)
        self._terminal.send(_D + b">")

    def _execute(self, vm: DeviceVM, action: Callable[[], object], mark: bytes = b"") -> None:
        """Run something; `mark` goes between its output and its error."""
        terminal = self._terminal
        error: Exception | KeyboardInterrupt | None = None
        terminal.listen(interruptible=True)
        try:
            action()
        except SystemExit:
            terminal.send(mark + mark)
            raise
        except (Exception, KeyboardInterrupt) as ended:
            error = ended
        finally:
            terminal.listen(interruptible=False)
            terminal.interrupted()
            self._ran()
        terminal.send(mark)
        if error is not None:
            vm.print_exception(error)

    def _say_raw(self) -> None:
        self._terminal.send("raw REPL; CTRL-B to exit\r\n>")

    def _banner(self, vm: DeviceVM) -> None:
        version = str(vm.eval("__import__('sys').version")).partition("; ")[2]
        self._terminal.send(f'\r\n{version}; {_MACHINE}\r\nType "help()" for more information.\r\n')
