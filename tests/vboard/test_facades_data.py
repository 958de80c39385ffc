"""Files and data modules of the virtual board, and what the port leaves out."""

from __future__ import annotations

import hashlib

import pytest

from slotbench.vboard.soc import Soc
from slotbench.vboard.vm import CPythonVM
from support.vboard.flash import bare_flash
from support.vboard.first_boot import start


@pytest.fixture
def soc() -> Soc:
    return Soc(bare_flash(), sdk_save_every=0)


@pytest.fixture
def vm(soc: Soc) -> CPythonVM:
    return start(soc)


# files


def test_files_are_there_whole_or_not_at_all(soc: Soc) -> None:
    files = {"/data.txt": b"old"}
    vm = start(soc, files=files)
    vm.exec("f = open('data.txt', 'w')\nf.write('new ü')")
    assert files["/data.txt"] == b"old"
    vm.exec("f.close()")
    assert files["/data.txt"] == "new ü".encode()
    vm.exec("g = open('/data.txt', 'wb')\ng.write(b'lost')\ndel g\nimport gc\ngc.collect()")
    assert files["/data.txt"] == "new ü".encode(), "what nobody closed was never written"


def test_reading_and_appending(soc: Soc) -> None:
    files = {"/a/lines": b"one\ntwo\n"}
    vm = start(soc, files=files)
    vm.exec("with open('/a/lines', 'a') as f:\n    f.write('three')")
    assert files["/a/lines"] == b"one\ntwo\nthree"
    assert vm.eval("[line for line in open('/a/lines')]") == ["one\n", "two\n", "three"]
    assert vm.eval("open('/a/lines', 'rb').read(3)") == b"one"
    vm.exec("b = bytearray(4)\nn = open('/a/lines', 'rb').readinto(b)")
    assert vm.eval("n, bytes(b)") == (4, b"one\n")
    assert vm.eval("open('a/lines').readline()") == "one\n"
    with pytest.raises(ValueError):
        vm.exec("open('/a/lines', 'r+')")


def test_os(soc: Soc) -> None:
    files = {"/boot.py": b"", "/lib/x.py": b"12", "/lib/p/y.py": b""}
    vm = start(soc, files=files)
    assert vm.eval("os.listdir()") == ["boot.py", "lib"] == vm.eval("os.listdir('/')")
    assert vm.eval("os.listdir('lib')") == ["p", "x.py"]
    assert vm.eval("os.stat('/lib/x.py')[6], os.stat('/lib')[0]") == (2, 0x4000)
    vm.exec("os.rename('/lib/x.py', '/x.py')\nos.remove('boot.py')")
    assert sorted(files) == ["/lib/p/y.py", "/x.py"]
    for call in ("os.remove('/boot.py')", "os.stat('/no')", "os.listdir('/no')", "open('/no')"):
        with pytest.raises(OSError) as caught:
            vm.exec(call)
        assert caught.value.errno == 2
    with pytest.raises(OSError):
        vm.exec("os.remove('/lib')")
    assert len(vm.eval("os.urandom(8)")) == 8


# data modules


def test_a_hash_can_be_asked_once(vm: CPythonVM) -> None:
    vm.exec("h = hashlib.sha256(b'ab')\nh.update(memoryview(b'c'))")
    assert vm.eval("h.digest()") == hashlib.sha256(b"abc").digest()
    for again in ("h.digest()", "h.update(b'')"):
        with pytest.raises(ValueError, match="hash is final"):
            vm.exec(again)


@pytest.mark.parametrize(
    "name",
    ["hashlib.md5", "hashlib.new", "hashlib.sha256().hexdigest", "hashlib.sha256().copy", "binascii.crc32",
     "random.randint", "random.choice", "json.JSONDecoder", "time.monotonic", "os.environ", "sys.getsizeof",
     "machine.mem64", "socket.create_connection", "select.epoll", "gc.get_objects"],
)  # fmt: skip
def test_what_the_port_lacks_is_not_there(vm: CPythonVM, name: str) -> None:
    with pytest.raises(AttributeError):
        vm.eval(name)


def test_binascii_and_json(vm: CPythonVM) -> None:
    assert vm.eval("binascii.a2b_base64(b'YWJj')") == b"abc"
    assert vm.eval("binascii.b2a_base64(b'abc', newline=False)") == b"YWJj"
    assert vm.eval("binascii.unhexlify(binascii.hexlify(b'\\x00\\xff'))") == b"\x00\xff"
    assert vm.eval("json.loads(json.dumps({'a': [1, None, 'ü']}))") == {"a": [1, None, "ü"]}
    for bad in ("json.loads('{')", "json.loads('{} x')", "json.loads('NaN')", "binascii.unhexlify('0')",
                "binascii.a2b_base64(b'a')"):
        with pytest.raises(ValueError) as caught:
            vm.eval(bad)
        assert type(caught.value) is ValueError


def test_sys(vm: CPythonVM) -> None:
    assert vm.eval("sys.implementation._mpy & 0xFF, sys.implementation._mpy >> 10") == (6, 9)
    assert vm.eval("sys.implementation.name, sys.platform") == ("micropython", "esp8266")
    vm.exec("try:\n    1 / 0\nexcept Exception as e:\n    sys.print_exception(e)")
    assert vm.output.startswith("Traceback (most recent call last):") and "ZeroDivisionError" in vm.output
    with pytest.raises(SystemExit):
        vm.exec("sys.exit()")


def test_random_is_seeded_by_the_board(soc: Soc) -> None:
    vms = [start(Soc(bare_flash(), seed=seed)) for seed in (1, 1, 2)]
    draws = [vm.eval("random.getrandbits(32), os.urandom(4)") for vm in vms]
    assert draws[0] == draws[1] != draws[2]


def test_files_have_the_usual_calls(soc: Soc) -> None:
    files = {"/f": b"one\ntwo\n"}
    vm = start(soc, files=files)
    vm.exec("f = open('f')\nf.seek(4)\nrest = f.readlines()\nplace = f.tell()")
    assert vm.eval("rest, place") == (["two\n"], 8)
    with pytest.raises(OSError) as caught:
        vm.exec("f.write('x')")
    assert caught.value.errno == 9
    vm.exec("f.close()\nf.close()")
    with pytest.raises(ValueError, match="closed file"):
        vm.exec("f.read()")
    vm.exec("g = open('f', 'ab')\ng.write('three')\ng.flush()")
    assert files["/f"] == b"one\ntwo\nthree"
    vm.exec("os.mkdir('/new')\nprint('x', 1, sep='-', end='!', file=sys.stdout)")
    assert vm.output == "x-1!"
    with pytest.raises(OSError) as caught:
        vm.exec("os.mkdir('/f')")
    assert caught.value.errno == 17
    with pytest.raises(OSError):
        vm.exec("os.rename('/nothing', '/f')")
