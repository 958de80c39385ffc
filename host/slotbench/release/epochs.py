"""Key rotation: each keys document is signed by an offline key of the previous epoch.

A board that missed some epochs follows the chain from its own, so all epochs stay published (FORMATS, keys).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from slotbench.errors import USAGE, BenchError
from slotbench.formats.document import Document
from slotbench.formats.fields import date_words
from slotbench.formats.keys import OFFLINE_MAX, Keys, Role
from slotbench.private import PRIVATE, PUBLIC
from slotbench.release import documents, store
from slotbench.release.files import write_atomic, write_new_files
from slotbench.release.high_water import LONGEST_BREAK_S, HighWater
from slotbench.release.keys import NewKeys, SigningKey
from slotbench.release.sign import check_role
from slotbench.release.store import Store


@dataclass(frozen=True, slots=True)
class KeyEpochs:
    """All epochs of a product: the `files` for its site by name, and the `known` keys by epoch."""

    files: Mapping[str, bytes]
    known: Mapping[int, Keys]


def gather_epochs(site: Store, keys_path: Path) -> KeyEpochs:
    """The newest keys and those of all earlier epochs, from the folder of `keys_path` or from the site.

    Raises BenchError if the site has later keys or other keys of this epoch, if an epoch is missing, or if
    one was not signed by an offline key of the previous epoch.
    """
    newest, keys = documents.read_keys(keys_path)
    check_epoch(site, newest, keys)
    found = {keys.epoch: (newest, keys)}
    for epoch in range(keys.epoch - 1, 0, -1):
        earlier = _find_epoch(site, keys_path, keys.product, epoch)
        if earlier is not None:
            found[epoch] = earlier
        elif epoch > 1:
            raise BenchError(
                f"keys of epoch {epoch} are missing; boards with the previous epoch could not follow",
                where=str(keys_path.with_name(f"{keys.product}.{epoch}.keys")),
                cure="bring it back, from a backup of the keys or of a site")
    for epoch, (signed, _) in found.items():
        if epoch - 1 in found:
            documents.check_signature(
                signed, found[epoch - 1][1], Role.OFFLINE, f"{keys.product}, keys of epoch {epoch}")
    files = {store.keys_name(keys.product): newest.pack()}
    if keys.epoch > 1:
        files |= {store.keys_name(keys.product, epoch): signed.pack() for epoch, (signed, _) in found.items()}
    return KeyEpochs(files, {epoch: each for epoch, (_, each) in found.items()})


def check_epoch(site: Store, keys_document: Document, keys: Keys) -> None:
    """Raise BenchError if the site has a later epoch, or other keys of this epoch."""
    path = site.path(store.keys_name(keys.product))
    if not path.is_file():
        return
    with documents.curing(site.repair_cure):
        there_document, there = documents.read_keys(path)
    if there.epoch > keys.epoch:
        raise BenchError(
            f"epoch {there.epoch} is published, the keys file has epoch {keys.epoch}", where=str(path),
            cure="use the newest keys file")
    if there.epoch == keys.epoch and there_document.digest != keys_document.digest:
        raise BenchError(
            f"other keys of epoch {keys.epoch} are published", where=str(path), cure="use that file")


def rotate_keys(
    folder: Path, product: str, key: SigningKey, now: int, *,
    online: SigningKey | None = None, add: SigningKey | None = None, drop: str | None = None,
    passphrase: bytes | None = None, trust_clock: bool = False,
) -> NewKeys:
    """Make the next epoch of `folder`/PRODUCT.keys, issued `now` (Unix seconds), signed by the offline `key`.

    `online` replaces the online key, `add` adds an offline key, and `drop` removes the offline key with this
    id. New keys are written to files named after the epoch. PRODUCT.EPOCH.keys of both epochs stay. `now` may
    be before the last epoch's date, or long after all that was published, only with `trust_clock`. Raises
    BenchError.
    """
    newest_path = folder / f"{product}.keys"
    before_document, before = documents.read_keys(newest_path)
    check_role(key, before, Role.OFFLINE)
    if not (online or add or drop):
        raise BenchError(
            "no change is given", where=str(newest_path),
            cure="give --online, --add-offline or --drop-offline", exit_code=USAGE)
    if now < before.issued and not trust_clock:
        raise BenchError(
            f"epoch {before.epoch} was issued at {date_words(before.issued)}, later than now "
            f"({date_words(now)})", where=str(newest_path),
            cure="set the clock of this computer; if it is right, give --clock-is-right: the new epoch sets "
            "boards right, which take its date as the earliest time it can be")
    dates = HighWater.beside(newest_path, product).dates()
    if dates and now > max(before.issued, *dates) + LONGEST_BREAK_S and not trust_clock:
        raise BenchError(
            f"this computer's clock says {date_words(now)}, and the last head was issued at "
            f"{date_words(max(dates))}", where=str(newest_path),
            cure="set the clock of this computer: boards take the date of the keys as the earliest time it "
            "can be; if it is right, give --clock-is-right")
    offline = _remaining_offline_keys(before, drop, key) + ((add.modulus,) if add else ())
    if len(offline) > OFFLINE_MAX:
        raise BenchError(
            f"{OFFLINE_MAX} offline keys are already pinned", where=str(newest_path),
            cure="remove one with --drop-offline ID")
    keys = replace(
        before, epoch=before.epoch + 1, issued=now, offline=offline,
        online=online.modulus if online else before.online)
    signed = key.sign(keys.to_payload())
    own_path = folder / f"{product}.{keys.epoch}.keys"
    if own_path.exists():
        raise BenchError(
            f"epoch {keys.epoch} already exists", where=str(own_path),
            cure=f"if {newest_path.name} is an old copy, replace it with this file and rotate from there")
    private = {
        role: (folder / f"{role}-{keys.epoch}.pem", new)
        for role, new in (("online", online), ("offline", add)) if new}
    files = {path: (new.to_pem(passphrase), PRIVATE) for path, new in private.values()}
    earlier_path = folder / f"{product}.{before.epoch}.keys"
    if not earlier_path.exists():
        files[earlier_path] = before_document.pack(), PUBLIC
    write_new_files({**files, own_path: (signed.pack(), PUBLIC)})
    write_atomic(newest_path, signed.pack())
    return NewKeys({role: path for role, (path, _) in private.items()}, newest_path, keys)


def _remaining_offline_keys(keys: Keys, drop: str | None, signer: SigningKey) -> tuple[bytes, ...]:
    """The offline keys without the one with id `drop`. Raises BenchError."""
    if drop is None:
        return keys.offline
    kept = keys.offline_except(drop)
    if kept == keys.offline:
        raise BenchError(
            f"{drop} is not an offline key of {keys.product}",
            cure="`slotbench release show` lists their ids")
    if not kept:
        raise BenchError(
            f"{drop} is the only offline key", cure="add another first with --add-offline, and sign with it")
    if drop == signer.key_id:
        raise BenchError(
            "a key cannot sign its own removal", where=signer.where, cure="sign with the other offline key")
    return kept


def _find_epoch(site: Store, keys_path: Path, product: str, epoch: int) -> tuple[Document, Keys] | None:
    """Find the keys of an earlier epoch."""
    places = (
        keys_path.with_name(f"{product}.{epoch}.keys"), site.path(store.keys_name(product, epoch)),
        site.path(store.keys_name(product)))
    for path in places:
        if path.is_file():
            signed, keys = documents.read_keys(path)
            if (keys.product, keys.epoch) == (product, epoch):
                return signed, keys
    return None
