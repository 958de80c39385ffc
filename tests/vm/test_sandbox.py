"""What a hostile program on the real VM reaches of this machine: by the language, and by raw calls of the kernel.

Each with root's chroot, with a user namespace, and with Landlock alone, as this machine can do them.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from slotbench.errors import BenchError
from slotbench.vboard.micropython import MicroPythonVM, sandbox, vm
from slotbench.vboard.micropython.installation import find_installation
from slotbench.vboard.micropython.sandbox import Confinement
from slotbench.vboard.network.base import NoNetwork
from slotbench.vboard.signals import DeviceOSError
from slotbench.vboard.soc import Soc
from support.vboard.flash import bare_flash

pytestmark = pytest.mark.usefixtures("micropython")

NOBODY = 65534
WAYS = ("root", "namespace", "landlock")
CALLS = {
    "execve": (11, "b'/bin/true\\0'", 0, 0), "fork": (2,), "vfork": (190,), "clone": (120, 17), "clone3": (435, 0, 0),
    "kill": (37, "-1", 0), "tgkill": (270, 1, 1, 0), "ptrace": (26, 16, 1), "socket": (359, 2, 1, 0),
    "socketcall": (102, 1, "bytes(12)"), "connect": (362, 3, "bytes(16)", 16), "symlink": (83, "b'/etc\\0'", "b'/a\\0'"),
    "link": (9, "b'/files/main.py\\0'", "b'/files/b\\0'"), "mknod": (14, "b'/files/dev\\0'", 0x2180, 0x0101),
    "chroot": (61, "b'..\\0'"), "mount": (21, 0, 0, 0), "unshare": (310, 0x10000000), "setuid": (213, 0),
    "prctl": (172, 22, 0), "chmod": (15, "b'/\\0'", 0o777), "process_vm_readv": (347, 1, 0, 0, 0),
    "open_by_handle_at": (342, 0, 0), "io_uring_setup": (425, 1, "bytes(120)"), "bpf": (357, 0, 0), "keyctl": (288, 0),
    "mmap2 executable": (192, 0, 4096, 5, 0x22), "mprotect executable": (125, "4096", 4096, 7),
}
EPERM = 1
_NOT_HERE = "another way than this one"


@pytest.fixture(params=WAYS)
def as_user(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], Any]:
    """Runs a function in a process of a user who has that way alone; what it returned, or the error it raised."""
    way = request.param
    if way == "landlock":
        monkeypatch.setattr(sandbox, "_WALLS", sandbox._WALLS.replace("m(310,", "m(9999,"))
    if way == "root" and os.getuid() != 0:
        pytest.skip("only root has chroot without a namespace")
    expected = Confinement.LANDLOCK if way == "landlock" else Confinement.CHROOT

    def act(action: Callable[[MicroPythonVM], Any]) -> Any:
        board = MicroPythonVM(
            Soc(bare_flash()), {"/main.py": b"print('lamp')\n"}, NoNetwork(), console=lambda text: None,
            must_be_confined=True)
        try:
            if board.confinement is not expected:
                return _NOT_HERE
            return action(board)
        finally:
            board.close()

    def answer(action: Callable[[MicroPythonVM], Any]) -> Any:
        result = in_process_of_user(action)
        if result == _NOT_HERE or (isinstance(result, str) and "this machine cannot confine" in result):
            pytest.skip(f"this kernel has no {way} for this user")
        assert not isinstance(result, str), result
        return result

    def in_process_of_user(action: Callable[[MicroPythonVM], Any]) -> Any:
        if way == "root" or os.getuid() != 0:
            return act(action)
        find_installation()
        reader, writer = os.pipe()
        if not (child := os.fork()):
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            try:
                result = act(action)
            except BaseException as error:
                result = f"{type(error).__name__}: {error}"
            os.write(writer, pickle.dumps(result))
            os._exit(0)
        os.close(writer)
        os.waitpid(child, 0)
        with os.fdopen(reader, "rb") as said:
            return pickle.loads(said.read())

    return answer


def error_of(board: MicroPythonVM, source: str) -> int:
    """The number of the OSError that a statement ends in; 0 if it ends well."""
    try:
        board.exec(source)
    except DeviceOSError as error:
        return int(error.args[0])
    return 0


def test_no_path_leads_out(as_user: Callable[..., Any]) -> None:
    def attack(board: MicroPythonVM) -> list[int]:
        board.exec("import os, vfs\nassert os.listdir('/') == ['main.py']\nwith open('/new', 'w') as f: f.write('x')")
        return [error_of(board, source) for source in (
            "open('/../../../../../etc/hostname')", "open('/../../../../../tmp/out', 'w')",
            "vfs.VfsPosix('/etc').open('hostname', 'r')", "vfs.VfsPosix('/proc').open('self/environ', 'r')",
            "vfs.mount(vfs.VfsPosix('/'), '/x')\nopen('/x/etc/hostname')", "os.remove('/../../../../../etc/hostname')")]

    assert all(as_user(attack)), "a file of this machine was opened"


def test_there_is_no_ffi(as_user: Callable[..., Any]) -> None:
    def attack(board: MicroPythonVM) -> Any:
        return board.eval("[name for name in dir(__import__('ffi')) if name[0] != '_']")

    assert as_user(attack) == []


def test_raw_calls_of_the_kernel_are_refused(as_user: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """As by a program that writes its own memory: it has `ffi` again."""
    monkeypatch.delitem(vm.GONE, "ffi")
    names = dict(CALLS)

    def attack(board: MicroPythonVM) -> dict[str, int]:
        board.exec("import ffi\nlib = ffi.open(None)\ns = lib.func('i', 'syscall', 'iPPPPP')\n"
                   "where = lib.func('p', '__errno_location', '')()\nimport uctypes")
        found = {}
        for name, (number, *arguments) in names.items():
            values = ", ".join(str(value) for value in (*arguments, *[0] * (5 - len(arguments))))
            board.exec(f"r = s({number}, {values})")
            error = int(board.eval("uctypes.bytearray_at(where, 4)[0]")) if board.eval("r") == -1 else 0
            found[name] = error
        return found

    assert as_user(attack) == dict.fromkeys(names, EPERM)


def test_without_walls_no_board_from_elsewhere_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "_FILTER", sandbox._FILTER.replace("m(172,", "m(9999,"))
    with pytest.raises(BenchError, match="this machine cannot confine") as caught:
        MicroPythonVM(Soc(bare_flash()), {}, NoNetwork(), must_be_confined=True)
    assert caught.value.exit_code == 2 and "--trust" in str(caught.value)
    own = MicroPythonVM(Soc(bare_flash()), {}, NoNetwork())
    own.exec("print(6 * 7)")
    assert own.output == "42\n"
    own.close()
