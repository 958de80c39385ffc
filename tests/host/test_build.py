"""Building and signing a release (`release.build`, `images.versions`, `release.sign`)."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from slotbench import boards
from slotbench.errors import BenchError
from slotbench.formats import FormatError, blocks
from slotbench.images.versions import implied_facts
from slotbench.release import documents
from slotbench.release.build import build_release
from slotbench.release.sign import sign_file
from support.samples import NOW, PRODUCT, KeyRing, make_firmware

GENERIC = boards.load("generic_4m")


@pytest.mark.parametrize(("version", "facts"), [
    ("1.29.0-preview", (6, 0x20001)), ("1.22.0", (6, 0x20001)), ("1.21.0", (6, 0x20000)),
    ("1.19", (6, 0x20000)), ("1.18.0", (5, 0x20000)), ("1.12", (5, 0x20000)),
    ("1.11", None), ("2.0.0", (6, 0x20001)), ("", None), ("nightly", None),
])
def test_facts_implied_by_the_micropython_version(version: str, facts: tuple[int, int] | None) -> None:
    assert implied_facts(version) == facts


def test_a_release_from_a_stock_image() -> None:
    firmware = make_firmware(641_964)  # the length of MicroPython's default build
    release = build_release(
        firmware, product=PRODUCT, boards=[GENERIC, boards.load("d1_mini")], counter=7, created=NOW)

    sha256 = hashlib.sha256(firmware).hexdigest()
    table = hashlib.sha256(blocks.block_table(firmware)).hexdigest()
    image = release.images["any"]
    assert (release.boards, release.channels) == (("generic_4m", "d1_mini"), ("stable",))
    assert (release.version, release.counter, release.created) == ("1.25.0", 7, NOW)
    assert (release.fs_start, release.fs_version, release.mpy_abi) == (0x100000, 0x20001, 6)
    assert (release.floor, release.fs_upgrade, release.notes) == (0, False, "")
    assert (image.length, image.sha256, image.blocks) == (641_964, sha256, table)
    assert (image.url, image.blocks_url) == (f"images/{sha256}.bin", f"blocks/{table}.blocks")


def test_options_confirm_the_facts_of_the_image(firmware: bytes) -> None:
    release = build_release(
        firmware, product=PRODUCT, boards=[GENERIC], counter=1, created=NOW, version="2024.1",
        fs_start=0x100000, fs_version=0x20001, mpy_abi=6, fs_upgrade=True, floor=1, notes="n")

    assert (release.version, release.fs_start, release.fs_version) == ("2024.1", 0x100000, 0x20001)
    assert (release.mpy_abi, release.fs_upgrade, release.floor, release.notes) == (6, True, 1, "n")


@pytest.mark.parametrize(("options", "what"), [
    ({"fs_start": 0x99000}, "the image has 0x100000, not 0x99000: --fs-start; leave out --fs-start"),
    ({"fs_start": 0x100001}, "the image has 0x100000, not 0x100001: --fs-start"),
    ({"fs_version": 0x20000}, "the image has 0x20001, not 0x20000: --fs-version"),
    ({"mpy_abi": 5}, "the image has 0x6, not 0x5: --mpy-abi"),
])
def test_options_never_contradict_the_image(firmware: bytes, options: dict[str, int], what: str) -> None:
    fields: dict[str, Any] = options
    with pytest.raises(BenchError, match=what) as caught:
        build_release(firmware, product=PRODUCT, boards=[GENERIC], counter=1, created=NOW, **fields)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(("options", "what"), [
    ({"literals": ()}, "does not show where its filesystem starts"),
    ({"literals": (0x98000, 0x100000)}, "does not show where its filesystem starts"),
    ({"banner": ""}, "does not show the version of its littlefs"),
    ({"banner": "v1.11"}, "does not show the version of its littlefs"),
    ({"literals": (0x98000,)},
     "starts at 0x99000, that of generic_4m at 0x100000; use MicroPython's default build"),
])
def test_no_option_says_what_the_image_does_not_show(options: dict[str, Any], what: str) -> None:
    with pytest.raises(BenchError, match=what):
        build_release(
            make_firmware(**options), product=PRODUCT, boards=[GENERIC], counter=1, created=NOW, version="1",
            fs_start=0x100000, fs_version=0x20001, mpy_abi=6)


def test_an_image_longer_than_the_slot_is_refused() -> None:
    data = make_firmware(251 * 4096 + 4)

    with pytest.raises(BenchError, match="1028100 bytes, a slot of generic_4m takes 1028096; use"):
        build_release(data, product=PRODUCT, boards=[GENERIC], counter=1, created=NOW)
    fits = make_firmware(251 * 4096)
    assert build_release(fits, product=PRODUCT, boards=[GENERIC], counter=1, created=NOW).counter == 1


def test_a_field_that_the_format_does_not_allow_is_refused(firmware: bytes) -> None:
    with pytest.raises(FormatError, match="field floor"):
        build_release(firmware, product=PRODUCT, boards=[GENERIC], counter=1, created=NOW, floor=2)


@pytest.fixture
def unsigned(tmp_path: Path, firmware: bytes) -> Path:
    release = build_release(firmware, product=PRODUCT, boards=[GENERIC], counter=7, created=NOW)
    path = tmp_path / "7.release"
    path.write_bytes(release.to_payload() + b"\n")
    return path


def test_signing_keeps_line_1(unsigned: Path, ring: KeyRing) -> None:
    before = unsigned.read_bytes()

    signed = sign_file(unsigned, ring.load("offline"), ring.keys)

    assert unsigned.read_bytes().startswith(before)
    assert documents.read_release(unsigned, ring.keys)[0] == signed


def test_signing_again_replaces_the_signature(unsigned: Path, ring: KeyRing) -> None:
    sign_file(unsigned, ring.load("stranger"))
    sign_file(unsigned, ring.load("offline"))

    assert documents.read_release(unsigned, ring.keys)[1].counter == 7


@pytest.mark.parametrize(("name", "what"), [
    ("online", "is an online key: .*online.pem; use an offline key"),
    ("stranger", "is not a key of sensor: .*stranger.pem; use an offline key"),
])
def test_signing_with_a_key_of_another_role_is_refused(
    unsigned: Path, ring: KeyRing, name: str, what: str,
) -> None:
    before = unsigned.read_bytes()

    with pytest.raises(BenchError, match=what):
        sign_file(unsigned, ring.load(name), ring.keys)

    assert unsigned.read_bytes() == before


def test_signing_with_the_keys_of_another_product_is_refused(unsigned: Path, ring: KeyRing) -> None:
    with pytest.raises(BenchError, match="release is for sensor, the keys are for pump: .*7.release"):
        sign_file(unsigned, ring.load("offline"), replace(ring.keys, product="pump"))


def test_only_releases_are_signed(ring: KeyRing) -> None:
    with pytest.raises(FormatError, match="document kind is keys, not release: .*sensor.keys, field kind"):
        sign_file(ring.document, ring.load("offline"))
