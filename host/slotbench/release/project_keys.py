"""The keys of a new project, made in steps that may be interrupted: what an earlier run made is used."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from slotbench.errors import USAGE, BenchError
from slotbench.formats import FormatError
from slotbench.formats.fields import date_words
from slotbench.formats.keys import Keys
from slotbench.locks import lock_folders
from slotbench.private import PRIVATE, PUBLIC, PRIVATE_FOLDER
from slotbench.release import documents, store
from slotbench.release.files import remove_all_leftovers, write_new_files
from slotbench.release.high_water import HighWater
from slotbench.release.keys import SigningKey, WrongPassphrase

__all__ = ["ProjectKeys", "complete_keys"]

_CLOCK_AT_LEAST = 1_735_689_600
"""The start of 2025: a computer without a clock says less."""


@dataclass(frozen=True, slots=True)
class ProjectKeys:
    """The keys document of a project, and the files that this run made."""

    keys: Keys
    made: tuple[Path, ...]


def complete_keys(
    document: Path, offline: Path, online: Path, product: str, now: int,
    passphrase: Callable[[], bytes | None], site: Path | None = None,
) -> ProjectKeys:
    """Make the private keys and the keys document that are missing; nothing that is there is replaced.

    `passphrase` is asked once if a key is made or used. Raises BenchError: keys of another product, a private
    key or a keys document that is lost, a clock that cannot be right. That there was a document, its `site`
    or what lies beside it tells.
    """
    if now < _CLOCK_AT_LEAST:
        raise BenchError(
            f"this computer's clock says {date_words(now)}", exit_code=USAGE,
            cure="set the clock: the date goes into the keys")
    folders = {document.parent, offline.parent, online.parent}
    for folder in folders:
        _make_private(folder)
    with lock_folders(*folders):
        for folder in folders:
            remove_all_leftovers(folder)
        if document.exists():
            return ProjectKeys(_existing(document, offline, online, product), ())
        _require_not_lost(document, product, site)
        return _make(document, offline, online, product, now, passphrase())


def _existing(document: Path, offline: Path, online: Path, product: str) -> Keys:
    keys = documents.read_keys(document)[1]
    if keys.product != product:
        raise BenchError(
            f"these keys are for the product {keys.product}", where=str(document),
            cure=f"use another folder for {product}, or that product's name", exit_code=USAGE)
    for path in (offline, online):
        if not path.exists():
            raise BenchError(
                "a private key is missing", where=str(path), exit_code=USAGE,
                cure="bring it back from a backup, or write into slotbench.toml where it is")
    return keys


def _require_not_lost(document: Path, product: str, site: Path | None) -> None:
    """Raise BenchError if there was a keys document: boards trust that one, and no new one of epoch 1."""
    copies = list(document.parent.glob(f"{product}.*.keys"))
    copies += [site / store.keys_name(product)] if site else []
    by_epoch: dict[int, Path] = {}
    for path in copies:
        with suppress(BenchError, FormatError):
            keys = documents.read_keys(path)[1]
            if keys.product == product:
                by_epoch[keys.epoch] = path
    if by_epoch:
        cure = f"bring it back: copy {by_epoch[max(by_epoch)]} there"
    elif HighWater.path_beside(document, product).exists():
        cure = "bring it back from a backup, or from the folder keys of the site"
    else:
        return
    raise BenchError("the keys file is missing", where=str(document), cure=cure, exit_code=USAGE)


def _make(
    document: Path, offline: Path, online: Path, product: str, now: int, passphrase: bytes | None,
) -> ProjectKeys:
    there = [path for path in (offline, online) if path.exists()]
    signing = {path: _load(path, passphrase) for path in there}
    signing |= {path: SigningKey.generate() for path in (offline, online) if path not in signing}
    keys = Keys(
        product=product, epoch=1, issued=now, offline=(signing[offline].modulus,),
        online=signing[online].modulus)
    files = {
        path: (key.to_pem(passphrase), PRIVATE) for path, key in signing.items() if path not in there}
    files[document] = (signing[offline].sign(keys.to_payload()).pack(), PUBLIC)
    write_new_files(files)
    return ProjectKeys(keys, tuple(files))


def _load(path: Path, passphrase: bytes | None) -> SigningKey:
    """A private key of an interrupted run."""
    try:
        return SigningKey.load(path, lambda: passphrase)
    except WrongPassphrase as error:
        error.cure = "type the one that this key got; or delete the file, as no board knows it yet"
        raise


def _make_private(folder: Path) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
    except OSError as error:
        raise BenchError(
            f"folder cannot be made ({error.strerror})", where=str(folder),
            cure="choose a folder that can be written", exit_code=USAGE) from None
