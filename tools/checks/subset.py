"""Gate `lint`: the device's Python stays within what MicroPython on the ESP8266 can do.

The tests run the device modules under CPython, which would not notice. Syntax is for mpy-cross to judge
(gate `sizes`).
"""

from __future__ import annotations

import ast
import builtins
from pathlib import Path

from checks import port_facts as port
from checks.report import GateReport, device_files, name, parse
from slotbench.mpy.native import NATIVE_MODULE

_PRINTING = (
    "device/twoslot/__init__.py",
    "device/twoslot/application/traceback.py", "device/twoslot/commands.py",
    "device/twoslot/push/finish.py", "device/twoslot/push/opening.py",
    "device/twoslot/recovery/check_first.py", "device/twoslot/recovery/safe_mode.py",
    "device/twoslot/recovery/unattended.py", "device/twoslot/recovery/update_first.py",
    "device/twoslot/failures.py", "device/twoslot/restart.py", "device/twoslot/slot_commands.py",
    "device/twoslot/sleep.py", "device/twoslot/words.py",
    "device/twoslot_boot.py")
_HOOK = "device/twoslot_boot.py"
_HOOK_MODULES = frozenset({"esp", "machine", "micropython", "sys", "time", "twoslot"})
_TOUCH = {
    "esp": ("flash.py",),
    "network": (
        "http/connection.py", "http/report.py", "mqtt/client.py", "ntp.py", "resolver.py", "sleep.py",
        "wifi.py"),
    "socket": ("http/connection.py", "mqtt/client.py", "ntp.py", "push/opening.py", "resolver.py"),
    "machine": (
        "__init__.py", "agent.py", "application/port.py", "application/traceback.py",
        "boot/control.py", "button.py", "commands.py", "flash.py", "http/identity.py", "http/known_head.py",
        "http/report.py", "hook_line.py", "mqtt/client.py", "ntp.py", "outcome.py", "push/finish.py",
        "push/status.py", "recovery/check_first.py", "recovery/counting.py", "recovery/safe_mode.py",
        "recovery/unattended.py", "recovery/update_first.py", "retained.py", "slot_commands.py", "sleep.py",
        "telemetry.py", "trust/policy.py"),
}
"""Which device modules may touch the chip and the network: module -> files of device/twoslot."""
_HASH_NAMES = ("sha", "hash", "digest")


def run(root: Path, report: GateReport) -> None:
    """Lint every device file."""
    trees = [(path, tree) for path in device_files(root) if (tree := parse(root, path, report))]
    own = {node.name for _, tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    modules = {_module(root, path) for path, _ in trees} | {f"twoslot.{NATIVE_MODULE.removesuffix('.py')}"}
    for path, tree in trees:
        _Lint(name(root, path), tree, own, modules, report).visit(tree)


def _module(root: Path, path: Path) -> str:
    parts = path.relative_to(root / "device").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


class _Lint(ast.NodeVisitor):
    """One file: `own` are the functions the device package defines itself, `modules` its modules."""

    def __init__(
        self, path: str, tree: ast.Module, own: set[str], modules: set[str], report: GateReport
    ) -> None:
        self.path = path
        self.own = own
        self.modules = modules
        self.report = report
        self.bound = _bound_names(tree)
        self.aliases = {
            alias.asname or alias.name: alias.name
            for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
            if alias.name in port.MODULES}

    def add(self, node: ast.AST, what: str, cure: str) -> None:
        self.report.add(self.path, getattr(node, "lineno", 0), what, cure)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._import(node, alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        if node.level:
            module = f"twoslot.{module}".rstrip(".")
        self._import(node, module)
        known = port.MODULES.get(module)
        for alias in node.names:
            if alias.name == "*":
                self.add(node, "star import", "import what is used: every name costs heap")
            elif known is not None and alias.name not in known:
                self._no_name(node, module, alias.name)

    def _import(self, node: ast.AST, module: str) -> None:
        top = module.split(".")[0]
        if top == "twoslot":
            if module not in self.modules and not any(one.startswith(f"{module}.") for one in self.modules):
                self.add(node, f"there is no {module}", "name a file of device/twoslot")
        elif module not in port.MODULES:
            self.add(node, f"the board cannot import {module}",
                     "do without, or add it to tools/checks/port_facts.py if the port has it")
        elif self.path == _HOOK:
            if top not in _HOOK_MODULES:
                self.add(node, f"the boot hook imports {module}",
                         f"it must run under any firmware: {', '.join(sorted(_HOOK_MODULES))} are all")
        elif top in _TOUCH and self.path.removeprefix("device/twoslot/") not in _TOUCH[top]:
            self.add(node, f"imports {module}", f"leave that to {', '.join(_TOUCH[top])}")

    def visit_Attribute(self, node: ast.Attribute) -> None:
        module = self.aliases.get(node.value.id) if isinstance(node.value, ast.Name) else None
        known = port.MODULES.get(module) if module else None
        if module and known is not None and node.attr not in known:
            self._no_name(node, module, node.attr)
        elif not module and node.attr in port.MISSING_METHODS and node.attr not in self.own:
            why = port.MISSING_METHODS[node.attr]
            self.add(node, f".{node.attr}: {why}", "write it out with what is there")
        self.generic_visit(node)

    def _no_name(self, node: ast.AST, module: str, wanted: str) -> None:
        self.add(node, f"{module}.{wanted} is not on the board",
                 f"{module} has {', '.join(sorted(port.MODULES[module] or ()))}")

    def visit_Name(self, node: ast.Name) -> None:
        if node.id not in self.bound and isinstance(node.ctx, ast.Load):
            if node.id == "__file__" or hasattr(builtins, node.id) and node.id not in port.BUILTINS:
                self.add(node, f"{node.id} is not on the board", "do without it")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        function = node.func
        keywords = {keyword.arg for keyword in node.keywords if keyword.arg}
        if isinstance(function, ast.Name) and function.id not in self.bound:
            self._builtin(node, function.id, keywords)
        elif isinstance(function, ast.Attribute):
            self._method(node, function, keywords)
        self.generic_visit(node)

    def _builtin(self, node: ast.Call, function: str, keywords: set[str]) -> None:
        if function == "pow" and len(node.args) + len(keywords) > 2:
            self.add(node, "three-argument pow(): switched off on the ESP8266 port", "multiply and % instead")
        elif function == "print" and self.path not in _PRINTING:
            self.add(node, "prints", f"raise or return it: only {', '.join(_PRINTING)} print")
        elif function in port.BUILTINS and function[0].islower():
            takes = port.KEYWORDS.get(function, frozenset())
            for keyword in sorted(keywords - takes) if takes is not None else ():
                self.add(node, f"{function}() takes no {keyword}= on the board",
                         "pass it by position, or do without")

    def _method(self, node: ast.Call, function: ast.Attribute, keywords: set[str]) -> None:
        module = self.aliases.get(function.value.id) if isinstance(function.value, ast.Name) else None
        if module == "json" and keywords - {"separators"}:
            self.add(node, f"json.{function.attr} takes separators= and nothing else by name", "do without")
        elif not module and keywords and function.attr in port.POSITIONAL_METHODS - self.own:
            self.add(node, f".{function.attr}() takes no keywords on the board", "pass them by position")
        receiver = ast.unparse(function.value).rsplit(".")[-1].lower()
        if function.attr == "copy" and any(part in receiver for part in _HASH_NAMES):
            self.add(node, "a hash cannot be copied on the board", "hash again, or keep two from the start")

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        caught = ast.unparse(node.type) if node.type else ""
        if node.type is None or "BaseException" in caught:
            self.add(node, "catches everything",
                     "name what may happen: SystemExit, Ctrl-C and the bench's power cuts must get through")
        self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> None:
        if node.cause:
            self.add(node, "raise ... from", "leave the cause out: the board prints a warning each time")
        self.generic_visit(node)

    def visit_Slice(self, node: ast.Slice) -> None:
        if node.step:
            self.add(node, "slice with a step", "loop: bytes, str and bytearray take none on the board")
        self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for keyword in node.keywords:
            self.add(keyword.value, f"class with {keyword.arg}=",
                     "MicroPython has no metaclasses; use a function")
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        if node.name in port.IGNORED_METHODS:
            self.add(node, f"{node.name} is never called on the board", "use a method with a name of its own")
        self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> None:
        """Annotations are not compiled on the board, so nothing in them matters."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.visit(node.target)
        if node.value:
            self.visit(node.value)


def _bound_names(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).split(".")[0])
    return names
