"""What looks like a password or a token in a program: it would travel in clear to every board.

Modules are read as Python, other texts line by line. Values that are plainly examples, names of files, or
asked for elsewhere are none. A comment `not secret` in the line keeps it from being named.
"""

from __future__ import annotations

import ast
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from slotbench.syntax import parse

__all__ = ["NOT_SECRET", "SecretPlace", "find_secrets"]

NOT_SECRET: Final = "not secret"

_PLACE: Final = (
    "write it into a file outside of the program, such as /data/secrets.json, over the cable, "
    "and read it there")
_WIFI_PLACE: Final = "slotbench deploy --wifi NAME puts it on the board, outside of the program"
_BROKER_PLACE: Final = "twoslot.mqtt on the board has the login of the broker, outside of the program"
_WIFI_NAME = re.compile(
    r"(?:^|_)(?:ssid|essid|psk|wlan_?key|(?:wifi|wlan|wpa)_?(?:pass|pw|key|psk)\w*)$", re.I)
_BROKER_NAME = re.compile(r"(?:^|_)mqtt_?(?:pass|pw|pwd|secret|token)\w*$", re.I)
_NAME = re.compile(
    r"(?:^|_)(?:pass(?:word|wd|phrase|code)?|pwd|pswd|secret|client_?secret|token|auth_?token|bearer|"
    r"api_?key|app_?key|access_?key|private_?key|auth_?key|encryption_?key)s?$", re.I)
_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s:@\"']+:([^/\s@\"'{}%]+)@", re.I)
_KNOWN = re.compile(
    r"gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|AKIA[A-Z0-9]{16}|AIza[\w-]{30,}|"
    r"xox[abprs]-[\w-]{10,}|sk_live_\w{10,}|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}|\d{8,10}:[\w-]{35}\b")
_DENSE = re.compile(r"[A-Za-z0-9+/_=-]{24,128}")
_LINE = re.compile(r"""["']?([A-Za-z_][\w-]*)["']?\s*[:=]\s*(?:"([^"]*)"|'([^']*)'|([^\s"',{}\[\]#;]+))""")
_PLAIN = re.compile(
    r"(?:x|\*|\.|-|_|\s)*|<.*>|\{.*\}|\$.*|%.*|"
    r"(?:your|my|the|some|enter|insert|put|change|replace|example|dummy|test|todo|fixme|secret|password|"
    r"passwd|token|none|null|true|false|required|optional|ssid|key)\b.*|"
    r"change_?me|your[\w-]*|my[_-][\w-]*|[\w./-]*\.(?:json|txt|ini|toml|cfg|env|py|html?|pem|key)|/[\w/.-]+",
    re.I)
_SAMPLE_CHARS_MIN: Final = 4
_DENSITY_MIN: Final = 4.2
"""Bits for each character, by how often each one appears in the value."""
_TEXT_BYTES_MAX: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class SecretPlace:
    """A place that looks like a secret: file and line, what it looks like, and where such a thing belongs."""

    path: str
    line: int
    what: str
    belongs: str = _PLACE


def find_secrets(files: Mapping[str, bytes]) -> list[SecretPlace]:
    """What looks like a secret in the files of a program (path -> content), one finding a line at most."""
    found: list[SecretPlace] = []
    for path, data in files.items():
        try:
            text = data[:_TEXT_BYTES_MAX].decode()
        except UnicodeDecodeError:
            text = data[:_TEXT_BYTES_MAX].decode("latin-1") if b"PRIVATE KEY-----" in data else ""
        lines = text.splitlines()
        seen = set[int]()
        for line, what, belongs in sorted({*_in_text(lines), *_in_values(path, text, lines)}):
            silent = 0 < line <= len(lines) and NOT_SECRET in lines[line - 1].lower().replace("-", " ")
            if line not in seen and not silent:
                seen.add(line)
                found.append(SecretPlace(path, line, what, belongs))
    return found


_Raw = tuple[int, str, str]


def _in_text(lines: list[str]) -> Iterator[_Raw]:
    """What is a secret wherever it stands."""
    for number, line in enumerate(lines, 1):
        if _PEM.search(line):
            yield number, "a private key", _PLACE
        if _KNOWN.search(line):
            yield number, "a token", _PLACE
        match = _URL.search(line)
        if match and not _is_plain(match[1]):
            yield number, "a password in a URL", _PLACE


def _in_values(path: str, text: str, lines: list[str]) -> Iterator[_Raw]:
    if path.endswith((".py", ".pyi")):
        try:
            tree = parse(text, path)
        except (SyntaxError, ValueError, RecursionError):
            return
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            yield from _in_node(node, docstrings)
        return
    for number, line in enumerate(lines, 1):
        for match in _LINE.finditer(line):
            value = next((each for each in match.groups()[1:] if each is not None), "")
            yield from _named(match[1].replace("-", "_"), value, number)
            yield from _dense(value, number)


def _in_node(node: ast.AST, docstrings: set[int]) -> Iterator[_Raw]:
    """Names that get a text, and texts that look like keys."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            yield from _assigned(target, node.value)
    elif isinstance(node, ast.AnnAssign) and node.value is not None:
        yield from _assigned(node.target, node.value)
    elif isinstance(node, ast.Call):
        for keyword in node.keywords:
            yield from _named(keyword.arg or "", _text(keyword.value), keyword.value.lineno)
        words = [_text(argument) for argument in node.args]
        joins = isinstance(node.func, ast.Attribute) and node.func.attr == "connect"
        if joins and len(words) == 2 and all(words) and not _is_plain(words[1]):
            yield node.lineno, "a Wi-Fi password", _WIFI_PLACE
    elif isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values):
            if key is not None:
                yield from _named(_text(key).replace("-", "_"), _text(value), value.lineno)
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        arguments = node.args.posonlyargs + node.args.args
        for argument, default in zip(reversed(arguments), reversed(node.args.defaults)):
            yield from _named(argument.arg, _text(default), default.lineno)
    elif isinstance(node, ast.Constant) and id(node) not in docstrings:
        yield from _dense(_text(node), node.lineno)


def _assigned(target: ast.expr, value: ast.expr) -> Iterator[_Raw]:
    if isinstance(target, ast.Tuple | ast.List) and isinstance(value, ast.Tuple | ast.List):
        for one, other in zip(target.elts, value.elts):
            yield from _assigned(one, other)
    elif isinstance(target, ast.Name):
        yield from _named(target.id, _text(value), value.lineno)
    elif isinstance(target, ast.Attribute):
        yield from _named(target.attr, _text(value), value.lineno)
    elif isinstance(target, ast.Subscript):
        yield from _named(_text(target.slice).replace("-", "_"), _text(value), value.lineno)


def _text(node: ast.expr) -> str:
    """A text that stands in the source; "" for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.Constant) and isinstance(node.value, bytes):
        return node.value.decode("latin-1")
    return ""


def _named(name: str, value: str, line: int) -> Iterator[_Raw]:
    if len(value) < _SAMPLE_CHARS_MIN or _is_plain(value):
        return
    if _WIFI_NAME.search(name):
        is_network = name.lower().endswith("ssid")
        yield line, f"a Wi-Fi {'name' if is_network else 'password'} ({name})", _WIFI_PLACE
    elif _BROKER_NAME.search(name):
        yield line, f"the password of a broker ({name})", _BROKER_PLACE
    elif _NAME.search(name):
        yield line, f"a password or token ({name})", _PLACE


def _dense(value: str, line: int) -> Iterator[_Raw]:
    """A text that only a random generator makes: letters of both cases and digits, evenly used."""
    if not _DENSE.fullmatch(value) or _is_row(value):
        return
    kinds = sum(any(test(char) for char in value) for test in (str.islower, str.isupper, str.isdigit))
    counts = Counter(value)
    density = -sum(n / len(value) * math.log2(n / len(value)) for n in counts.values())
    if kinds == 3 and density >= min(_DENSITY_MIN, math.log2(len(value)) - 0.6):
        yield line, "a text that looks like a key", _PLACE


def _is_row(value: str) -> bool:
    """Whether it is an alphabet or the like: most characters follow the one before."""
    follows = sum(ord(after) - ord(before) == 1 for before, after in zip(value, value[1:]))
    return follows * 2 >= len(value)


def _is_plain(value: str) -> bool:
    """Whether a value is an example, a place, or asked for elsewhere."""
    return _PLAIN.fullmatch(value.strip()) is not None or len(set(value)) < 3 or not value.isprintable()
