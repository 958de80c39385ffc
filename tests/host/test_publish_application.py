"""Applications in a site: alone, beside a firmware, together with one; withdrawn, listed, missing, repaired."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from slotbench import boards
from slotbench.application.bundle import Bundle
from slotbench.application.room import SPARE_BLOCKS
from slotbench.errors import BenchError
from slotbench.formats import FormatError, document
from slotbench.formats.application import ApplicationDocument
from slotbench.formats.head import NO_RELEASE, Head
from slotbench.formats.release import Preflight, Release
from slotbench.release import documents, store
from slotbench.release.applications import build_application, missing_files
from slotbench.release.describe import describe_file
from slotbench.release.heads import Rollout
from slotbench.release.high_water import HighWater
from slotbench.release.overview import list_releases
from slotbench.release.publish import publish_offer, publish_release, refresh_heads, unusable_releases
from slotbench.release.repair import repair_site
from slotbench.release.rollout import Channel
from slotbench.release.sign import sign_file
from slotbench.release.store import Store
from support.commands import MakeRelease
from support.samples import NOW, PRODUCT, KeyRing, files_below

Part = tuple[Path, Bundle]
MakeApplication = Callable[..., Part]
GENERIC = boards.load("generic_4m")
FILES = {"lib/lamp.mpy": b"M\x06\x00\x1f" + bytes(900), "main.py": b"import lamp\n", "www/index.html": b"<p>"}
DAY = 86400


def bundle_of(files: dict[str, bytes]) -> Bundle:
    return Bundle(files, 6 if any(path.endswith(".mpy") for path in files) else 0)


@pytest.fixture
def make_application(tmp_path: Path, ring: KeyRing) -> MakeApplication:
    """Builds and signs an application for generic_4m; its file, and its bundle."""

    def make(counter: int = 1, files: dict[str, bytes] | None = None, *, key: str = "offline", **fields: Any) -> Part:
        bundle = bundle_of(FILES if files is None else files)
        made = build_application(
            bundle, **{
                "product": PRODUCT, "boards": [GENERIC], "version": "1.0", "counter": counter, "created": NOW,
                "channels": ("stable", "beta")} | fields)
        path = tmp_path / f"app-{counter}.application"
        path.write_bytes(ring.load(key).sign(made.to_payload()).pack())
        return path, bundle

    return make


@pytest.fixture
def offer(site: Store, ring: KeyRing) -> Callable[..., Head]:
    """Publishes with the online key."""

    def publish(now: int = NOW, **options: Any) -> Head:
        return publish_offer(site, ring.document, ring.load("online"), now, **options)

    return publish


def digest_of(path: Path) -> str:
    return document.split_document(path.read_bytes()).digest


def test_an_application_alone(
    site: Store, make_application: MakeApplication, offer: Callable[..., Head], ring: KeyRing,
) -> None:
    path, bundle = make_application()
    head = offer(application=(path, bundle), rollout=Rollout(percent=10, cohorts=("lab",)))
    assert (head.release, head.counter, head.app, head.app_counter) == (NO_RELEASE, 0, digest_of(path), 1)
    assert (head.percent, head.cohorts) == (10, ("lab",))
    names = {store.file_name(sha256) for sha256 in (line.split()[0].decode() for line in bundle.file_list.splitlines())}
    assert files_below(site.root) == names | {
        ".lock", "heads/sensor/stable.head", "keys/sensor.keys", f"lists/{bundle.list_sha256}.list",
        f"applications/{digest_of(path)}.application"}
    assert {site.read(name) for name in names} == set(FILES.values())
    assert unusable_releases(site, ring.keys, [head]) == []


def test_each_keeps_what_the_other_offers(
    site: Store, make_release: MakeRelease, make_application: MakeApplication, offer: Callable[..., Head],
    ring: KeyRing, firmware: bytes,
) -> None:
    release, application = make_release(7), make_application(1)
    publish_release(site, release, ring.document, [firmware], ring.load("online"), NOW)
    head = offer(application=application)
    assert (head.release, head.counter, head.app_counter) == (digest_of(release), 7, 1)
    newer = make_release(8)
    head = publish_release(site, newer, ring.document, [firmware], ring.load("online"), NOW)
    assert (head.release, head.counter, head.app) == (digest_of(newer), 8, digest_of(application[0]))
    head = Channel(site, ring.document, ring.load("online")).promote(NOW, percent=100)
    assert (head.counter, head.app_counter) == (8, 1)
    assert refresh_heads(site, ring.document, ring.load("online"), NOW)[0].app_counter == 1


def test_both_together_are_one_head(
    make_release: MakeRelease, make_application: MakeApplication, offer: Callable[..., Head], firmware: bytes,
) -> None:
    application = make_application(3, firmware_low=7)
    head = offer(release=(make_release(7), [firmware]), application=application)
    assert (head.counter, head.app_counter) == (7, 3)


@pytest.mark.parametrize(("counter", "fields", "words"), [
    (5, {"firmware_low": 8}, r"application 1.0 \(counter 5\) needs a firmware from counter 8, and that of the channel "
     "has counter 7; build the application for this firmware, and publish both together"),
    (5, {"product": "other"}, "application is for other, the keys are for sensor"),
    (5, {"channels": ("beta",)}, "not for the channel stable, only for beta"),
    (5, {"created": NOW + 2 * DAY}, "built at .*, later than now"),
    (3, {}, "application counter 3 is below 4, which the channel stable has"),
    (4, {"version": "2"}, "application counter 4 belongs to another release in the channel stable"),
    (5, {"key": "online"}, "signed by the online key"),
])
def test_what_is_not_published(
    site: Store, make_release: MakeRelease, make_application: MakeApplication, offer: Callable[..., Head],
    firmware: bytes, counter: int, fields: dict[str, Any], words: str,
) -> None:
    offer(release=(make_release(7), [firmware]), application=make_application(4))
    before = {name: (site.root / name).read_bytes() for name in files_below(site.root)}
    with pytest.raises(BenchError, match=words):
        offer(application=make_application(counter, {"main.py": b"2"}, **fields))
    assert before == {name: (site.root / name).read_bytes() for name in files_below(site.root)}


def test_a_firmware_under_which_the_application_does_not_run_is_refused(
    make_release: MakeRelease, make_application: MakeApplication, offer: Callable[..., Head], tmp_path: Path,
    ring: KeyRing, firmware: bytes,
) -> None:
    offer(application=make_application(1))
    path = make_release(7)
    frozen = replace(documents.read_release(path, ring.keys)[1], frozen_main=True)
    path.write_bytes(ring.load("offline").sign(frozen.to_payload()).pack())
    with pytest.raises(BenchError, match=r"counter 7\) has a frozen main.py, which runs instead of .*; build the firm"):
        offer(release=(path, [firmware]))


def test_other_files_than_those_of_the_application_are_refused(
    site: Store, make_application: MakeApplication, offer: Callable[..., Head],
) -> None:
    path, _ = make_application(1)
    with pytest.raises(BenchError, match="the files are not those that the application 1.0 was built from"):
        offer(application=(path, bundle_of({"main.py": b"other"})))
    assert not (site.root / "heads").exists()


def test_withdrawn_it_goes_back_to_the_newest_older_one(
    site: Store, make_release: MakeRelease, make_application: MakeApplication, offer: Callable[..., Head],
    ring: KeyRing, firmware: bytes,
) -> None:
    channel = Channel(site, ring.document, ring.load("online"))
    offer(release=(make_release(7), [firmware]))
    with pytest.raises(BenchError, match="the channel stable has no application"):
        channel.withdraw(NOW, application=True)
    for counter in (1, 2, 3):
        offer(application=make_application(counter, {"main.py": b"%d" % counter}))
    for expected in (2, 1):
        head = channel.withdraw(NOW, application=True)
        assert (head.counter, head.app_counter, head.percent) == (7, expected, 100)
    with pytest.raises(BenchError, match="no older release"):
        channel.withdraw(NOW, application=True)
    offer(application=make_application(4))
    assert channel.withdraw(NOW, application=True, to=3).app_counter == 3


def test_a_withdrawn_firmware_takes_the_application_back_that_needs_it(
    site: Store, make_release: MakeRelease, make_application: MakeApplication, offer: Callable[..., Head],
    ring: KeyRing, firmware: bytes,
) -> None:
    channel = Channel(site, ring.document, ring.load("online"))
    offer(release=(make_release(7), [firmware]), application=make_application(1))
    offer(release=(make_release(8), [firmware]), application=make_application(2, {"main.py": b"2"}, firmware_low=8))
    head = channel.withdraw(NOW)
    assert (head.counter, head.app_counter) == (7, 1)


def test_a_withdrawn_firmware_leaves_no_application_where_none_fits(
    site: Store, make_release: MakeRelease, make_application: MakeApplication, offer: Callable[..., Head],
    ring: KeyRing, firmware: bytes,
) -> None:
    offer(release=(make_release(7), [firmware]))
    offer(release=(make_release(8), [firmware]), application=make_application(2, firmware_low=8))
    head = Channel(site, ring.document, ring.load("online")).withdraw(NOW)
    assert (head.counter, head.app, head.app_counter) == (7, "", 0)


def test_an_application_with_a_missing_file_is_named_and_nothing_goes_back_to_it(
    site: Store, make_application: MakeApplication, offer: Callable[..., Head], ring: KeyRing,
) -> None:
    first = make_application(1)
    offer(application=first)
    head = offer(application=make_application(2, {"main.py": b"2"}))
    name = store.file_name(hashlib.sha256(FILES["www/index.html"]).hexdigest())
    (site.root / name).unlink()
    application = documents.read_application(site.path(store.application_name(digest_of(first[0]))), ring.keys)[1]
    assert missing_files(site, application) == [name]
    with pytest.raises(BenchError, match=f"counter 1 cannot be downloaded, {name} is missing"):
        Channel(site, ring.document, ring.load("online")).withdraw(NOW)
    (site.root / store.list_name(bundle_of({"main.py": b"2"}).list_sha256)).write_bytes(b"damaged")
    assert unusable_releases(site, ring.keys, [head]) == [
        f"sensor/stable offers application 2, whose lists/{bundle_of({'main.py': b'2'}).list_sha256}.list is missing"]
    shutil.rmtree(site.root / "applications")
    assert unusable_releases(site, ring.keys, [head]) == ["sensor/stable offers application 2, which is missing"]


def test_the_list_shows_both_kinds(
    site: Store, make_release: MakeRelease, make_application: MakeApplication, offer: Callable[..., Head],
    ring: KeyRing, firmware: bytes,
) -> None:
    offer(release=(make_release(7), [firmware]), application=make_application(1), rollout=Rollout(percent=10))
    offer(application=make_application(2, {"main.py": b"2"}), rollout=Rollout(percent=10))
    listed = list_releases(site, ring.keys, HighWater.beside(ring.document, PRODUCT))
    assert [entry.line(NOW).partition("  ")[0] for entry in listed] == ["counter 7", "application 2", "application 1"]
    assert "stable: 10 % of the boards" in listed[1].line(NOW)
    assert listed[2].line(NOW).endswith("for stable, beta, not offered")
    assert [entry.fields()["kind"] for entry in listed] == ["release", "application", "application"]


def test_a_lost_site_is_signed_again_with_both(
    site: Store, make_application: MakeApplication, offer: Callable[..., Head], ring: KeyRing,
) -> None:
    """The mark beside the keys has the counters and digests of both."""
    first = offer(application=make_application(1))
    (site.root / "heads" / PRODUCT / "stable.head").unlink()
    name = site.path(store.application_name(first.app))
    name.write_bytes(name.read_bytes().replace(b"\n", b"\r\n"))
    repair = repair_site(site, ring.document, ring.load("online"), NOW + 1)
    assert [(head.app, head.app_counter) for head in repair.heads] == [(first.app, 1)]
    assert repair.mended == [f"line ends mended: {name}"] and repair.left == []


def test_room_for_it_twice_beside_twoslot_is_checked_before_it_is_signed(
    make_release: MakeRelease, ring: KeyRing,
) -> None:
    blocks = GENERIC.filesystem.size // 4096 - SPARE_BLOCKS

    def build(size: int, firmware: Release | None = None) -> ApplicationDocument:
        return build_application(
            bundle_of({"main.py": b"", "sound.bin": bytes(size)}), product=PRODUCT, boards=[GENERIC], version="1",
            counter=1, created=NOW, firmware=firmware)

    half = 4080 * (blocks // 2 - 3)
    frozen = replace(documents.read_release(make_release(7), ring.keys)[1], twoslot=256)
    build(half, frozen)
    with pytest.raises(BenchError, match=r"has room for 247 beside twoslot: 4 KB are missing; make it smaller; its "
                       r"longest file is sound.bin \(\d+ bytes\)"):
        build(half + 8000, frozen)
    with pytest.raises(BenchError, match=r"beside twoslot: \d+ KB are missing") as refused:
        build(half)
    room = int(re.findall(r"room for (\d+)", str(refused.value))[0])
    assert 100 < room < 160, "the package takes the rest"
    build(4080 * (room // 2 - 3))
    with pytest.raises(BenchError, match="native_512k has no filesystem"):
        build_application(
            bundle_of({"main.py": b""}), product=PRODUCT, boards=[boards.load("native_512k")], version="1", counter=1,
            created=NOW)


def test_it_is_described_and_signed_like_a_release(
    make_application: MakeApplication, ring: KeyRing, tmp_path: Path,
) -> None:
    path, _ = make_application(4, firmware_low=7, data=2, floor=3, notes="warm")
    lines = dict(describe_file(path, ring.keys).lines)
    assert lines["version"] == "1.0, counter 4" and lines["needs"] == "a firmware from counter 7"
    assert lines["files"].startswith("3, 919 bytes, in lists/") and lines["signature"].startswith("valid, by the off")
    made = ApplicationDocument.from_payload(documents.read_unsigned(path)[0])
    path.write_bytes(replace(made, preflight=Preflight.FAILED).to_payload() + b"\n")
    with pytest.raises(BenchError, match="its preflight failed: .*; read the .preflight.json beside it, correct the pro"):
        sign_file(path, ring.load("offline"))
    path.write_bytes(made.to_payload() + b"\n")
    sign_file(path, ring.load("offline"), ring.keys)
    assert documents.read_application(path, ring.keys)[1] == made
    assert json.loads(document.split_document(path.read_bytes()).payload)["kind"] == "application"
    with pytest.raises(FormatError):
        documents.read_release(path, ring.keys)
