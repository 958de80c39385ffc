"""The real VM as the board's: what it is like, how a boot of it ends, and that the bench takes little of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from slotbench.vboard.flash.cuts import Cut, CutMode
from slotbench.vboard.micropython import MicroPythonVM
from slotbench.vboard.micropython.process import VMDied
from slotbench.vboard.micropython.wire import DeviceError
from slotbench.vboard.network.base import Network, NoNetwork
from slotbench.vboard.network.wsgi import WsgiNetwork
from slotbench.vboard.signals import BenchViolation, ChipReset, DeviceOSError, PowerCut
from slotbench.vboard.soc import Soc
from support.vboard.flash import bare_flash

pytestmark = pytest.mark.usefixtures("micropython")

SLOT = 0x80000
FILESYSTEM = 0x100000


class VmBench:
    """Makes VMs on one chip, and ends them."""

    def __init__(self) -> None:
        self.soc = Soc(bare_flash(), sdk_save_every=0)
        self.soc.flash.poke(FILESYSTEM, b"\xff" * (self.soc.flash.size - FILESYSTEM))
        self.files: dict[str, bytes] = {}
        self.made: list[MicroPythonVM] = []

    def start(self, network: Network | None = None, **options: object) -> MicroPythonVM:
        vm = MicroPythonVM(self.soc, self.files, network or NoNetwork(), **options)  # type: ignore[arg-type]
        self.made.append(vm)
        return vm


@pytest.fixture
def bench() -> Iterator[VmBench]:
    bench = VmBench()
    yield bench
    for vm in bench.made:
        vm.close()


@pytest.fixture
def vm(bench: VmBench) -> MicroPythonVM:
    return bench.start()


def test_it_has_the_heap_of_an_esp8266(vm: MicroPythonVM) -> None:
    vm.exec("import gc")
    assert vm.eval("gc.mem_alloc() + gc.mem_free()") == 37952 + 448 + 2944
    free = vm.eval("[gc.collect(), gc.mem_free()][1]")
    print(f"free on a board without files: {free} bytes")
    assert free >= 32_800, "the bench's own part of the heap has grown"
    assert vm.eval("__import__('sys').maxsize") == 0x7FFFFFFF


def test_the_heap_lies_where_it_lay_at_the_last_boot(bench: VmBench) -> None:
    """So a run is the same every time, also what the collector takes for pointers."""
    first, second = (bench.start().eval("str(id('here' * 9))") for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    "expression",
    [
        "'a=b'.partition", "b'a'.rpartition", "bytearray(b'a').splitlines", "'a'.center", "compile", "complex",
        "execfile", "NotImplemented", "__import__('binascii').crc32", "__import__('hashlib').md5",
        "__import__('random').randint", "__import__('math').factorial", "__import__('sys').exc_info",
        "__import__('os').system", "__import__('time').clock", "__import__('machine').mem8",
    ],
)
def test_what_the_port_lacks_is_not_there(vm: MicroPythonVM, expression: str) -> None:
    with pytest.raises((AttributeError, NameError)):
        vm.eval(expression)


def test_neighbours_of_what_is_gone_are_still_there(vm: MicroPythonVM) -> None:
    assert vm.eval("'a-b'.split('-'), b'x'.hex(), ' a'.strip(), 'ab'.find('b')") == (["a", "b"], "78", "a", 1)
    vm.exec("import binascii, hashlib\nassert binascii.hexlify(b'x') == b'78'")
    assert len(vm.eval("hashlib.sha256(b'').digest()")) == 32


def test_pow_takes_two_arguments(vm: MicroPythonVM) -> None:
    assert vm.eval("pow(2, 10)") == 1024
    with pytest.raises(TypeError):
        vm.eval("pow(2, 10, 7)")


def test_what_it_says_of_itself(vm: MicroPythonVM) -> None:
    vm.exec("import sys")
    assert vm.eval("sys.platform, sys.implementation._mpy, sys.path") == (
        "esp8266", 0x2706, ["", ".frozen", "/lib"])
    assert vm.eval("sorted(sys.modules)") == ["esp", "machine", "network", "random", "select", "socket", "time"]


def test_time_is_the_boards_and_counts_from_2000(vm: MicroPythonVM) -> None:
    vm.exec("import machine, time\nmachine.RTC().datetime((2026, 1, 2, 4, 3, 4, 5, 0))")
    assert vm.eval("time.localtime()[:6]") == (2026, 1, 2, 3, 4, 5)
    assert vm.eval("time.time()") == 820_638_245
    before = vm.runtime.clock.ms
    vm.exec("time.sleep_ms(1500)\ntime.sleep(0.5)")
    assert vm.runtime.clock.ms - before == 2000


def test_files_persist_and_are_taken_over_when_closed(bench: VmBench) -> None:
    bench.files["/old.txt"] = b"old"
    vm = bench.start()
    vm.exec("import os\nos.mkdir('d')\nwith open('d/new.txt', 'w') as f:\n    f.write('new')\nos.remove('old.txt')")
    assert bench.files == {"/d/new.txt": b"new"}
    vm.exec("f = open('half.txt', 'w')\nf.write('half')")
    assert bench.files["/half.txt"] == b"", "littlefs keeps what was closed or flushed"
    bench.files["/host.txt"] = b"from outside"
    assert vm.eval("open('host.txt').read()") == "from outside"
    vm.close()
    assert sorted(bench.files) == ["/d/new.txt", "/half.txt", "/host.txt"]


def test_modules_are_imported_from_the_boards_files(bench: VmBench) -> None:
    bench.files["/lib/mine.py"] = b"VALUE = 7\n"
    bench.files["/main.py"] = b"import mine\nprint(mine.VALUE, __name__)\n"
    vm = bench.start()
    vm.run_file("main.py")
    assert vm.output == "7 __main__\n"
    with pytest.raises(DeviceOSError):
        vm.run_file("/none.py")


def test_a_refused_package_is_an_incompatible_mpy(bench: VmBench) -> None:
    bench.files["/pack/__init__.py"] = b""
    with pytest.raises(ValueError, match="incompatible .mpy file"):
        bench.start(refuse={"pack": ""}).exec("import pack")


def test_flash_is_the_boards(vm: MicroPythonVM) -> None:
    vm.exec(
        f"import esp\nesp.flash_erase({SLOT >> 12})\nesp.flash_write({SLOT}, b'12345678')\n"
        f"back = bytearray(8)\nesp.flash_read({SLOT}, back)\n")
    assert vm.eval("back") == b"12345678" == vm.runtime.soc.flash.peek(SLOT, 8)
    assert vm.eval(f"esp.flash_read({SLOT}, 4)") == b"1234"
    with pytest.raises(OSError) as caught:
        vm.exec("esp.flash_erase(0x400)")
    assert caught.value.args == (5,)


def test_memory_words(vm: MicroPythonVM) -> None:
    vm.exec("import machine\nmachine.mem32[0x600013F8] = 0xFFFFFFFE")
    assert vm.eval("machine.mem32[0x600013F8]") == -2
    assert vm.eval("machine.mem32[0x3FFFC71C]") == vm.runtime.soc.chip_size
    with pytest.raises(BenchViolation):
        vm.exec("machine.mem32[0x3FFFC720] = 1")


def test_what_is_asked_in_the_block_loop_takes_nothing_from_the_heap(bench: VmBench) -> None:
    vm = bench.start(WsgiNetwork(lambda environ, start: (start("200 OK", []), [b"x" * 64])[1]))
    vm.runtime.clock.advance_ms(10_000)
    vm.exec(
        "import esp, machine, micropython, socket, time\n"
        "buf, mem, s, n = bytearray(64), machine.mem32, socket.socket(), 0\n"
        "s.connect(socket.getaddrinfo('a', 80)[0][-1])\n"
        "ask = b'GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n'\n"
        "micropython.heap_lock()\n"
        f"esp.flash_erase({SLOT >> 12})\nesp.flash_write({SLOT}, buf)\nesp.flash_read({SLOT}, buf)\n"
        "mem[0x3FFFC71C] = mem[0x3FFFC71C]\ntime.sleep_ms(5)\ntime.ticks_ms()\ns.write(ask)\nn = s.readinto(buf)\n"
        "micropython.heap_unlock()\n")
    assert vm.eval("n, bytes(buf[:8])") == (64, b"HTTP/1.1")


def test_a_reset_ends_the_boot_where_it_is(vm: MicroPythonVM) -> None:
    with pytest.raises(ChipReset) as caught:
        vm.exec("import machine\ntry:\n    machine.reset()\nfinally:\n    print('too late')")
    assert (caught.value.reason, vm.output) == (4, "")
    with pytest.raises(BenchViolation, match="has ended"):
        vm.exec("pass")


def test_a_power_cut_ends_it_at_the_flash_operation(bench: VmBench) -> None:
    bench.soc.flash.arm(Cut(1, CutMode.BEFORE))
    vm = bench.start()
    with pytest.raises(PowerCut):
        vm.exec(
            "import esp\ntry:\n    for i in range(9):\n        esp.flash_erase(0x180 + i)\n"
            "finally:\n    open('late.txt', 'w').close()\n")
    assert bench.soc.flash.operations == 2 and not bench.files


def test_ctrl_c_reaches_the_program_when_it_waits(vm: MicroPythonVM) -> None:
    vm.interrupt_at(vm.runtime.clock.ms + 5000)
    with pytest.raises(KeyboardInterrupt):
        vm.exec("import time\nwhile True:\n    try:\n        time.sleep_ms(100)\n    except Exception:\n        pass")
    vm.interrupt_at(None)
    assert vm.eval("1 + 1") == 2, "the board is at its REPL"


def test_timers_call_back_between_two_bytecodes(vm: MicroPythonVM) -> None:
    vm.exec(
        "import machine, time\nticks = []\n"
        "timer = machine.Timer(-1)\n"
        "timer.init(period=1000, mode=machine.Timer.PERIODIC, callback=lambda t: ticks.append(time.ticks_ms()))\n"
        "time.sleep_ms(3500)\ntimer.deinit()\ntime.sleep_ms(3000)\n")
    first, second, third = vm.eval("ticks")
    assert (second - first, third - second) == (1000, 1000)


def test_a_callback_that_fails_is_printed_and_the_program_goes_on(vm: MicroPythonVM) -> None:
    vm.exec(
        "import machine, time\n"
        "machine.Timer(-1).init(period=10, mode=machine.Timer.ONE_SHOT, callback=lambda t: 1 // 0)\n"
        "time.sleep_ms(100)\nprint('on')\n")
    assert vm.output.endswith("ZeroDivisionError: divide by zero\non\n")


def test_exceptions_keep_their_class_and_number(vm: MicroPythonVM) -> None:
    for source, kind, args in (
        ("raise OSError(110)", OSError, (110,)), ("raise ValueError('x')", ValueError, ("x",)),
        ("raise SystemExit", SystemExit, ()), ("bytearray(40000)", MemoryError, None),
        ("class Own(Exception):\n    pass\nraise Own(4, 2)", DeviceError, ("Own", 4, 2)),
    ):
        with pytest.raises(kind) as caught:
            vm.exec(source)
        assert args is None or caught.value.args == args


def test_tracebacks_name_the_programs_lines_only(bench: VmBench) -> None:
    bench.files["/app.py"] = b"def f():\n    open('/nothing')\n"
    vm = bench.start()
    with pytest.raises(OSError) as caught:
        vm.exec("import app\napp.f()")
    vm.print_exception(caught.value)
    assert vm.output == (
        "Traceback (most recent call last):\n"
        '  File "<stdin>", line 2, in <module>\n'
        '  File "app.py", line 2, in f\n'
        "OSError: [Errno 2] ENOENT\n"
    )


def test_repl_prints_values(vm: MicroPythonVM) -> None:
    for line in ("x = 20", "x + 1", "None", "'a'", "for i in range(2):\n    print(i)"):
        vm.run_line(line)
    assert vm.output == "21\n'a'\n0\n1\n"


def test_a_lot_of_output_arrives_in_order(vm: MicroPythonVM) -> None:
    vm.exec("for i in range(20000):\n    print('line', i)\n")
    assert vm.output.splitlines() == [f"line {i}" for i in range(20000)]


def test_randomness_is_the_chips(bench: VmBench) -> None:
    drawn = []
    for _ in range(2):
        bench.soc.random.seed(5)
        drawn.append(bench.start().eval("__import__('os').urandom(4), __import__('random').getrandbits(16)"))
    assert drawn[0] == drawn[1]


def test_a_vm_that_dies_is_told_from_a_program_that_ends(vm: MicroPythonVM) -> None:
    with pytest.raises(VMDied):
        vm.exec("import uctypes\nuctypes.bytearray_at(0, 4)[0] = 1")


def test_a_file_that_is_still_open_for_reading_may_be_rewritten(bench: VmBench) -> None:
    """Nobody closed it, as in a line typed at the REPL; only one that is open for writing is unfinished."""
    vm = bench.start()
    vm.exec("with open('/a.py', 'w') as f: f.write('x = 1')\nheld = open('/a.py')\nheld.read()")
    vm.exec("with open('/a.py', 'w') as f: f.write('x = 2')\nf = open('/b.py', 'w')\nf.write('half')")
    assert bench.files == {"/a.py": b"x = 2", "/b.py": b""}
    vm.close()
    assert bench.files == {"/a.py": b"x = 2", "/b.py": b""}
