"""What the site offers, as rows of the database: its releases, their images, and each head that was seen.

It is a copy for people. Boards and the publisher go by the documents, and by the file beside the keys.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from slotbench.errors import BenchError
from slotbench.fleet.database import FleetDatabase
from slotbench.fleet.recorder import upsert
from slotbench.fleet.schema import heads, images, releases
from slotbench.formats import FormatError
from slotbench.formats.document import DOCUMENT_BYTES_MAX, split_document
from slotbench.formats.head import Head
from slotbench.formats.release import Release
from slotbench.release import documents
from slotbench.release.files import read_bytes

__all__ = ["SiteMirror"]

_log = logging.getLogger(__name__)


class SiteMirror:
    """Keeps the database in step with the site in `root`. `clock` gives Unix seconds."""

    def __init__(self, database: FleetDatabase, root: Path, clock: Callable[[], float]) -> None:
        self._database = database
        self._root = root
        self._clock = clock
        self._stamps: dict[Path, tuple[int, int, int]] = {}

    def sync(self) -> None:
        """Read the documents that changed since the last time, and write them down. Raises BenchError.

        A document that cannot be read is left out and said once.
        """
        seen: dict[Path, tuple[int, int, int]] = {}
        new_releases, new_images, new_heads = [], [], []
        for path in self._changed("releases/*.release", seen):
            try:
                release = Release.from_payload(split_document(read_bytes(path, DOCUMENT_BYTES_MAX)).payload)
            except (BenchError, FormatError) as error:
                _log.warning("release left out of the fleet: %s", error)
                continue
            new_releases.append(_release_row(path.stem, release))
            new_images += _image_rows(path.stem, release)
        for path in self._changed("heads/*/*.head", seen):
            try:
                head = documents.read_head(path)[1]
            except (BenchError, FormatError) as error:
                _log.warning("head left out of the fleet: %s", error)
                continue
            new_heads.append(_head_row(head, int(self._clock())))
        if new_releases or new_heads:
            with self._database.writing() as connection:
                for table, rows in ((releases, new_releases), (images, new_images), (heads, new_heads)):
                    if rows:
                        connection.execute(upsert(connection, table).on_conflict_do_nothing(), rows)
        self._stamps |= seen

    def _changed(self, pattern: str, seen: dict[Path, tuple[int, int, int]]) -> list[Path]:
        found = []
        for path in sorted(self._root.glob(pattern)):
            try:
                stat = path.stat()
            except OSError:
                continue
            stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if self._stamps.get(path) != stamp:
                seen[path] = stamp
                found.append(path)
        return found


def _release_row(digest: str, release: Release) -> dict[str, Any]:
    return {
        "digest": digest, "product": release.product, "counter": release.counter, "version": release.version,
        "channels": json.dumps(release.channels), "boards": json.dumps(release.boards),
        "notes": release.notes, "preflight": str(release.preflight or ""), "floor": release.floor,
        "created": release.created, "bytes": max(image.length for image in release.images.values())}


def _image_rows(digest: str, release: Release) -> list[dict[str, Any]]:
    rows = {
        image.sha256: {
            "sha256": image.sha256, "digest": digest, "product": release.product, "counter": release.counter,
            "bytes": image.length}
        for image in release.images.values()}
    return list(rows.values())


def _head_row(head: Head, now: int) -> dict[str, Any]:
    return {
        "product": head.product, "channel": head.channel, "epoch": head.epoch, "seq": head.seq,
        "digest": head.release, "counter": head.counter, "percent": head.percent,
        "cohorts": json.dumps(head.cohorts), "devices": json.dumps(head.devices), "paused": head.paused,
        "interval_s": head.interval_s,
        "issued": head.issued, "expires": head.expires, "seen": now}
