"""The files of a project: keys, their modes, the site and its heads, the server's address."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from slotbench.doctor.findings import Diagnosis, State, all_well, as_finding, warning, wrong
from slotbench.formats.head import Head
from slotbench.formats.keys import Keys
from slotbench.private import is_open_to_others
from slotbench.project import Project
from slotbench.release import documents
from slotbench.release.expiry import EXPIRY_CURE, expiry_words
from slotbench.release.files import read_bytes
from slotbench.release.heads import last_head
from slotbench.release.high_water import HighWater
from slotbench.release.store import Store

__all__ = ["check_files", "check_heads", "check_server_address"]

_PEM_BYTES_MAX: Final = 1 << 16


def check_files(project: Project) -> Iterator[Diagnosis]:
    """The keys: there, private, not served, and more than one offline key."""
    found: list[Diagnosis] = []
    keys = None
    with as_finding("keys", found):
        keys = documents.read_keys(project.keys)[1]
        found.append(all_well("keys", f"{project.keys}: {keys.product}, epoch {keys.epoch}"))
    yield from found
    for path in _secrets(project):
        if not path.is_file():
            continue
        if is_open_to_others(path):
            yield wrong("modes", f"other users can read {path}", f"chmod 600 {path}")
        if path.resolve().is_relative_to(project.site.resolve()):
            yield wrong(
                "modes", f"{path} is in the folder that is served",
                "move it out, change slotbench.toml, and change the key: slotbench keys rotate")
    if not any(each.check == "modes" for each in found) and all(
        not is_open_to_others(path) for path in _secrets(project) if path.is_file()
    ):
        yield all_well("modes", "keys and secrets are for you alone")
    if keys is not None:
        yield from _check_offline(project, keys)


def _check_offline(project: Project, keys: Keys) -> Iterator[Diagnosis]:
    if len(keys.offline) == 1:
        yield warning(
            "offline key",
            f"{keys.product} has one offline key: if it is lost, no board takes a release any more",
            "make a second one, and keep it elsewhere: slotbench keys rotate "
            f"{project.keys.parent} --product {keys.product} --key {project.offline_key} --add-offline")
    if project.offline_key.is_file() and b"ENCRYPTED" not in read_bytes(project.offline_key, _PEM_BYTES_MAX):
        yield warning(
            "offline key", f"{project.offline_key} has no passphrase",
            f"give it one: slotbench keys passphrase {project.offline_key}")


def check_heads(project: Project, now: int, latest: list[int]) -> Iterator[tuple[Diagnosis, Head | None]]:
    """What the site offers, and for how long. `latest` gets the latest date that was signed."""
    found: list[Diagnosis] = []
    heads: list[Head] = []
    with as_finding("site", found):
        keys = documents.read_keys(project.keys)[1]
        latest.append(HighWater.beside(project.keys, keys.product).latest)
        store = Store(project.site)
        found_heads = (last_head(store, keys, channel) for channel in store.channels(keys.product))
        heads = [head for head in found_heads if head is not None]
    yield from ((finding, None) for finding in found)
    if not heads and not found:
        yield warning("site", f"nothing is published in {project.site}", "slotbench ship firmware.bin"), None
    for head in heads:
        latest.append(head.issued)
        words = expiry_words(head, now)
        if words is None:
            said = f"{head.product}/{head.channel} is {head.content()} for {head.audience()}"
            yield all_well("site", said), head
        else:
            state = State.WRONG if head.expires <= now else State.WARNING
            yield Diagnosis("site", state, words, EXPIRY_CURE), head


def check_server_address(project: Project) -> Diagnosis | None:
    """Whether a board on another machine can reach the address at all; None without a server."""
    if project.server is None:
        return warning("address", f"{project.path} names no server", 'add: server = "http://ADDRESS:8266"')
    host = urlsplit(project.server).hostname or ""
    try:
        is_loopback = ip_address(host).is_loopback
    except ValueError:
        is_loopback = host == "localhost"
    if is_loopback:
        return warning(
            "address", f"{project.server} is this computer itself: only virtual boards reach it",
            f"for a real board, write this computer's address in its network into {project.where('server')}")
    return None


def _secrets(project: Project) -> list[Path]:
    """The files that hold secrets, wherever they are."""
    named = [project.offline_key, project.online_key]
    named += [project.identities] if project.identities is not None else []
    return sorted({*named, *project.keys.parent.glob("*.pem")})
