"""Stands for Python where a test starts a program: asks the server (server.py) for it.

A copy of it lies beside the server's socket. The program has this one's standard streams, folder and
environment; signals are handed on, and this one ends as the program does. What the server does not start
(`-c`, a file, another module) is started by Python itself.
"""

import _signal
import _socket
import os
import sys

MODULES = ("ampy", "esptool", "mpremote", "slotbench")


def main():
    place, arguments = sys.argv[0], sys.argv[1:]
    module = arguments[1:3] if arguments[:1] in (["-u"], ["-t"]) else arguments[:2]
    if module[:1] != ["-m"] or module[1].partition(".")[0] not in MODULES:
        os.execv(sys.executable, [sys.executable, *arguments])
    link = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    link.connect(os.path.join(os.path.dirname(place), "socket"))
    words = [os.getcwd(), str(len(arguments)), *arguments, *(f"{name}={value}" for name, value in os.environ.items())]
    text = b"\0".join(map(os.fsencode, words))
    streams = b"".join(number.to_bytes(4, sys.byteorder) for number in (0, 1, 2))
    link.sendmsg([len(text).to_bytes(4, "big")], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, streams)])
    link.sendall(text)
    process = int.from_bytes(link.recv(4), "big")
    for number in (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP):
        _signal.signal(number, lambda number, frame: os.kill(process, number))
    ended = link.recv(4)
    code = int.from_bytes(ended, "big", signed=True)
    if code < 0:
        _signal.signal(-code, _signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code if ended else 1)


main()
