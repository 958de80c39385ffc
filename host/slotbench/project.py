"""The project folder: `slotbench.toml` says once what every verb needs, and nothing secret.

A verb finds the file in the current folder or above it. An option on the command line wins over it. Its
fields are the table `FIELDS`; paths in it are relative to the folder that it is in.
"""

from __future__ import annotations

import difflib
import os
import re
import stat
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from slotbench.addresses import check_server_url
from slotbench.errors import USAGE, BenchError
from slotbench.formats.fields import check_name

__all__ = [
    "FIELDS", "PATCHES_MAX", "PROJECT_FILE", "Project", "changed_text", "find_project", "load_project",
    "project_text", "require_project",
]

PROJECT_FILE: Final = "slotbench.toml"
PATCHES_MAX: Final = 20
"""From so many releases before it a release has patches at most."""
_BYTES_MAX: Final = 64 * 1024
_COMMENT_AT: Final = 36
_SECRET = re.compile(r"pass|secret|token|pwd", re.I)
_KEY = re.compile(r"""^\s*(?:([A-Za-z0-9_-]+)|"([^"]*)"|'([^']*)')\s*[=.]""")
_TABLE = re.compile(r"^\s*\[+\s*([^\]]*?)\s*\]")
_PORT_NAME = re.compile(r"COM\d+", re.I)


def _name(value: str) -> str:
    return check_name(value, "")


def _board(value: str) -> str:
    return value if _is_board_file(value) else check_name(value, "")


def _text(value: str) -> str:
    if not value or not value.isprintable():
        raise BenchError(
            "it is empty, or has control characters", cure="write what it names, or remove the line")
    return value


def _patches(value: str) -> str:
    if not value.isdecimal() or not value.isascii() or int(value) > PATCHES_MAX:
        raise BenchError(
            f"it is not a number from 0 to {PATCHES_MAX}", cure='write for example: patches = "3"')
    return value


def _listening_at(value: str) -> str:
    port = value.rpartition(":")[2]
    if not port.isdecimal() or not port.isascii() or int(port) > 65535:
        raise BenchError(
            "it is no port, and no host:port", cure='write for example: hawkbit = "0.0.0.0:8280"')
    return value


@dataclass(frozen=True, slots=True)
class _Field:
    """What a field is for people, and the check of its value, which raises BenchError."""

    meaning: str
    check: Callable[[str], str]
    required: bool = False


FIELDS: Final[Mapping[str, _Field]] = {
    "product": _Field("what the boards are; signed with each release", _name, True),
    "board": _Field("kind of board: see `slotbench init --help`, or a .toml file", _board, True),
    "app": _Field("folder of your program, the one with main.py", _text),
    "channel": _Field("channel of the releases", _name),
    "patches": _Field("releases before it that a release has patches from", _patches),
    "server": _Field("where boards ask for releases", check_server_url),
    "port": _Field("serial port of the board on this computer", _text),
    "site": _Field("folder that is served", _text),
    "keys": _Field("public keys; each board gets them", _text),
    "offline_key": _Field("private key that signs releases", _text),
    "online_key": _Field("private key that signs what is offered", _text),
    "identities": _Field("file for the secrets that deploy gives to boards", _text),
    "hawkbit": _Field("where serve answers devices that speak hawkBit's DDI", _listening_at),
}
"""The fields of slotbench.toml, in the order in which `slotbench init` writes them. All are strings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project. `path` is its slotbench.toml; all paths are as they are opened from the current folder.

    `board` and `port` are names, or paths as text. `patches` is from how many releases before it a release
    has patches, None as usual. `hawkbit` is [HOST:]PORT.
    """

    path: Path
    product: str
    board: str
    app: Path | None
    channel: str
    patches: int | None
    server: str | None
    port: str | None
    site: Path
    keys: Path
    offline_key: Path
    online_key: Path
    identities: Path | None
    hawkbit: str | None
    lines: Mapping[str, int] = field(repr=False, default_factory=dict)
    """The lines of the fields that are in the file."""

    @property
    def folder(self) -> Path:
        """The folder of the project."""
        return self.path.parent

    @property
    def releases(self) -> Path:
        """The folder of the releases that were built."""
        return self.folder / "releases"

    def where(self, name: str) -> str:
        """The place of a field for messages: `slotbench.toml:5`, or the file if the field is not in it."""
        return f"{self.path}:{self.lines[name]}" if name in self.lines else str(self.path)


def find_project(start: Path | None = None) -> Project | None:
    """The project of the folder `start` (None: the current one) or of the first one above it; None without.

    Raises BenchError as `load_project` does.
    """
    here = Path(start if start is not None else _current_folder()).absolute()
    for folder in (here, *here.parents):
        path = folder / PROJECT_FILE
        try:
            if not path.is_file():
                continue
        except OSError:
            continue
        _refuse_stranger(path)
        return load_project(Path(os.path.relpath(path, here)) if start is None else path)
    return None


def require_project(start: Path | None = None) -> Project:
    """The project of this folder. Raises BenchError (usage) if there is none, and as `load_project` does."""
    found = find_project(start)
    if found is None:
        raise BenchError(
            f"no {PROJECT_FILE} in this folder or above it", where=str(start or _current_folder()),
            cure="go to the folder of your project, or make one here: slotbench init NAME", exit_code=USAGE)
    return found


def load_project(path: Path) -> Project:
    """The project in this slotbench.toml.

    Raises BenchError (usage) with the line: no TOML, or a field that is not known, missing, or wrong.
    """
    text = _read(path)
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _line_error(path, error) from None
    lines = dict(_lines(text))
    for name, value in values.items():
        _check(name, value, f"{path}:{lines.get(name, 1)}")
    for name, each in FIELDS.items():
        if each.required and name not in values:
            raise BenchError(
                f"the field {name} is missing", where=str(path), cure=f'add a line: {name} = "..."',
                exit_code=USAGE)
    return _project(path, values, {name: lines[name] for name in values if name in lines})


def project_text(values: Mapping[str, str | None]) -> str:
    """The slotbench.toml with these values: each with its meaning; a field without a value is a comment."""
    said = [
        "# What slotbench knows in this folder and below it. Options on the command line win.",
        "# Paths are relative to this file. Nothing secret is in it.", ""]
    for name, each in FIELDS.items():
        value = values.get(name)
        line = f"{name} = {_quoted(value)}" if value else f'# {name} = ""'
        said.append(f"{line:{_COMMENT_AT}}  # {each.meaning}")
    return "\n".join(said) + "\n"


def changed_text(project: Project, name: str, value: str) -> str:
    """The text of its slotbench.toml with another value for a field. Everything else stays as it is.

    Raises BenchError if the file cannot be read.
    """
    lines = _read(project.path).splitlines(keepends=True)
    line = f"{name} = {_quoted(value)}"
    if name not in project.lines:
        return "".join([*lines, "" if not lines or lines[-1].endswith("\n") else "\n", f"{line}\n"])
    index = project.lines[name] - 1
    comment = re.search(r"\s+#[^\"']*$", lines[index].rstrip("\r\n"))
    lines[index] = f"{line}{comment[0] if comment else ''}\n"
    return "".join(lines)


def _project(path: Path, values: Mapping[str, str], lines: Mapping[str, int]) -> Project:
    folder, product = path.parent, values["product"]

    def place(name: str, default: str) -> Path:
        return folder / values.get(name, default)

    board, port = values["board"], values.get("port")
    return Project(
        path=path, product=product, board=str(folder / board) if _is_board_file(board) else board,
        app=folder / values["app"] if "app" in values else None,
        channel=values.get("channel", "stable"),
        patches=int(values["patches"]) if "patches" in values else None, server=values.get("server"),
        port=_port_from(folder, port) if port is not None else None,
        site=place("site", "site"), keys=place("keys", f"keys/{product}.keys"),
        offline_key=place("offline_key", "keys/offline.pem"),
        online_key=place("online_key", "keys/online.pem"),
        identities=folder / values["identities"] if "identities" in values else None,
        hawkbit=values.get("hawkbit"), lines=lines)


def _check(name: str, value: Any, where: str) -> None:
    """Raise BenchError unless this is a field with a value of its kind."""
    if isinstance(value, dict | list) and name not in FIELDS:
        raise BenchError(
            f"[{name}] is a table, and this file has none", where=where,
            cure="remove this line; the fields stand at the top of the file", exit_code=USAGE)
    if name not in FIELDS:
        if _SECRET.search(name):
            raise BenchError(
                f"{name}: nothing secret belongs into this file", where=where,
                cure="remove the line; commands ask for passphrases and passwords", exit_code=USAGE)
        close = difflib.get_close_matches(name.lower().replace("-", "_"), FIELDS, 1)
        cure = f"rename it to {close[0]}" if close else f"remove it; the fields are {', '.join(FIELDS)}"
        raise BenchError(f"the field {name} is not known", where=where, cure=cure, exit_code=USAGE)
    if not isinstance(value, str):
        example = value if isinstance(value, int | float) else "..."
        raise BenchError(
            f"{name} is not a text", where=where, cure=f'write one text in quotes: {name} = "{example}"',
            exit_code=USAGE)
    try:
        FIELDS[name].check(value)
    except BenchError as error:
        raise BenchError(f"{name}: {error.what}", where=where, cure=error.cure, exit_code=USAGE) from None


def _lines(text: str) -> Iterator[tuple[str, int]]:
    """The names of fields and tables at the top of the document, each with its (last) line."""
    is_top = True
    for number, line in enumerate(text.splitlines(), 1):
        if found := _TABLE.match(line):
            is_top = False
            yield found[1].partition(".")[0].strip("\"' "), number
        elif is_top and (found := _KEY.match(line)):
            yield next(filter(None, found.groups()), ""), number


def _line_error(path: Path, error: tomllib.TOMLDecodeError) -> BenchError:
    """A line that is no TOML, with its number in the place."""
    what, _, place = str(error).partition(" (at ")
    line = re.search(r"line (\d+)", place)
    return BenchError(
        f"this line is not TOML ({what})", where=f"{path}:{line[1]}" if line else str(path),
        cure='write each field as NAME = "VALUE", with / in paths', exit_code=USAGE)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_BYTES_MAX + 1)
    except OSError as error:
        raise BenchError(
            f"cannot read ({error.strerror})", where=str(path), cure="check the path and its rights",
            exit_code=USAGE) from None
    if len(data) > _BYTES_MAX:
        raise BenchError(
            f"file is longer than {_BYTES_MAX} bytes", where=str(path),
            cure="remove what does not belong there", exit_code=USAGE)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BenchError(
            "not UTF-8", where=f"{path}:{line}", cure="save it as UTF-8", exit_code=USAGE) from None


def _refuse_stranger(path: Path) -> None:
    """Raise BenchError for a file of another user in a folder where everybody may write, such as /tmp.

    It could name the keys that boards shall trust.
    """
    own = getattr(os, "geteuid", None)
    if own is None:
        return
    try:
        owner, mode = path.stat().st_uid, path.absolute().parent.stat().st_mode
    except OSError:
        return
    if owner != own() and mode & stat.S_IWOTH:
        raise BenchError(
            "another user made this file, in a folder where everybody may write", where=str(path),
            cure="work in a folder of your own", exit_code=USAGE)


def _current_folder() -> Path:
    try:
        return Path.cwd()
    except OSError:
        raise BenchError(
            "the current folder does not exist any more", cure="go to another one", exit_code=USAGE) from None


def _is_board_file(value: str) -> bool:
    return value.endswith(".toml") or "/" in value


def _port_from(folder: Path, port: str) -> str:
    """A serial port: a URL, a name of Windows, or a path."""
    return port if "://" in port or _PORT_NAME.fullmatch(port) else str(folder / port)


def _quoted(value: str) -> str:
    """A basic string of TOML."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
