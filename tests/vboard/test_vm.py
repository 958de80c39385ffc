"""Device code under CPython: its own modules and builtins, imports as in MicroPython."""

from __future__ import annotations

import sys

import pytest

from slotbench import data_path
from slotbench.vboard.network.base import NoNetwork
from slotbench.vboard.signals import BenchViolation, ChipReset, DeviceOSError, PowerCut
from slotbench.vboard.soc import Soc
from slotbench.vboard.vm import CPythonVM
from support.vboard.flash import bare_flash


def make(files: dict[str, str] | None = None, **options: object) -> CPythonVM:
    content = {path: text.encode() for path, text in (files or {}).items()}
    soc = Soc(bare_flash(), sdk_save_every=0)
    return CPythonVM(soc, content, NoNetwork(), **options)  # type: ignore[arg-type]


PACKAGE = {
    "/pack/__init__.py": "loaded = []\n",
    "/pack/a.py": "import pack\npack.loaded.append(__name__)\nVALUE = 1\n",
    "/pack/b.py": "from . import a\nfrom .a import VALUE\nfrom pack import loaded\n",
    "/lib/pack2/__init__.py": "from pack2 import deep\n",
    "/lib/pack2/deep/__init__.py": "from .. import other\nfrom ..other import NAME\n",
    "/lib/pack2/other.py": "NAME = __name__\n",
}


def test_nothing_of_this_process_is_touched() -> None:
    before = dict(sys.modules), list(sys.path)
    vm = make({"/json.py": "MINE = 1\n", **PACKAGE})
    vm.exec("import pack.b, time, socket, esp\nimport sys\nsys.modules['os'] = 1\nsys.path.append('/x')")
    assert (dict(sys.modules), list(sys.path)) == before
    assert "pack" not in sys.modules


def test_two_vms_share_no_module() -> None:
    one, two = make(PACKAGE), make(PACKAGE)
    one.exec("import pack.a\npack.mark = 1")
    assert not hasattr(two.import_("pack"), "mark")
    assert one.import_("pack") is not two.import_("pack")


def test_forms_of_import() -> None:
    vm = make(PACKAGE)
    vm.exec(
        "import pack.a\n"
        "assert pack.a.VALUE == 1 and pack.a.__name__ == 'pack.a'\n"
        "import pack.b as second\n"
        "assert second.a is pack.a and second.VALUE == 1\n"
        "from pack import a, b\n"
        "assert a is pack.a and b is second\n"
        "from pack.a import *\n"
        "assert VALUE == 1\n"
        "import pack2\n"
        "assert pack2.deep.NAME == 'pack2.other'\n"
        "assert pack.loaded == ['pack.a']\n"
    )


def test_deleting_from_sys_modules_makes_a_fresh_module() -> None:
    """The device package drops what it does not need any more and imports it again later."""
    vm = make(PACKAGE)
    vm.exec(
        "import sys, pack.a\n"
        "old = pack.a\n"
        "del sys.modules['pack.a']\n"
        "from pack import a\n"
        "assert a is old, 'the package still has it, as in MicroPython'\n"
        "del pack.a\n"
        "from pack import a\n"
        "assert a is not old and pack.a is a and sys.modules['pack.a'] is a\n"
        "sys.modules.pop('pack.a')\n"
        "import pack.a as again\n"
        "assert again is not a and pack.a is again\n"
        "assert pack.loaded == ['pack.a'] * 3\n"
    )


def test_a_module_that_takes_itself_out_of_sys_modules_runs_once() -> None:
    """As the boot hook does: the import that runs it does not look for it again."""
    vm = make({"/hook.py": "import sys\nprint('ran')\nsys.modules.pop(__name__)\n"})
    vm.exec("import hook, sys\nassert 'hook' not in sys.modules")
    assert vm.output == "ran\n"
    vm.exec("__import__('hook')")
    assert vm.output == "ran\nran\n"


def test_a_module_that_fails_half_way_is_not_kept() -> None:
    vm = make({"/bad.py": "import sys\nX = 1\n1 / 0\n"})
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            vm.import_("bad")
    assert "bad" not in vm.modules


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("import nothing", "no module named 'nothing'"),
        ("import pack.nothing", "no module named 'pack.nothing'"),
        ("from pack import nothing", "can't import name nothing"),
        ("from time import nothing", "can't import name nothing"),
        ("from . import pack", "can't perform relative import"),
    ],
)
def test_imports_that_fail(statement: str, message: str) -> None:
    with pytest.raises(ImportError, match=message):
        make(PACKAGE).exec(statement)


def test_circular_imports_see_the_half_made_module() -> None:
    vm = make({"/one.py": "import two\nA = two.B\n", "/two.py": "import one\nB = hasattr(one, 'A')\n"})
    assert vm.import_("one").A is False


def test_modules_of_this_process_cannot_be_imported() -> None:
    for name in ("typing", "logging", "subprocess", "hmac", "slotbench"):
        with pytest.raises(ImportError):
            make().import_(name)


def test_u_names_force_the_builtin() -> None:
    make().exec("import utime, ustruct\nassert utime.ticks_ms() >= 0 and ustruct.calcsize('<I') == 4")


def test_a_refused_import_looks_like_an_incompatible_mpy() -> None:
    vm = make(PACKAGE, refuse={"pack": "incompatible .mpy file"})
    with pytest.raises(ValueError, match="incompatible .mpy file"):
        vm.exec("import pack.a")


def test_mpy_files_are_said_to_be_out_of_reach() -> None:
    with pytest.raises(BenchViolation, match="source only"):
        make({"/lib/fast.mpy": "M"}).import_("fast")


@pytest.mark.parametrize(
    "expression",
    ["compile", "complex", "NotImplemented", "__file__", "TimeoutError", "vars", "format", "breakpoint"],
)
def test_names_the_port_does_not_have(expression: str) -> None:
    with pytest.raises(NameError):
        make().eval(expression)


def test_pow_takes_two_arguments() -> None:
    assert make().eval("pow(2, 10)") == 1024
    with pytest.raises(TypeError):
        make().eval("pow(2, 10, 7)")


def test_oserror_has_its_number_as_errno() -> None:
    vm = make()
    vm.exec("try:\n    raise OSError(110)\nexcept OSError as e:\n    seen = e.errno, e.args, str(e)\n")
    assert vm.eval("seen") == (110, (110,), "[Errno 110] ETIMEDOUT")
    with pytest.raises(OSError):
        vm.exec("open('/nothing')")


def test_files_run_in_main_and_share_it() -> None:
    vm = make({"/boot.py": "greeting = 'hello'\n", "/main.py": "print(greeting, __name__)\n"})
    vm.run_file("/boot.py")
    vm.run_file("main.py")
    assert vm.output == "hello __main__\n"
    with pytest.raises(DeviceOSError):
        vm.run_file("/none.py")


def test_repl_prints_values() -> None:
    vm = make()
    for line in ("x = 20", "x + 1", "None", "'a'", "for i in range(2):\n    print(i)"):
        vm.run_line(line)
    assert vm.output == "21\n'a'\n0\n1\n"


def test_tracebacks_name_device_files_only() -> None:
    vm = make({"/app.py": "def f():\n    open('/nothing')\n"})
    with pytest.raises(OSError) as caught:
        vm.exec("import app\napp.f()")
    vm.print_exception(caught.value)
    assert vm.output == (
        "Traceback (most recent call last):\n"
        '  File "<stdin>", line 2, in <module>\n'
        '  File "app.py", line 2, in f\n'
        "OSError: [Errno 2] ENOENT\n"
    )


CATCHES = ["Exception", "", "BaseException", "BaseException as e", "(OSError, BaseException)", "ValueError:\n    pass\nexcept"]


@pytest.mark.parametrize("what", CATCHES)
def test_a_reset_leaves_through_every_handler_for_exceptions(what: str) -> None:
    """No program on a chip catches it, whatever it catches."""
    vm = make()
    with pytest.raises(ChipReset) as caught:
        vm.exec(f"import machine\ntry:\n    machine.reset()\nexcept {what}:\n    pass")
    assert caught.value.reason == 4


@pytest.mark.parametrize("error", ["ValueError(7)", "KeyboardInterrupt", "SystemExit", "Own"])
def test_a_handler_for_everything_catches_everything_else(error: str) -> None:
    vm = make()
    vm.exec(
        "class Own(BaseException):\n    pass\n"
        f"seen = 0\ntry:\n    try:\n        raise {error}\n    except:\n        seen += 1\n        raise\n"
        "except BaseException as e:\n    seen += 1\nelse:\n    seen = 9\nfinally:\n    seen += 1")
    assert vm.eval("seen") == 3


def test_finally_on_a_dead_chip_reaches_nothing() -> None:
    vm = make()
    vm.exec("import esp, machine\ntouched = []")
    vm.runtime.soc.power_off()
    with pytest.raises(PowerCut):
        vm.exec(
            "try:\n    esp.flash_read(0, 4)\n"
            "finally:\n    machine.mem32[0x3FFFC71C] = 0x200000\n    touched.append(1)\n"
        )
    assert vm.eval("touched") == []


def test_code_is_compiled_once_for_all_vms() -> None:
    code = [make(PACKAGE)._compile_file("/pack/a.py", PACKAGE["/pack/a.py"].encode()) for _ in range(2)]
    assert code[0] is code[1]


def device_files(folder: str = "") -> dict[str, str]:
    device = data_path("device")
    return {f"{folder}/{path.relative_to(device)}": path.read_text() for path in device.rglob("*.py")}


def test_installed_device_files_are_run_under_their_own_path() -> None:
    """Else coverage could not see what the virtual board ran."""
    vm = make(device_files("/lib"))
    real = str(data_path("device", "twoslot", "boot", "journal.py"))
    assert vm.import_("twoslot.boot.journal").Cell.pack.__code__.co_filename == real
    assert vm.runtime.source_names[real] == "lib/twoslot/boot/journal.py"
    changed = device_files() | {"/twoslot/boot/journal.py": device_files()["/twoslot/boot/journal.py"] + "\n"}
    assert make(changed).import_("twoslot.boot.journal").Cell.pack.__code__.co_filename == "/twoslot/boot/journal.py"


def test_every_device_module_imports() -> None:
    files = device_files()
    vm = make(files)
    modules = [path for path in sorted(files) if path.startswith("/twoslot/") and "__init__" not in path]
    assert len(modules) >= 14
    for path in modules:
        vm.import_(path[1:-3].replace("/", "."))


def test_the_device_reaches_the_slots_through_its_port() -> None:
    """port.py unmodified: it raises chip_size around one call and leaves it as it was."""
    vm = make(device_files())
    soc = vm.runtime.soc
    soc.start_sdk()
    vm.exec(
        "from twoslot.flash import Flash\n"
        "port = Flash()\n"
        "port.erase(0x200000)\n"
        "port.write(0x200000, b'slot')\n"
        "back = bytearray(4)\n"
        "port.read(0x200000, back)\n"
    )
    assert vm.eval("back") == b"slot" and soc.chip_size == 0x200000


@pytest.mark.parametrize("line", ["import once", "__import__('once')", "from once import runs"])
def test_a_module_that_leaves_sys_modules_runs_once(line: str) -> None:
    """As in MicroPython: the import statement has the module already and does not look for it again."""
    vm = make({"/once.py": "import sys\nprint('ran')\nruns = 1\nsys.modules.pop(__name__)\n"})
    vm.exec(line)
    assert vm.output == "ran\n" and "once" not in vm.modules


def test_closing_drops_every_module() -> None:
    vm = make(PACKAGE)
    vm.exec("import pack.b, time")
    vm.close()
    assert not vm.modules


def test_relative_paths_of_files_are_refused() -> None:
    with pytest.raises(ValueError, match="not an absolute path: 'boot.py'"):
        make({"boot.py": ""})
