# Why a program on trial failed: the traceback that ended its main.py is kept over the restart, and ends the
# attempt (applications.md).
import machine
import os

import twoslot

from io import IOBase
from micropython import const

from twoslot.constants import APP_ACTIVE, APP_ATTEMPTS, APP_COUNTER, WHY_FILE

# FORMATS.md, end of an attempt.
_RAISED = const(10)
_SURROUNDINGS = const(11)


class TracebackStream(IOBase):
    """A second terminal: the port prints to it all that it prints.

    It is false, so the WebREPL takes it for none, and takes its place. Its methods need nothing of this
    module, which is dropped.
    """

    text = None  # the last 200 bytes that were printed since a traceback began

    def __bool__(self):
        return False

    def readinto(self, buffer):
        """Nobody types here."""

    def write(self, data):
        """Look for a traceback. Once the greeting of the prompt follows it, it has ended main.py."""
        n = size = len(data)
        if n and data[0] in b"TM":  # most of what is printed costs no memory here
            if data[:12] == b"MicroPython ":
                __import__("os").dupterm(None)
                if self.text:
                    module = __import__("twoslot.application.traceback", None, None, ("end",))
                    module.end(bytes(self.text), self.value)
                return n
            if data[:9] == b"Traceback" or data[:11] == b"MemoryError":
                self.text = self.text or memoryview(bytearray(200))
        text = self.text
        if text:
            if n > 200:
                data, n = data[n - 200 :], 200
            text[: 200 - n] = text[n:]
            text[200 - n :] = data
        return size


def watch(record):
    """Have the traceback of the active application end its attempt."""
    try:
        if os.dupterm(None):
            return  # somebody is at the WebREPL
        stream = TracebackStream()
        stream.value = _name(record)
        os.dupterm(stream)
    except (AttributeError, ImportError):
        pass  # this port has no such terminals: the deadline ends the attempt


def end(text, name):
    """The REPL follows main.py: restart, if an exception ended it in its trial. Ctrl-C is none."""
    lines = text.replace(b"\r", b"").replace(b"\0", b"").rstrip(b"\n").split(b"\n")
    last = lines[-1].split(b":")[0]
    if len(twoslot.deadline or ()) < 4 or last == b"KeyboardInterrupt":
        return
    if len(lines) > 1 and lines[-2][:2] != b"  ":
        return  # it was caught, and printed
    code = _SURROUNDINGS if last in (b"OSError", b"MemoryError") else _RAISED
    try:
        with open(WHY_FILE, "wb") as f:
            f.write(name + b" %d\n" % code + b"\n".join(lines))
    except OSError:
        pass
    print("twoslot: main.py ended on trial, restarting")
    if twoslot._restart_hook:
        try:
            twoslot._restart_hook[0]()
        except Exception:
            pass
    machine.reset()


def load(record=None):
    """Return what is kept: (code, text) of any attempt, or of the record's last one; else (0, None)."""
    try:
        with open(WHY_FILE, "rb") as f:
            line = f.readline()
            if record and line[:-4] != _name(record):
                return 0, None
            return int(line[-3:]), f.read().decode()
    except (OSError, ValueError):
        return 0, None


def _name(record):
    return b"%d %d" % (record[APP_COUNTER + record[APP_ACTIVE]], record[APP_ATTEMPTS])
