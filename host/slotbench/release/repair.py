"""Repairing a site: heads that are damaged, missing, older than what boards saw, or of a wrong time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from slotbench.errors import BenchError
from slotbench.formats import FormatError, document
from slotbench.formats.application import ApplicationDocument
from slotbench.formats.document import DOCUMENT_BYTES_MAX
from slotbench.formats.head import Head
from slotbench.formats.keys import Keys, Role
from slotbench.formats.release import Release
from slotbench.release import documents, store
from slotbench.release.files import read_bytes, write_atomic
from slotbench.release.heads import Heads, opened_heads
from slotbench.release.high_water import HighWater
from slotbench.release.keys import SigningKey
from slotbench.release.publish import renew_head, unusable_releases
from slotbench.release.store import Store

__all__ = ["Repair", "repair_site"]

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(slots=True)
class Repair:
    """The new `heads`, what was `mended`, and what is `left` to do, each in words."""

    heads: list[Head] = field(default_factory=list)
    mended: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def repair_site(
    site: Store, keys_path: Path, key: SigningKey, now: int, *, days: int = 30, above: int = 0,
) -> Repair:
    """Sign the newest known head of every channel again, whatever the site says.

    Known are the heads beside the keys and the valid ones of the site. Changed line ends are mended. The
    clock is believed. Each new head has a seq above all known ones and above `above`, and expires
    after every date that boards may have seen. Raises BenchError, FormatError; then no head has changed.
    """
    repair = Repair()
    _mend_document(keys_path, _is_keys, repair)
    keys = documents.read_keys(keys_path)[1]
    with site.locked(keys_path.parent):
        _mend_site(site, keys_path, keys, repair)
    with opened_heads(site, keys_path, key, known=_known_mark(keys_path, keys, repair)) as heads:
        lasts = [_newest_valid(heads, channel, repair) for channel in _channels(heads)]
        renewed = [
            renew_head(heads, last, now, days, above) for last in lasts if last]
        for head in renewed:
            heads.publish(head)
        for channel, last in zip(_channels(heads), lasts):
            if last is None:
                site.path(store.head_name(keys.product, channel)).unlink()
    repair.heads = renewed
    repair.left += [f"{what}; publish it again" for what in unusable_releases(site, keys, renewed)]
    if not renewed and not repair.left:
        raise BenchError(
            f"nothing is known of what was published for {keys.product}", where=str(site.root),
            cure="publish a release: its head is above every one that was signed in the years before now")
    return repair


def _channels(heads: Heads) -> list[str]:
    return sorted({*heads.site.channels(heads.keys.product), *heads.mark.channels})


def _known_mark(keys_path: Path, keys: Keys, repair: Repair) -> HighWater:
    """The mark beside the keys. One that cannot be read is made anew."""
    try:
        return HighWater.beside(keys_path, keys.product)
    except FormatError as error:
        repair.mended.append(f"{error.what}: {error.where}; it is made anew from the site")
        return HighWater(HighWater.path_beside(keys_path, keys.product), keys.product)


def _newest_valid(heads: Heads, channel: str, repair: Repair) -> Head | None:
    """The newest head that is known to be the publisher's; None if there is none.

    Raises BenchError if it is of keys that are newer or not known.
    """
    path = heads.site.path(store.head_name(heads.keys.product, channel))
    found = [heads.mark.head(channel)]
    if path.is_file():
        try:
            signed, head = documents.read_head(path)
            if head.epoch not in heads.epochs.known:
                raise BenchError(f"its key epoch {head.epoch} is not known", where=str(path))
            documents.check_signature(signed, heads.epochs.known[head.epoch], Role.ONLINE, str(path))
            found.append(head)
        except BenchError as error:
            repair.mended.append(f"{error.what}: {path}; its head is signed anew")
    known = [head for head in found if head and head.epoch <= heads.keys.epoch]
    if not known:
        repair.mended.pop()
        repair.left.append(
            f"{heads.keys.product}/{channel}: its head cannot be used and was removed, and nothing tells "
            "what it said; publish its release again")
    return max(known, key=lambda head: (head.epoch, head.seq), default=None)


def _mend_site(site: Store, keys_path: Path, keys: Keys, repair: Repair) -> None:
    """Mend the product's documents in the site, and remove its keys files that cannot be mended."""
    for path in sorted((site.root / "heads" / keys.product).glob("*.head")):
        _mend_document(path, lambda text: Head.from_payload(document.split_document(text).payload), repair)
    for path in sorted((site.root / "releases").glob("*.release")):
        _mend_document(path, _is_release(path.stem), repair)
    for path in sorted((site.root / "applications").glob("*.application")):
        _mend_document(path, _is_release(path.stem, ApplicationDocument.from_payload), repair)
    for path in sorted((site.root / "keys").glob("*.keys")):
        if not store.is_name(f"keys/{path.name}") or path.name.split(".")[0] != keys.product:
            continue
        _mend_document(path, _is_keys, repair)
        try:
            documents.read_keys(path)
        except BenchError as error:
            path.unlink()
            repair.mended.append(f"{error.what}: {path}; it is copied anew")
    for path in sorted(keys_path.parent.glob(f"{keys.product}.*.keys")):
        _mend_document(path, _is_keys, repair)


def _is_keys(text: bytes) -> None:
    Keys.from_payload(document.split_document(text).payload)


def _is_release(
    digest: str, parse: Callable[[bytes], object] = Release.from_payload,
) -> Callable[[bytes], None]:
    """Raise FormatError for anything but the release, or what `parse` reads, with this digest."""
    def check(text: bytes) -> None:
        signed = document.split_document(text)
        parse(signed.payload)
        if signed.digest != digest:
            raise FormatError("another digest")
    return check


def _mend_document(path: Path, check: Callable[[bytes], object], repair: Repair) -> None:
    """Write a document anew if `check` refuses it only for line ends, empty lines or a byte order mark."""
    if not path.is_file():
        return
    text = read_bytes(path)[:2 * DOCUMENT_BYTES_MAX]
    mended = b"".join(
        line + b"\n" for line in text.removeprefix(_BYTE_ORDER_MARK).splitlines() if line.strip())
    if mended == text:
        return
    try:
        check(mended)
    except FormatError:
        return
    write_atomic(path, mended)
    repair.mended.append(f"line ends mended: {path}")
