"""Applications published to the site of a test bed, alone or with a firmware."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from slotbench.application.bundle import Bundle
from slotbench.formats.application_record import FILES, ApplicationRecord, newest_record
from slotbench.prove.testbed import NOW, PRODUCT, TestBed
from slotbench.release.application_patches import with_patches
from slotbench.release.applications import build_application
from slotbench.release.publish import Rollout, publish_offer
from slotbench.vboard.board import VirtualBoard
from support.testbed import BUSY_MAIN


def program(counter: int, more: str = "", **files: bytes) -> dict[str, bytes]:
    """A program that says its counter and calls the updater; more files by `name__py`."""
    text = f"print('application {counter}')\n{more}{BUSY_MAIN}"
    return {"main.py": text.encode(), **{name.replace("__", "."): data for name, data in files.items()}}


def publish_application(
    testbed: TestBed, counter: int, files: Mapping[str, bytes] | None = None, *, now: int = 0,
    rollout: Rollout = Rollout(), firmware: int = 0, firmware_high: int = 0, allow_older: bool = False,
    abi: int = 0, patches: int = 0, **fields: Any,
) -> None:
    """Publish application COUNTER.0; with `firmware`, that release of the test bed beside it in the same head. With
    `patches` it has them from so many before it.
    """
    bundle = Bundle(program(counter) if files is None else files, abi)
    made = build_application(
        bundle, product=PRODUCT, boards=[testbed.profile], version=f"{counter}.0", counter=counter, created=NOW,
        **fields)
    made = replace(made, firmware_high=firmware_high)
    publisher = testbed.publisher
    made = with_patches(made, bundle, patches, (publisher.site, publisher.keys))
    path = publisher.site.root.parent / f"app-{counter}.application"
    path.write_bytes(publisher.offline.sign(made.to_payload()).pack())
    release = None
    if firmware:
        image = testbed.images[firmware] = testbed.firmware(f"{firmware}.0.0")
        assert isinstance(image, bytes)
        built, _ = publisher.build(
            image, [testbed.profile], version=f"{firmware}.0.0", counter=firmware, now=NOW, floor=0,
            channels=("stable",))
        release = built, (image,)
    publish_offer(
        publisher.site, publisher.keys_path, publisher.online, now or NOW + 100 * counter, release=release,
        application=(path, bundle), rollout=rollout, allow_older=allow_older)


def record_of(board: VirtualBoard) -> ApplicationRecord:
    """The newest application record of a board."""
    found = _newest(tuple(board.files.get(f"/{name}", b"") for name in FILES))
    assert found is not None, "the board has no application record"
    return found


@functools.lru_cache(maxsize=16)
def _newest(records: tuple[bytes, ...]) -> ApplicationRecord | None:
    """Cached: it is asked for once a virtual second, and changes seldom."""
    return newest_record(records)


def runs_application(board: VirtualBoard, counter: int) -> bool:
    """Whether this application is the confirmed active one."""
    try:
        record = record_of(board)
    except AssertionError:
        return False
    if record.active > 1:
        return False
    folder = record.folders[record.active]
    return folder.counter == counter and folder.state == 2
