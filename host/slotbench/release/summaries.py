"""What is known of the signed documents of a site, without reading all of them each time.

A document that boards accept stays one while its file and the keys stay as they are. What was found is
kept in the user's cache, with what the filesystem says of each file: its size, its number, and when it was
changed. A file of which any of this is another one is read again.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from slotbench import __version__
from slotbench.errors import BenchError
from slotbench.formats import FormatError
from slotbench.formats.application import ApplicationDocument
from slotbench.formats.document import Document
from slotbench.formats.keys import Keys
from slotbench.formats.release import Release
from slotbench.private import PRIVATE
from slotbench.release import documents
from slotbench.release.applications import APPLICATION_SUFFIX
from slotbench.release.files import write_atomic
from slotbench.release.store import Store

__all__ = ["APPLICATION", "RELEASE", "Summary", "cache_file", "summarize"]

RELEASE: Final = "release"
APPLICATION: Final = "application"
_KEPT_FROM: Final = 200
"""So many documents take a fifth of a second: fewer are read each time."""
_SETTLED_NS: Final = 2_000_000_000
"""A file that was changed so recently may change again within one tick of the filesystem's clock."""
_READERS: Final[Mapping[str, Callable[[Path, Keys], tuple[Document, Release | ApplicationDocument]]]] = {
    RELEASE: documents.read_release, APPLICATION: documents.read_application}
_SUFFIXES: Final = {RELEASE: ".release", APPLICATION: APPLICATION_SUFFIX}


@dataclass(frozen=True, slots=True)
class Summary:
    """What a list shows of a release or an application: `kind` is RELEASE or APPLICATION."""

    kind: str
    counter: int
    version: str
    channels: tuple[str, ...]


def cache_file(site: Store, keys: Keys) -> Path:
    """Where the summaries of this site under these keys are kept: a file of the user's cache."""
    key = repr((__version__, str(site.root.resolve()), keys.to_payload())).encode()
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "twoslot" / "documents"
    return folder / f"{hashlib.sha256(key).hexdigest()[:32]}.json"


def summarize(
    site: Store, keys: Keys, cache: Path, *, keep_from: int = _KEPT_FROM, now_ns: int | None = None,
) -> dict[str, Summary]:
    """Digest -> summary of each document that boards with these keys would accept.

    Damaged ones and those that no offline key signed are left out. `cache` is read, and written anew, if
    there are at least `keep_from` documents. `now_ns` is the time in nanoseconds.
    """
    entries = list(_entries(site))
    kept = _read_cache(cache) if len(entries) >= keep_from else {}
    settled = (time.time_ns() if now_ns is None else now_ns) - _SETTLED_NS
    found: dict[str, Summary] = {}
    known: dict[str, Any] = {}
    for kind, entry in entries:
        with suppress(OSError):
            facts = _facts(entry.stat())
            name = f"{kind}/{entry.name}"
            last = kept.get(name)
            if last is not None and last[0] == facts:
                summary = _unpacked(last[1])
            else:
                summary = _read(kind, Path(entry.path), keys)
            if max(facts[:2]) < settled:
                known[name] = [facts, _packed(summary)]
            if summary is not None:
                found[entry.name.partition(".")[0]] = summary
    if len(entries) >= keep_from and known != kept:
        with suppress(BenchError):
            write_atomic(cache, json.dumps(known).encode(), mode=PRIVATE)
    return found


def _entries(site: Store) -> Iterator[tuple[str, os.DirEntry[str]]]:
    for kind, suffix in _SUFFIXES.items():
        with suppress(FileNotFoundError), os.scandir(site.root / f"{kind}s") as entries:
            yield from ((kind, entry) for entry in entries if entry.name.endswith(suffix))


def _facts(stat: os.stat_result) -> list[int]:
    return [stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino]


def _read(kind: str, path: Path, keys: Keys) -> Summary | None:
    with suppress(BenchError, FormatError):
        signed, made = _READERS[kind](path, keys)
        if path.stem == signed.digest:
            return Summary(kind, made.counter, made.version, made.channels)
    return None


def _read_cache(path: Path) -> dict[str, Any]:
    """What was kept, or nothing if it is not as it was written."""
    with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
        kept = json.loads(path.read_bytes())
        for facts, fields in kept.values():
            if len(facts) != 4 or fields is not None and _unpacked(fields) is None:
                return {}
        return dict(kept)
    return {}


def _packed(summary: Summary | None) -> dict[str, Any] | None:
    return None if summary is None else {**asdict(summary), "channels": list(summary.channels)}


def _unpacked(fields: Mapping[str, Any] | None) -> Summary | None:
    if fields is None:
        return None
    return Summary(fields["kind"], fields["counter"], fields["version"], tuple(fields["channels"]))
