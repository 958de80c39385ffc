"""A virtual board as a folder: board.json, flash.bin, and files/ for its filesystem."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from slotbench import boards
from slotbench.boards import BoardProfile
from slotbench.errors import USAGE, BenchError
from slotbench.locks import LOCK_NAME, LockedElsewhere, hold_lock
from slotbench.private import make_private_folder
from slotbench.shell_words import quoted
from slotbench.untrusted import load_json
from slotbench.vboard.clock import Clock
from slotbench.vboard.flash.nor import NorFlash
from slotbench.vboard.live.export_record import ExportRecord
from slotbench.vboard.live.made_here import has_mark, mark

__all__ = ["BoardFolder"]

_FORMAT: Final = 1
_FACTS: Final = "board.json"
_ID_BYTES: Final = 4
_TOKEN_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class BoardFolder:
    """The folder `path`: its board's `profile`, named in board.json as `board_name` (a name, or the
    path of a file), and the chip's `unique_id` (4 bytes). `token` was made with it, at random. `vm` runs it
    unless somebody wants another; empty: nobody chose.
    """

    path: Path
    board_name: str
    profile: BoardProfile
    unique_id: bytes
    token: bytes = b""
    vm: str = ""

    @property
    def is_own(self) -> bool:
        """Whether this user made this very folder on this computer."""
        return has_mark(*self._mark)

    @property
    def _mark(self) -> tuple[bytes, bytes]:
        return self.token, str(self.path.stat().st_ino).encode()

    @property
    def flash_path(self) -> Path:
        """The flash, all bytes of the chip: what a dump of it would be."""
        return self.path / "flash.bin"

    @property
    def files_path(self) -> Path:
        """The board's filesystem as files of this machine."""
        return self.path / "files"

    @property
    def exported(self) -> ExportRecord:
        """What the last export left in `files/` and in the flash."""
        return ExportRecord(self.path, self.profile.filesystem)

    @property
    def socket_path(self) -> Path:
        """The control socket, there while the board runs."""
        return self.path / "control.sock"

    @classmethod
    def open(cls, path: Path) -> BoardFolder:
        """The board in `path`. Raises BenchError (exit code 2) when it holds none."""
        where = path / _FACTS
        try:
            facts = load_json(where.read_bytes())
            if facts["format"] != _FORMAT:
                raise BenchError(
                    f"format {facts['format']} of a board's folder is not known", where=str(where),
                    cure="use the slotbench that made it", exit_code=USAGE)
            name, unique_id = str(facts["board"]), bytes.fromhex(facts["unique_id"])
            token, vm = bytes.fromhex(facts.get("token", "")), str(facts.get("vm", ""))
        except OSError as error:
            raise BenchError(
                f"no board here ({error.strerror})", where=str(where),
                cure=f"make one: slotbench board new {quoted(path)}", exit_code=USAGE) from None
        except (ValueError, KeyError, TypeError):
            raise BenchError(
                "board.json cannot be read", where=str(where), cure="make the board anew",
                exit_code=USAGE) from None
        return cls(path, name, boards.load(name), unique_id, token, vm)

    @classmethod
    def create(
        cls, path: Path, board_name: str, flash: NorFlash, files: Mapping[str, bytes], *,
        unique_id: bytes | None = None, vm: str = "",
    ) -> BoardFolder:
        """Make the folder, whole or not at all; a new `unique_id` unless one is given. `vm` is to run it.

        Raises BenchError (exit code 2) when it exists already or cannot be written.
        """
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise BenchError(
                "the folder exists already", where=str(path), cure="choose a new folder",
                exit_code=USAGE)
        identity = unique_id if unique_id is not None else secrets.token_bytes(_ID_BYTES)
        made = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        folder = cls(made, board_name, boards.load(board_name), identity)
        token = secrets.token_bytes(_TOKEN_BYTES)
        facts = {
            "format": _FORMAT, "board": board_name, "unique_id": identity.hex(), "token": token.hex(),
            **({"vm": vm} if vm else {}),
        }
        with _writing(path):
            try:
                make_private_folder(made)
                flash.dump(folder.flash_path)
                folder.save_files({}, files)
                (made / _FACTS).write_text(json.dumps(facts, indent=2) + "\n")
                os.replace(made, path)
            finally:
                shutil.rmtree(made, ignore_errors=True)
        new = cls(path, board_name, folder.profile, identity, token, vm)
        mark(*new._mark)
        return new

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the folder: one process for each board. Raises BenchError (exit code 2) if another
        process holds it.
        """
        try:
            with hold_lock(self.path / LOCK_NAME, wait=False):
                yield
        except LockedElsewhere:
            raise BenchError(
                "this board runs already", where=str(self.path),
                cure="end it with Ctrl-C where it runs; meanwhile: slotbench board status "
                f"{quoted(self.path)}",
                exit_code=USAGE) from None

    def load_flash(self, clock: Clock) -> NorFlash:
        """The flash; `NorFlash.save` writes it back. Raises BenchError: missing, unreadable, wrong
        size.
        """
        if not self.flash_path.exists():
            raise BenchError(
                "the board's flash is gone", where=str(self.flash_path), cure="make the board anew",
                exit_code=USAGE)
        return NorFlash(self.profile.chip_bytes, self.flash_path, clock=clock, log=False)

    def load_files(self) -> dict[str, bytes]:
        """What the board finds in its filesystem, by absolute path.

        Raises BenchError when it cannot be read, or is more than the filesystem takes.
        """
        self._require_no_links()
        try:
            root = self.files_path
            paths = sorted(path for path in root.rglob("*") if path.is_file())
            files = {f"/{path.relative_to(root).as_posix()}": path.read_bytes() for path in paths}
        except OSError as error:
            raise BenchError(
                f"cannot read ({error.strerror})", where=str(self.files_path),
                cure="check the files and their permissions", exit_code=USAGE) from None
        total = sum(map(len, files.values()))
        if self.profile.filesystem and total > self.profile.filesystem.size:
            raise BenchError(
                f"{total} bytes of files, the board's filesystem has {self.profile.filesystem.size}",
                where=str(self.files_path), cure="take some away")
        return files

    def files_to_import(self, files: dict[str, bytes], flash: NorFlash) -> dict[str, bytes]:
        """What of `files/`, where these are, replaces the filesystem in the flash: all of them, but none
        where only the flash was changed since the last export.
        """
        return {} if self.exported.is_flash_newer(files, flash) else files

    def export_files(
        self, before: Mapping[str, bytes], files: Mapping[str, bytes], flash: NorFlash,
    ) -> None:
        """`save_files`, of a board whose flash was saved: later it is known who was changed."""
        self.save_files(before, files)
        with _writing(self.path):
            self.exported.note(files, flash)

    def _require_no_links(self) -> None:
        """Raise BenchError if a board from elsewhere leads out of its folder."""
        if self.is_own:
            return
        for path in (self.flash_path, self.files_path, *self.files_path.rglob("*")):
            if path.is_symlink():
                raise BenchError(
                    "a board that was not made here holds a symbolic link", where=str(path),
                    cure="look at what it points to, and put a plain file in its place", exit_code=USAGE)

    def save_files(self, before: Mapping[str, bytes], files: Mapping[str, bytes]) -> None:
        """Write what the board changed in its `files` since `before`; what people changed meanwhile
        stays.

        Raises BenchError (exit code 2).
        """
        with _writing(self.files_path):
            for name, content in files.items():
                if before.get(name) != content:
                    self._write(self._place(name), content)
            for name in before.keys() - files.keys():
                self._place(name).unlink(missing_ok=True)

    def _place(self, name: str) -> Path:
        if ".." in name.split("/"):
            raise BenchError(
                f"the board's program made a file called {name!r}", where=str(self.files_path),
                cure="mend the program: such a file cannot be kept")
        return self.files_path / name.lstrip("/")

    def _write(self, path: Path, content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        try:
            part.write_bytes(content)
            os.replace(part, path)
        finally:
            with suppress(FileNotFoundError):
                part.unlink()


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BenchError(
            f"cannot write ({error.strerror})", where=str(path), cure="choose a folder that can be written",
            exit_code=USAGE) from None
