"""Device code under CPython, isolated: its own module table, builtins and import.

Device files come from the board's files. A source of the device package runs with its constants by
value, as it is built for a board (slotbench.mpy.inlined). Code objects are compiled once per content
and shared by all VMs; a file whose bytes equal one of the installed device package, or its .mpy, is
compiled under its path, so that coverage and debuggers see it.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Mapping, Sequence
from types import CodeType, ModuleType
from typing import Any, Final, Protocol

from slotbench.syntax import parse
from slotbench.vboard.facades import build
from slotbench.vboard.facades.files import absolute
from slotbench.vboard.facades.names import device_builtins
from slotbench.vboard.frozen import FOLDER
from slotbench.vboard.handlers import SIGNALS, SIGNALS_NAME, compile_program
from slotbench.vboard.network.base import Network
from slotbench.vboard.folder_index import FolderIndex
from slotbench.vboard.package import PACKAGE, as_built, installed, source_of
from slotbench.vboard.runtime import Runtime
from slotbench.vboard.signals import DeviceOSError
from slotbench.vboard.soc import Soc

__all__ = ["MPY_XTENSA", "Attachable", "CPythonVM", "DeviceVM"]

MPY_XTENSA: Final = 0x2706
"""`sys.implementation._mpy` for mpy 6.3 on an ESP8266: arch 9 (xtensa) << 10 | 3 << 8 | 6."""


class Attachable(Protocol):
    """A terminal (slotbench.vboard.serial.terminal)."""

    def attach(self, runtime: Runtime) -> None:
        """Serve this boot."""


class DeviceVM(Protocol):
    """What runs Python for one boot of a board; made from chip, files, network, `console` and
    `refuse`.
    """

    runtime: Runtime

    def interrupt_at(self, ms: float | None) -> None:
        """Press Ctrl-C at this virtual time of the chip's clock; None: never."""

    def exec(self, source: str) -> None:
        """Run statements in __main__."""

    def eval(self, source: str) -> Any:
        """Return the value of an expression in __main__."""

    def exec_streamed(self, source: str) -> None:
        """As `exec`, but the source is never in the heap, as in raw-paste mode."""

    def run_line(self, line: str) -> None:
        """Run what a person types."""

    def run_interactive(self, source: str) -> None:
        """Run a statement typed at the prompt: the values of expressions in it are printed."""

    def folder(self) -> str:
        """The folder that the program is in (os.chdir): MicroPython looks for main.py there."""

    def run_file(self, path: str) -> None:
        """Run a file in __main__."""

    def print_exception(self, error: BaseException) -> None:
        """Put the traceback of an exception that came out of one of these on the console."""

    def agent(self) -> tuple[int, int, int] | None:
        """State of the device's agent, blocks in place and blocks of the image; None when there is
        none.
        """

    def attach(self, terminal: Attachable) -> None:
        """Make `terminal` the program's standard input."""

    def names(self, path: str) -> Sequence[str]:
        """Those of what a dotted path in __main__ leads to; its globals for an empty one, () for nothing."""

    def close(self) -> None:
        """End this boot."""


_CODE: dict[tuple[str, bytes, str], CodeType] = {}


class CPythonVM:
    """One boot of MicroPython on `soc`: made when the firmware starts, closed at the next reset.

    `files` maps absolute paths ("/boot.py") to content and outlives the VM. `console` gets what is
    printed; without one it is collected in `output`. `mpy` is the firmware's
    `sys.implementation._mpy`. `refuse` names modules whose import raises ValueError with that text,
    as an incompatible .mpy file does. `frozen` maps paths below `.frozen` to sources of modules in
    the firmware (slotbench.vboard.frozen).

    What leaves `exec`, `eval`, `import_` and `run_file`: ChipReset, PowerCut, BenchViolation,
    KeyboardInterrupt at the deadline, SystemExit, and any exception the program did not catch.
    """

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
    ) -> None:
        for path in files:
            if path != absolute(path):
                raise ValueError(f"not an absolute path: {path!r}")
        self._written: list[str] = []
        self.runtime = Runtime(soc, files, network, console or self._written.append, mpy)
        self.refuse = dict(refuse or {})
        self._frozen = {f"/{FOLDER}/{name}": source for name, source in (frozen or {}).items()}
        self._folders = FolderIndex()
        self._builtin_modules: dict[str, ModuleType] = {}
        self._builtins = device_builtins(self.runtime)
        self._builtins["__import__"] = self._import
        self._builtins[SIGNALS_NAME] = SIGNALS
        self._main = self._new_module("__main__")

    @property
    def modules(self) -> dict[str, ModuleType]:
        """The board's sys.modules: what was imported from files, and __main__."""
        return self.runtime.modules

    @property
    def output(self) -> str:
        """What was printed, when no console was given."""
        return "".join(self._written)

    def interrupt_at(self, ms: float | None) -> None:
        """Press Ctrl-C at this virtual time of the chip's clock; None: never."""
        self.runtime.deadline_us = None if ms is None else round(ms * 1000)

    def exec(self, source: str) -> None:
        """Run statements in __main__, as the raw REPL does."""
        self._run(self._compile(source.encode(), "<stdin>", "<stdin>"), self._main)

    def eval(self, source: str) -> Any:
        """Return the value of an expression in __main__."""
        return eval(compile(source.strip(), "<stdin>", "eval", dont_inherit=True), vars(self._main))

    def exec_streamed(self, source: str) -> None:
        """As `exec`: there is no heap here."""
        self.exec(source)

    def run_interactive(self, source: str) -> None:
        """Run a statement typed at the prompt: the values of expressions in it are printed."""
        tree = _Echo().visit(parse(source, "<stdin>"))
        self.runtime.source_names["<stdin>"] = "<stdin>"
        vars(self._main)[_SHOW] = self._show
        self._run(compile(ast.fix_missing_locations(tree), "<stdin>", "exec", dont_inherit=True), self._main)

    def _show(self, value: object) -> None:
        if value is not None:
            self.runtime.console(repr(value) + "\n")

    def attach(self, terminal: Attachable) -> None:
        """Make `terminal` the program's standard input."""
        terminal.attach(self.runtime)

    def names(self, path: str) -> Sequence[str]:
        """Those of what a dotted path in __main__ leads to; its globals for an empty one, () for nothing."""
        thing: object = self._main
        for name in path.split(".") if path else ():
            thing = getattr(thing, name, None)
        return () if thing is None else [name for name in dir(thing) if name != SIGNALS_NAME]

    def run_line(self, line: str) -> None:
        """Run what a person types: an expression's value is printed unless it is None."""
        try:
            compile(line.strip(), "<stdin>", "eval", dont_inherit=True)
        except SyntaxError:
            self.exec(line)
            return
        self._show(self.eval(line))

    def import_(self, name: str) -> ModuleType:
        """Import `name` (dotted) and return that module."""
        return self._load(name)

    def folder(self) -> str:
        """The folder that the program is in (os.chdir): MicroPython looks for main.py there."""
        return self.runtime.where[0]

    def run_file(self, path: str) -> None:
        """Run a file in __main__, as boot.py and main.py are. Raises OSError(2) when it is not
        there.
        """
        name = absolute(path)
        content = self.runtime.files.get(name)
        if content is None:
            raise DeviceOSError(2)
        self._run(self._compile_file(name, content), self._main)

    def print_exception(self, error: BaseException) -> None:
        """Put the traceback of an uncaught exception on the console, as the port does."""
        self.runtime.print_traceback(error)

    def agent(self) -> tuple[int, int, int] | None:
        """State of the device's agent, blocks in place and blocks of the image; None when there is
        none.
        """
        agent = getattr(self.modules.get("twoslot"), "_agent", None)
        return (agent.state, *agent.blocks_in_place) if agent is not None else None

    def close(self) -> None:
        """End this boot: hang up what is connected, and break the reference cycles of its modules.
        """
        for stream in self.runtime.streams:
            stream.close()
        for module in (*self.modules.values(), *self._builtin_modules.values()):
            vars(module).clear()
        self.modules.clear()
        self._builtin_modules.clear()
        self._builtins.clear()

    def _run(self, code: CodeType, module: ModuleType) -> None:
        exec(code, vars(module))

    def _new_module(self, name: str) -> ModuleType:
        module = ModuleType(name)
        names = vars(module)
        names.clear()
        names["__name__"] = name
        names["__builtins__"] = self._builtins
        self.modules[name] = module
        return module

    # Import.

    def _import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: tuple[str, ...] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """The `import` statement; extmod and py/builtinimport.c of MicroPython are the model."""
        full = self._resolve(name, globals or {}, level) if level else name
        module = self._load(full)
        if not fromlist:
            # Not looked up again: a module may have removed itself from sys.modules.
            return self._load(full.partition(".")[0]) if "." in full and not level else module
        for item in fromlist:
            if item != "*" and not hasattr(module, item):
                if "__path__" not in vars(module) or self._find(f"{full}.{item}", module) is None:
                    raise ImportError(f"can't import name {item}")
                self._load(f"{full}.{item}")
        return module

    @staticmethod
    def _resolve(name: str, importer: Mapping[str, Any], level: int) -> str:
        package = str(importer["__name__"]).split(".")
        if "__path__" not in importer:
            package.pop()
        if level > 1:
            package = package[: 1 - level]
        if not package:
            raise ImportError("can't perform relative import")
        return ".".join([*package, name] if name else package)

    def _load(self, full: str) -> ModuleType:
        """Import every part of a dotted name; return the last."""
        if "." not in full:
            return self.modules.get(full) or self._builtin(full) or self._load_file(full, None)
        parent: ModuleType | None = None
        module: ModuleType | None = None
        modules = self.modules
        for name, part in _prefixes(full):
            module = modules.get(name)
            if module is None and parent is None:
                module = self._builtin(name)
            if module is None:
                module = self._load_file(name, parent)
                if parent is not None:
                    setattr(parent, part, module)
            parent = module
        assert module is not None
        return module

    def _builtin(self, name: str) -> ModuleType | None:
        module = self._builtin_modules.get(name)
        if module is None:
            module = build(name, self.runtime)
            if module is not None:
                self._builtin_modules[name] = module
        return module

    def _load_file(self, name: str, parent: ModuleType | None) -> ModuleType:
        if name in self.refuse:
            raise ValueError(self.refuse[name])
        found = self._find(name, parent)
        if found is None:
            raise ImportError(f"no module named '{name}'")
        path, folder = found
        if self.runtime.is_heap_locked:
            raise MemoryError("memory allocation failed, heap is locked")
        module = self._new_module(name)
        if folder is not None:
            vars(module)["__path__"] = folder
        if path is None:
            return module
        try:
            files = self._frozen if path in self._frozen else self.runtime.files
            content = self.runtime.mounts.read(path)
            self._run(self._compile_file(path, files[path] if content is None else content), module)
        except BaseException:
            # A module that failed half-way must not be found by the next import (MicroPython 1.21
            # on).
            self.modules.pop(name, None)
            raise
        return module

    def _find(self, name: str, parent: ModuleType | None) -> tuple[str | None, str | None] | None:
        """The file of a module, if it has one, and its folder when it is a package."""
        if parent is None:
            roots = self.runtime.path
        else:
            package = vars(parent).get("__path__")
            if package is None:
                return None
            roots = [package]
        for root in roots:
            # A folder is remembered as it was found: relative to where the program is, from an empty root.
            seen = f"{root}/{name.rpartition('.')[2]}".removeprefix("" if root else "/")
            is_frozen = seen.startswith(f"{FOLDER}/")
            files = self._frozen if is_frozen else self.runtime.files
            base = absolute(seen if is_frozen or seen.startswith("/") else f"{self.runtime.where[0]}/{seen}")
            if self.runtime.mounts.has(base):
                if inside := self.runtime.mounts.find(base, seen):
                    return inside
                continue
            for suffix in (".py", ".mpy"):
                if f"{base}/__init__{suffix}" in files:
                    return f"{base}/__init__{suffix}", seen
            if base in self._folders.of(files):
                return None, seen
            for suffix in (".py", ".mpy"):
                if base + suffix in files:
                    return base + suffix, None
        return None

    # Compiling.

    def _compile_file(self, path: str, content: bytes) -> CodeType:
        if path.endswith(".mpy"):
            content = source_of(path, content)
        elif PACKAGE in path:
            content = as_built(path, content, self.runtime.files)
        real = installed().get(content)
        return self._compile(content, real or path, path.removeprefix("/"))

    def _compile(self, content: bytes, filename: str, shown: str) -> CodeType:
        self.runtime.source_names[filename] = shown
        key = (filename, content, "exec")
        code = _CODE.get(key)
        if code is None:
            code = _CODE[key] = compile_program(content, filename)
        return code


@functools.lru_cache(maxsize=4096)
def _prefixes(full: str) -> tuple[tuple[str, str], ...]:
    """Each package that a dotted name goes through, and the name itself: whole, and its last part."""
    parts = full.split(".")
    return tuple((".".join(parts[:depth]), part) for depth, part in enumerate(parts, 1))


_SHOW = "__repl_print__"


class _Echo(ast.NodeTransformer):
    """Has every expression statement outside functions and classes shown."""

    def visit_Expr(self, node: ast.Expr) -> ast.stmt:
        shown = ast.Expr(ast.Call(ast.Name(_SHOW, ast.Load()), [node.value], []))
        return ast.copy_location(shown, node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.stmt:
        return node

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.stmt:
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.stmt:
        return node
