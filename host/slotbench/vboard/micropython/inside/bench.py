# The bench's end inside the VM: runs what the host sends, and asks the host for hardware, network and time.
# All of it lies in the heap of the program under test: nothing is here that the host can do, or say twice.
import sys  # noqa: F401, what the host runs here uses it
from array import array

from micropython import const

import __main__

# What the host is asked, in numbers alone: a call takes nothing from the heap (vboard/micropython/calls.py).
# One a line: so the compiler puts the number in the name's place, and no name is on the heap.
_DONE = const(1)
_WORD_GET = const(2)
_WORD_SET = const(3)
_FLASH_READ = const(4)
_FLASH_WRITE = const(5)
_FLASH_ERASE = const(6)
_SOCKET_READ = const(7)
_SOCKET_WRITE = const(8)
_TICKS = const(9)
_SLEEP = const(10)
_DISK_READ = const(11)
_DISK_WRITE = const(12)
_DISK_ERASE = const(13)
# Functions of the host that make what stays here.
_NEW_SOCKET = const(-1)
_NEW_TIMER = const(-2)
_FLASH_BYTES = const(-3)

# The second byte of the stack's limit (vboard/micropython/stack.py), as the program has it, and a callback of
# its; what runs here stands for C and may use more.
_MAIN = const(0x23)
_CALLBACK = const(0x27)
_HERE = const(0x9C)

main = __main__.__dict__
link = error = None  # the stream to the host; what the last job ended in
timers = {}  # and pins: what calls back, by number
kept = []  # what built-in modules refer to by now: the collector does not look into their tables
limit = bytearray(4)  # until the host puts the VM's own in its place
level = _MAIN
_out = array("i", (0, 0, 0))
_in = array("i", (0, 0))


def begin(stream):
    global link
    link = stream
    ask(_DONE)


def ask(what, a=0, b=0):
    limit[1] = _HERE
    _out[0], _out[1], _out[2] = what, a, b
    link.write(_out)
    return answer()


def give(what, a, data):
    limit[1] = _HERE
    _out[0], _out[1], _out[2] = what, a, len(data)
    link.write(_out)
    link.write(data, len(data))
    return answer()


def call(n, a, k):
    limit[1] = _HERE
    print((n, a, k), file=link)
    return answer()


def _text(n):
    try:
        return link.read(n)
    except MemoryError:
        while n:  # what stays unread would be the next answer
            n -= link.readinto(_in, min(n, 8))
        raise


def answer():
    try:
        return receive()
    finally:
        limit[1] = level


def receive():
    while link.readinto(_in):
        kind, n = _in[0], _in[1]
        if kind == 0:
            return n
        if kind == 1:
            return None
        if kind == 2:
            return n != 0
        if kind == 3:
            return _text(n)
        if kind == 4:
            return Far(n)
        if kind == 5:
            return eval(_text(n))
        if kind == 6:
            raise OSError(n)
        if kind == 7:
            raise KeyboardInterrupt
        if kind == 8:
            raise eval(_text(n))
        _do(kind, n)
    raise SystemExit  # the host is gone


def _do(kind, n):
    global error, level
    before = level
    level = _MAIN if kind < 12 else _CALLBACK
    limit[1] = level
    try:
        if kind == 10:
            exec(_text(n), main)
        elif kind == 11:
            exec(_text(n), globals())
        else:
            timers[n].cb(timers[n])
    except BaseException as e:
        limit[1] = _HERE
        error, level = e, before
        print((type(e).__name__, e.args), file=link)
        return
    limit[1] = _HERE
    level = before
    _out[0] = _DONE
    link.write(_out)


class Far:
    # An object of the host; its methods are such objects too.
    def __init__(self, n):
        self._n = n

    def __getattr__(self, name):
        limit[1] = _HERE
        print((self._n, name), file=link)
        return answer()

    def __call__(self, *a, **k):
        limit[1] = _HERE
        return call(self._n, a, k)

    def __repr__(self):
        return "Far(%d)" % self._n


class Words:
    def __getitem__(self, at):
        limit[1] = _HERE
        return ask(_WORD_GET, at)

    def __setitem__(self, at, word):
        limit[1] = _HERE
        ask(_WORD_SET, at, word)


class Timer(Far):
    ONE_SHOT, PERIODIC = 0, 1

    def __init__(self, *a, **k):
        self._n = call(_NEW_TIMER, a, {})
        if k:
            self.init(**k)

    def init(self, *, callback=None, **k):
        self.cb = callback
        timers[self._n] = self
        self.start(callback is not None, **k)


class Socket(Far):
    def __init__(self, *a):
        self._n = a[0]._n if a and isinstance(a[0], Far) else call(_NEW_SOCKET, a, {})

    def readinto(self, buf, n=-1):
        limit[1] = _HERE
        n = ask(_SOCKET_READ, self._n, len(buf) if n < 0 else n)
        if n:
            link.readinto(buf, n)
        return n

    def write(self, data):
        limit[1] = _HERE
        return give(_SOCKET_WRITE, self._n, data)

    def accept(self):
        s, who = self.__getattr__("accept")()
        return Socket(s), who


class Disk:
    # The block device of the board's filesystem, as the port's flashbdev. What is read is in memory already.
    copy = None

    def readblocks(self, n, buf, off=0):
        off += n * 4096
        if self.copy:
            self.copy(buf, self.start + off, len(buf))
        else:
            ask(_DISK_READ, off, len(buf))
            link.readinto(buf)

    def writeblocks(self, n, buf, off=None):
        if off is None:
            ask(_DISK_ERASE, n)
            off = 0
        give(_DISK_WRITE, n * 4096 + off, buf)

    def ioctl(self, op, arg):
        if op == 4:
            return self.count
        if op == 5:
            return 4096
        if op == 6:
            ask(_DISK_ERASE, arg)
            return 0


disk = Disk()


def flash_read(at, buf):
    limit[1] = _HERE
    if isinstance(buf, int):
        return call(_FLASH_BYTES, (at, buf), {})
    ask(_FLASH_READ, at, len(buf))
    link.readinto(buf)


def flash_write(at, data):
    limit[1] = _HERE
    give(_FLASH_WRITE, at, data)


def flash_erase(sector):
    ask(_FLASH_ERASE, sector)


def ticks_ms():
    limit[1] = _HERE
    return ask(_TICKS)


def sleep_ms(ms):
    limit[1] = _HERE
    ask(_SLEEP, ms)
